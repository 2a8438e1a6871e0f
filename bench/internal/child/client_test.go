package child

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// clientOf is a client of a system's server.
func clientOf(t *testing.T, name string) *client {
	t.Helper()
	system, ok := systems.ByName(name)
	require.True(t, ok)
	addr, err := system.Serve()
	require.NoError(t, err)
	return &client{system: system, addr: addr}
}

func (c *client) mustDo(t *testing.T, requests ...Request) (last Reply) {
	t.Helper()
	for _, r := range requests {
		var err error
		last, err = c.do(t.Context(), r)
		require.NoError(t, err, r.Op)
	}
	return last
}

func TestCallersWalkOverExportedObjects(t *testing.T) {
	c := clientOf(t, "ours")
	run := c.mustDo(t, Request{Op: OpOpen, Conns: 1, Exports: 10, Callers: 3}, Request{Op: OpTour}, Request{Op: OpRun, Millis: 10})
	assert.Equal(t, 10, c.handles.Len())
	assert.Len(t, c.callers, 3)
	assert.Positive(t, run.Calls)
	c.mustDo(t, Request{Op: OpClose})
	_, err := c.do(t.Context(), Request{Op: OpTour})
	assert.ErrorContains(t, err, "nothing has been exported", "what was exported has gone with the connection")
}

func TestCopiesAreKeptUntilTheConnectionIsClosed(t *testing.T) {
	c := clientOf(t, "ours")
	c.mustDo(t, Request{Op: OpOpen, Conns: 1, Caches: 7})
	assert.Len(t, c.copies, 7)
	c.mustDo(t, Request{Op: OpClose})
	assert.Nil(t, c.copies)
}

func TestCallsAreHeldUntilTheyAreReleased(t *testing.T) {
	c := clientOf(t, "ours")
	c.mustDo(t, Request{Op: OpRelease}, Request{Op: OpOpen, Conns: 1}, Request{Op: OpHold, Count: 150})
	require.NotNil(t, c.letGo)
	c.mustDo(t, Request{Op: OpRelease})
	assert.Nil(t, c.letGo, "they are answered once")
	c.mustDo(t, Request{Op: OpRelease}, Request{Op: OpClose})
}

// One call of the only caller is a change that every connection has seen.
func TestEveryConnectionSeesEveryChange(t *testing.T) {
	c := clientOf(t, "ours")
	c.mustDo(t, Request{Op: OpOpen, Conns: 3, Callers: 1, Watch: true})
	require.Len(t, c.callers, 1)
	seen := make([]atomic.Int64, len(c.conns))
	for i, conn := range c.conns {
		// The callers' own way of seeing is replaced by one that counts and then does the same.
		c.conns[i] = &counting{Client: conn, Watcher: conn.(systems.Watcher), seen: &seen[i]}
	}
	require.NoError(t, c.watch(t.Context()))
	run := c.mustDo(t, Request{Op: OpRun, Millis: 10})
	require.Positive(t, run.Calls)
	for i := range seen {
		assert.Equal(t, run.Calls, seen[i].Load(), "connection %d", i)
	}
	c.mustDo(t, Request{Op: OpClose})
}

// counting counts the changes that a connection sees.
type counting struct {
	load.Client
	systems.Watcher
	seen *atomic.Int64
}

// Watch implements systems.Watcher.
func (c *counting) Watch(ctx context.Context, seen func(int)) error {
	return c.Watcher.Watch(ctx, func(n int) {
		c.seen.Add(1)
		seen(n)
	})
}

func TestClientSaysWhatASystemDoesNotHave(t *testing.T) {
	c := clientOf(t, "netrpc")
	for want, r := range map[string]Request{
		"netrpc exports no objects":    {Op: OpOpen, Conns: 1, Exports: 1},
		"netrpc has no caches":         {Op: OpOpen, Conns: 1, Caches: 1},
		"netrpc has nothing to watch":  {Op: OpOpen, Conns: 1, Watch: true},
		"netrpc leaves no calls unans": {Op: OpHold, Count: 1},
	} {
		if r.Op == OpHold {
			c.mustDo(t, Request{Op: OpOpen, Conns: 1})
		}
		_, err := c.do(t.Context(), r)
		assert.ErrorContains(t, err, want)
		c.mustDo(t, Request{Op: OpClose})
	}
}

var errBroken = errors.New("broken")

// brittle is a client, some of whose doings fail.
type brittle struct {
	change, watch, export error
	faulty                int // the handle that cannot be called
	closed                *atomic.Int64
}

