package flavors_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// archive keeps its invocations.
type archive struct {
	flavors.Root
	kept  []*flavors.Invocation
	later []*actor.Deferred
}

func (*archive) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Func1(
			"file",
			func(a *archive, inv *flavors.Invocation, n int) (int, error) { return a.RemoteKeep(inv, n), nil },
		),
		flavors.Method2("sum", (*archive).sum),
		flavors.Method1("wait", (*archive).wait),
	)
}

func (a *archive) RemoteKeep(inv *flavors.Invocation, n int) int {
	a.kept = append(a.kept, inv)
	return n
}

func (*archive) RemoteAdd(x, y int) int                             { return x + y }
func (*archive) sum(x, y int) (int, error)                          { return x + y, nil }
func (*archive) RemoteFail(text string) error                       { return fmt.Errorf("it says %s", text) }
func (*archive) RemoteAll(ns ...any) int                            { return len(ns) }
func (*archive) RemoteHalf(ctx context.Context, n int) (int, error) { return n / 2, ctx.Err() }

// wait answers after the next one.
func (a *archive) wait(n int) (*actor.Deferred, error) {
	for _, d := range a.later {
		d.Complete(len(a.later), nil)
	}
	d := new(actor.Deferred)
	a.later = append(a.later[:0], d)
	if n < 0 {
		d.Complete(n, nil)
	}
	return d, nil
}

// Invocations and calls without other references are pooled. Among many calls of all kinds each gets its own answer,
// and what a method has kept does not change.
func TestPooledCallsAreNotShared(t *testing.T) {
	root := &archive{}
	s := newServer(t, root)
	conn := s.Dial()
	var all sync.WaitGroup
	for caller := range 8 {
		all.Go(func() {
			for i := range 200 {
				n := 1000*caller + i
				got, err := flavors.Call[int](t.Context(), conn.Root(), []string{"add", "sum"}[i%2], n, n)
				assert.NoError(t, err)
				assert.Equal(t, 2*n, got)
				got, err = flavors.Call[int](t.Context(), conn.Root(), []string{"keep", "file"}[i%2], n)
				assert.NoError(t, err)
				assert.Equal(t, n, got)
				_, err = flavors.Call[int](t.Context(), conn.Root(), "fail", fmt.Sprint(n))
				assert.ErrorContains(t, err, fmt.Sprintf("it says %d", n))
				got, err = flavors.Call[int](t.Context(), conn.Root(), "all", 1, 2, 3, 4, 5, n)
				assert.NoError(t, err)
				assert.Equal(t, 6, got)
				assert.NoError(t, conn.Root().CallRemoteNoAnswer("add", n, n))
				text, err := flavors.Call[float64](t.Context(), conn.Root(), "half", 2*n)
				assert.NoError(t, err)
				assert.InDelta(t, n, text, 0)
			}
		})
	}
	all.Wait()
	_, err := root.Do(func() {
		require.Len(t, root.kept, 8*200)
		seen := map[int64]bool{}
		ids := map[int64]bool{}
		for _, inv := range root.kept {
			require.Len(t, inv.Args, 1)
			require.Contains(t, []string{"keep", "file"}, inv.Method)
			seen[inv.Args[0].(int64)] = true
			ids[inv.RequestID()] = true
			require.True(t, inv.WantsAnswer())
			require.NoError(t, inv.Context().Err())
		}
		require.Len(t, seen, 8*200)
		require.Len(t, ids, 8*200)
	}).Await(t.Context())
	require.NoError(t, err)
}

// A cancelled call, and one that is answered later, are not pooled while the connection refers to them.
func TestCancelledCallsAreNotPooled(t *testing.T) {
	root := &archive{}
	s := newServer(t, root)
	conn := s.Dial()
	for i := range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := flavors.Call[int](ctx, conn.Root(), "wait", i)
		require.ErrorIs(t, err, context.Canceled)
		got, err := flavors.Call[int](t.Context(), conn.Root(), "sum", i, 1)
		require.NoError(t, err)
		require.Equal(t, i+1, got)
	}
	got, err := flavors.Call[int](t.Context(), conn.Root(), "wait", -7)
	require.NoError(t, err)
	require.Equal(t, -7, got)
}
