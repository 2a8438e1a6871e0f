package jelly

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

// weighed records what its state counts for.
type weighed struct{ weight int }

func (w *weighed) SetStateWeight(bytes int)   { w.weight = bytes }
func (w *weighed) SetCopyableState(any) error { return nil }

// TestStateWeight compares the weights of the states of caches with the prices of their bytes.
func TestStateWeight(t *testing.T) {
	long := str(strings.Repeat("k", 1000))
	cache := func(state any) []banana.Expr { return x("m.Cache", 5, state) }
	price := func(e banana.Expr) int {
		var s banana.Scanner
		s.Init(banana.ProfilePB, banana.Limits{})
		s.SetPrices(Prices())
		frame := bin(t, e)
		n, err := s.Next(frame)
		require.NoError(t, err)
		require.Len(t, frame, n)
		return s.Cost()
	}
	shared := x("list", x("reference", 1, long), cache(x("list", x("dereference", 1))), cache(long))
	nested := x("list", cache(x("list", cache(long))), cache(x("None")))
	for name, test := range map[string]struct {
		value []banana.Expr
		want  []int // inner caches first
	}{
		"alone":   {cache(long), []int{price(long)}},
		"several": {x("list", cache(long), long, cache(x("None"))), []int{price(long), price(x("None"))}},
		"shared":  {shared, []int{price(shared), price(long)}},
		"nested":  {nested, []int{price(nested), price(x("list", cache(long))), price(x("None"))}},
	} {
		t.Run(name, func(t *testing.T) {
			var made []*weighed
			registry := NewRegistry()
			require.NoError(t, registry.Register("m.Cache", ClassEntry{Kind: RemoteCache, New: func() any {
				made = append(made, new(weighed))
				return made[len(made)-1]
			}}))
			d := Decoder{Registry: registry}
			var r banana.Reader
			r.Reset(bin(t, test.value), banana.ProfilePB)
			var v any
			require.NoError(t, d.Decode(&r, &v))
			require.NoError(t, Unjelly(d.Unbound(), nil, nil))
			got := make([]int, len(made))
			for i, w := range made {
				got[i] = w.weight
			}
			assert.Equal(t, test.want, got)
		})
	}
}
