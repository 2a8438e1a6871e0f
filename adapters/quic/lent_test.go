package quic_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lender takes and returns bytes that are lent.
type lender struct {
	flavors.Root
	seen chan *flavors.Lent
}

// RemoteEcho returns what is lent to it.
func (*lender) RemoteEcho(l *flavors.Lent) *flavors.Lent { return l }

// RemoteKeep keeps what is lent to it.
func (r *lender) RemoteKeep(l *flavors.Lent) int {
	r.seen <- l
	return l.Len()
}

// Strings are lent over QUIC as over other transports, and given back at both ends.
func TestLent(t *testing.T) {
	root := &lender{seen: make(chan *flavors.Lent, 1)}
	h := newHouse(t, root, nil)
	conn := h.dial(t, h.ln.URL())
	echo := func(seed byte, size int) {
		b := bytes.Repeat([]byte{seed, 1, 2, 3, 4, 5, 6}, size/7+1)[:size]
		sent, want := flavors.Lend(b), bytes.Clone(b)
		got, err := flavors.Call[*flavors.Lent](t.Context(), conn.Root(), "echo", sent)
		sent.Release()
		<-sent.Done()
		clear(b)
		if assert.NoError(t, err) {
			assert.True(t, bytes.Equal(want, got.Bytes()))
			got.Release()
			got.Release()
			<-got.Done()
		}
	}
	for round := range byte(4) {
		var calls sync.WaitGroup
		for i, size := range []int{0, 1, 31 << 10, 64 << 10, 100_000, 512 << 10} {
			calls.Go(func() { echo(10*round+byte(i), size) })
		}
		calls.Wait()
	}
	for i := range 3 { // With the first call of a method nothing is lent.
		n, err := flavors.Call[int](t.Context(), conn.Root(), "keep", bytes.Repeat([]byte("kept"), 50_000))
		require.NoError(t, err)
		require.Equal(t, 200_000, n)
		if kept := <-root.seen; i > 0 {
			<-kept.Done()
			require.Nil(t, kept.Bytes())
		}
	}
	pbtest.Eventually(t, func() bool { return broker.StatsOf(h.rt).BytesHeld < 64<<10 })
}