func (b brittle) Add(context.Context, int, int) (int, error)             { return 0, errBroken }
func (b brittle) Echo(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }
func (b brittle) Watch(context.Context, func(int)) error                 { return b.watch }
func (b brittle) Change(context.Context, int) error                      { return b.change }
func (b brittle) Export(context.Context, int) (systems.Handles, error) {
	return handles{b.faulty}, b.export
}
func (b brittle) Cache(context.Context, int) (any, error) { return nil, errBroken }
func (b brittle) Hold(context.Context, int) (func() error, error) {
	return func() error { return errBroken }, nil
}
func (b brittle) Close() error { b.closed.Add(1); return nil }

type handles struct{ faulty int }

func (handles) Len() int { return 100 }
func (handles) Release() {}
func (h handles) Add(_ context.Context, i, a, b int) (int, error) {
	if i == h.faulty {
		return 0, errBroken
	}
	return a + b, nil
}

// brittleClient is a client whose n-th connection cannot be made.
func brittleClient(b brittle, n int64) *client {
	b.closed = &atomic.Int64{}
	var dialed atomic.Int64
	return &client{system: systems.System{Name: "brittle", Dial: func(context.Context, string) (load.Client, error) {
		if dialed.Add(1) == n {
			return nil, errBroken
		}
		return b, nil
	}}}
}

func TestWhatASystemCannotDoIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		client   brittle
		requests []Request
	}{
		"export": {brittle{export: errBroken}, []Request{{Op: OpOpen, Conns: 1, Exports: 1, Callers: 1}}},
		"tour":   {brittle{faulty: 57}, []Request{{Op: OpOpen, Conns: 1, Exports: 1}, {Op: OpTour}}},
		"cache":  {brittle{}, []Request{{Op: OpOpen, Conns: 1, Caches: 1}}},
		"watch":  {brittle{watch: errBroken}, []Request{{Op: OpOpen, Conns: 5, Watch: true}}},
		"change": {brittle{change: errBroken}, []Request{{Op: OpOpen, Conns: 2, Watch: true}, {Op: OpRun, Millis: 1000}}},
		"add":    {brittle{}, []Request{{Op: OpOpen, Conns: 1, Callers: 1}, {Op: OpRun, Millis: 1000}}},
		"hold":   {brittle{}, []Request{{Op: OpOpen, Conns: 1}, {Op: OpHold, Count: 1}, {Op: OpRelease}}},
	} {
		t.Run(name, func(t *testing.T) {
			last := len(c.requests) - 1
			client := brittleClient(c.client, 0)
			client.mustDo(t, c.requests[:last]...)
			_, err := client.do(t.Context(), c.requests[last])
			assert.ErrorIs(t, err, errBroken)
		})
	}
}

// Of connections that were to be made together none is kept when one cannot be, so that they can be asked for again.
func TestOpeningIsAllOrNothing(t *testing.T) {
	c := brittleClient(brittle{}, 3)
	_, err := c.do(t.Context(), Request{Op: OpOpen, Conns: 5})
	require.ErrorIs(t, err, errBroken)
	assert.Empty(t, c.conns)
	c.mustDo(t, Request{Op: OpOpen, Conns: 5})
	for _, conn := range c.conns {
		assert.EqualValues(t, 4, conn.(brittle).closed.Load(), "those that had been made were closed")
	}
}

func TestAServerThatCannotServeSaysWhy(t *testing.T) {
	var out strings.Builder
	err := Serve(systems.System{Name: "brittle", Serve: func() (string, error) { return "", errBroken }}, strings.NewReader(""), &out)
	require.ErrorIs(t, err, errBroken)
	assert.ErrorContains(t, err, "serving brittle")
	assert.Empty(t, out.String(), "it is not ready")
}

// A child ends when it does not understand what it is told, or cannot answer.
func TestAChildEndsWithItsConversation(t *testing.T) {
	system, ok := systems.ByName("netrpc")
	require.True(t, ok)
	var out strings.Builder
	err := Call(system, "", strings.NewReader("{\"op\": \"usage\"}\nhello\n"), &out)
	require.ErrorContains(t, err, "invalid character 'h'")
	assert.Equal(t, 2, strings.Count(out.String(), "\n"), "ready, and an answer to what it did understand")
	for answers := range 2 {
		err := Call(system, "", strings.NewReader(`{"op": "usage"}`), &deaf{after: answers})
		assert.ErrorIs(t, err, errBroken)
	}
}

// deaf takes some lines and no more.
type deaf struct{ after int }

// Write implements io.Writer.
func (d *deaf) Write(p []byte) (int, error) {
	if d.after--; d.after < 0 {
		return 0, errBroken
	}
	return len(p), nil
}
