package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mathematician takes and gives numbers.
type mathematician struct{ flavors.Referenceable }

func (*mathematician) RemoteSum(numbers []int) (sum int) {
	for _, n := range numbers {
		sum += n
	}
	return sum
}

func (*mathematician) RemoteHalves(n int) []float32 { return make([]float32, n) }

func (*mathematician) RemoteType(v any) string { return fmt.Sprintf("%T", v) }

func (*mathematician) RemoteEcho(v any) any { return v }

func (*mathematician) RemoteLength(s string) int { return len(s) }

// TestArraysArrive sends slices of numbers under both dialects (P-12.1, P-12.4).
func TestArraysArrive(t *testing.T) {
	for name, opts := range onPromises {
		t.Run(name, func(t *testing.T) {
			conn := pbtest.NewServer(t, &mathematician{}, opts...).Dial()
			root := conn.Root()
			for _, numbers := range []any{
				[]int{1, -2, 3}, []int8{1, -2, 3}, []int32{1, -2, 3}, []int64{1, -2, 3}, []any{1, -2, 3},
			} {
				sum, err := flavors.Call[int](t.Context(), root, "sum", numbers)
				require.NoError(t, err)
				assert.Equal(t, 2, sum, "%T", numbers)
			}
			_, err := flavors.Call[int](t.Context(), root, "sum", []float64{1.5})
			require.ErrorIs(t, err, flavors.TypeError)
			halves, err := flavors.Call[[]float64](t.Context(), root, "halves", 3)
			require.NoError(t, err)
			assert.Equal(t, []float64{0, 0, 0}, halves)
			typ, err := flavors.Call[string](t.Context(), root, "type", []uint16{1})
			require.NoError(t, err)
			assert.Equal(t, map[string]string{"pb+1": "[]uint16", "pb": "[]interface {}"}[name], typ)
			typ, err = flavors.Call[string](t.Context(), root, "type", []byte{1})
			require.NoError(t, err)
			assert.Equal(t, "[]uint8", typ)
		})
	}
}

// TestArraysOnTheWire reads and writes arrays (P-12.1, P-12.2, P-12.3).
func TestArraysOnTheWire(t *testing.T) {
	p := wire.Connect(t, pbtest.NewServer(t, &mathematician{}).Listener.Addr().String())
	p.JoinAs(banana.ProfilePB1)
	p.Write(`[message 1 root sum 1 [tuple [array i2 "\x01\x00\xff\xff\x07\x00"]] [dictionary]]`)
	p.Want(`[answer 1 7]`)
	p.Write(`[message 2 root echo 1 [tuple [list [reference 1 [array f4 "\x00\x00\x80\x3f"]] [dereference 1]]]
		[dictionary]]`)
	p.Want(`[answer 2 [list [reference 1 [array f4 "\x00\x00\x80\x3f"]] [dereference 1]]]`)
	for _, bad := range []string{
		`[array i3 "\x01\x02\x03"]`, `[array bool "\x01"]`, `[array i4 "\x01"]`, `[array i4 [list 1]]`, `[array i4]`,
		`[array]`,
	} {
		p.Write(`[message 3 root sum 1 [tuple ` + bad + `] [dictionary]]`)
		p.Want(`[error 3 _]`)
	}
	p.Write(`[message 4 root sum 1 [tuple [array u1 "\x01"]] [dictionary]]`)
	pbtest.WantError(t, p, 4, "builtins.TypeError")
	p.WantIdle()
}

// TestLongStrings sends strings of more than 640 KiB (P-12.5).
func TestLongStrings(t *testing.T) {
	long := strings.Repeat("x", banana.DefaultString+1)
	for name, opts := range onPromises {
		t.Run(name, func(t *testing.T) {
			conn := pbtest.NewServer(t, &mathematician{}, opts...).Dial()
			for _, v := range []any{long, []byte(long), make([]float64, len(long))} {
				echoed, err := flavors.Call[any](t.Context(), conn.Root(), "echo", v)
				if name == "pb" {
					require.ErrorContains(t, err, "too long")
					continue
				}
				require.NoError(t, err)
				assert.Equal(t, v, echoed)
			}
			_, err := flavors.Call[any](t.Context(), conn.Root(), "echo", strings.Repeat("x", banana.DefaultFrame))
			require.Error(t, err)
			n, err := flavors.Call[int](t.Context(), conn.Root(), "length", "short")
			require.NoError(t, err)
			assert.Equal(t, 5, n)
		})
	}
}

// TestLongStringLimit keeps a limit of strings that the application has set (P-12.5).
func TestLongStringLimit(t *testing.T) {
	limits := broker.WithLimits(broker.Limits{Banana: banana.Limits{String: 1000}})
	conn := pbtest.NewServer(t, &mathematician{}, limits).Dial()
	_, err := flavors.Call[int](t.Context(), conn.Root(), "length", strings.Repeat("x", 1001))
	require.ErrorIs(t, err, flavors.ConnectionLost)
}

// TestArrayMemory refuses numbers for whose wider form the runtime has no room, before they are decoded.
func TestArrayMemory(t *testing.T) {
	limits := broker.Limits{MemoryTotal: 2 << 20}
	s := pbtest.NewServer(t, &mathematician{}, broker.WithLimits(limits))
	p := wire.Connect(t, s.Listener.Addr().String())
	p.JoinAs(banana.ProfilePB1)
	array := func(code string, n int) string {
		return `[message 1 root sum 1 [tuple [array ` + code + ` "` + strings.Repeat(`\x00`, n) + `"]] [dictionary]]`
	}
	p.Write(array("i8", 1<<19))
	p.Want(`[answer 1 0]`)
	p.Write(array("i1", 1<<19))
	pbtest.WantError(t, p, 1, "perspectivebroker.Busy")
	p.WantIdle()
}
