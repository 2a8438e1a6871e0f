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

// newClient starts a system's server and returns a client for it.
func newClient(t *testing.T, name string) *client {
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

func TestOpenExports(t *testing.T) {
	c := newClient(t, "ours")
	open := Request{Op: OpOpen, Conns: 1, Exports: 10, Callers: 3}
	run := c.mustDo(t, open, Request{Op: OpCallAll}, Request{Op: OpRun, Millis: 10})
	assert.Equal(t, 10, c.handles.Len())
	assert.Len(t, c.callers, 3)
	assert.Positive(t, run.Calls)
	c.mustDo(t, Request{Op: OpClose})
	_, err := c.do(t.Context(), Request{Op: OpCallAll})
	assert.ErrorContains(t, err, "no objects have been exported", "closing the connections drops the exports")
}

func TestOpenCaches(t *testing.T) {
	c := newClient(t, "ours")
	c.mustDo(t, Request{Op: OpOpen, Conns: 1, Caches: 7})
	assert.Len(t, c.copies, 7)
	c.mustDo(t, Request{Op: OpClose})
	assert.Nil(t, c.copies)
}

func TestHoldAndRelease(t *testing.T) {
	c := newClient(t, "ours")
	c.mustDo(t, Request{Op: OpRelease}, Request{Op: OpOpen, Conns: 1}, Request{Op: OpHold, Count: 150})
	require.NotNil(t, c.release)
	c.mustDo(t, Request{Op: OpRelease})
	assert.Nil(t, c.release, "calls are released once")
	c.mustDo(t, Request{Op: OpRelease}, Request{Op: OpClose})
}

// Each call of the only caller is a change that every connection has seen.
func TestOpenWatch(t *testing.T) {
	c := newClient(t, "ours")
	c.mustDo(t, Request{Op: OpOpen, Conns: 3, Callers: 1, Watch: true})
	require.Len(t, c.callers, 1)
	seen := make([]atomic.Int64, len(c.conns))
	for i, conn := range c.conns {
		// Count the changes that each connection sees.
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

func TestUnsupportedRequests(t *testing.T) {
	c := newClient(t, "netrpc")
	for want, r := range map[string]Request{
		"netrpc cannot export objects": {Op: OpOpen, Conns: 1, Exports: 1},
		"netrpc cannot cache objects":  {Op: OpOpen, Conns: 1, Caches: 1},
		"netrpc cannot watch objects":  {Op: OpOpen, Conns: 1, Watch: true},
		"netrpc cannot hold calls":     {Op: OpHold, Count: 1},
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

// failingConn is a connection on which some operations fail.
type failingConn struct {
	change, watch, export error
	badHandle             int // the index of the handle whose calls fail
	closed                *atomic.Int64
}

func (b failingConn) Add(context.Context, int, int) (int, error)             { return 0, errBroken }
func (b failingConn) Echo(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }
func (b failingConn) Watch(context.Context, func(int)) error                 { return b.watch }
func (b failingConn) Change(context.Context, int) error                      { return b.change }
func (b failingConn) Export(context.Context, int) (systems.Handles, error) {
	return handles{b.badHandle}, b.export
}
func (b failingConn) Cache(context.Context, int) (any, error) { return nil, errBroken }
func (b failingConn) Hold(context.Context, int) (func() error, error) {
	return func() error { return errBroken }, nil
}
func (b failingConn) Close() error { b.closed.Add(1); return nil }

type handles struct{ bad int }

func (handles) Len() int { return 100 }
func (handles) Release() {}
func (h handles) Add(_ context.Context, i, a, b int) (int, error) {
	if i == h.bad {
		return 0, errBroken
	}
	return a + b, nil
}

// failingClient returns a client whose connections are b and whose n-th dial fails.
func failingClient(b failingConn, n int64) *client {
	b.closed = &atomic.Int64{}
	var dialed atomic.Int64
	return &client{system: systems.System{Name: "failing", Dial: func(context.Context, string) (load.Client, error) {
		if dialed.Add(1) == n {
			return nil, errBroken
		}
		return b, nil
	}}}
}

func TestFailingRequests(t *testing.T) {
	for name, c := range map[string]struct {
		client   failingConn
		requests []Request
	}{
		"export":  {failingConn{export: errBroken}, []Request{{Op: OpOpen, Conns: 1, Exports: 1, Callers: 1}}},
		"callall": {failingConn{badHandle: 57}, []Request{{Op: OpOpen, Conns: 1, Exports: 1}, {Op: OpCallAll}}},
		"cache":   {failingConn{}, []Request{{Op: OpOpen, Conns: 1, Caches: 1}}},
		"watch":   {failingConn{watch: errBroken}, []Request{{Op: OpOpen, Conns: 5, Watch: true}}},
		"change": {failingConn{change: errBroken}, []Request{
			{Op: OpOpen, Conns: 2, Watch: true}, {Op: OpRun, Millis: 1000}}},
		"add":  {failingConn{}, []Request{{Op: OpOpen, Conns: 1, Callers: 1}, {Op: OpRun, Millis: 1000}}},
		"hold": {failingConn{}, []Request{{Op: OpOpen, Conns: 1}, {Op: OpHold, Count: 1}, {Op: OpRelease}}},
	} {
		t.Run(name, func(t *testing.T) {
			last := len(c.requests) - 1
			client := failingClient(c.client, 0)
			client.mustDo(t, c.requests[:last]...)
			_, err := client.do(t.Context(), c.requests[last])
			assert.ErrorIs(t, err, errBroken)
		})
	}
}

// If one dial fails, OpOpen closes the other connections, so that it can be repeated.
func TestOpenIsAtomic(t *testing.T) {
	c := failingClient(failingConn{}, 3)
	_, err := c.do(t.Context(), Request{Op: OpOpen, Conns: 5})
	require.ErrorIs(t, err, errBroken)
	assert.Empty(t, c.conns)
	c.mustDo(t, Request{Op: OpOpen, Conns: 5})
	for _, conn := range c.conns {
		assert.EqualValues(t, 4, conn.(failingConn).closed.Load(), "the other connections were closed")
	}
}

func TestServeError(t *testing.T) {
	var out strings.Builder
	system := systems.System{Name: "failing", Serve: func() (string, error) { return "", errBroken }}
	err := RunServer(system, strings.NewReader(""), &out)
	require.ErrorIs(t, err, errBroken)
	assert.ErrorContains(t, err, "serving failing")
	assert.Empty(t, out.String(), "no ready reply")
}

// A child ends if it cannot parse a request or cannot write a reply.
func TestBrokenProtocol(t *testing.T) {
	system, ok := systems.ByName("netrpc")
	require.True(t, ok)
	var out strings.Builder
	err := RunClient(system, "", strings.NewReader("{\"op\": \"usage\"}\nhello\n"), &out)
	require.ErrorContains(t, err, "invalid character 'h'")
	assert.Equal(t, 2, strings.Count(out.String(), "\n"), "the ready reply and the reply to the first request")
	for replies := range 2 {
		err := RunClient(system, "", strings.NewReader(`{"op": "usage"}`), &failingWriter{after: replies})
		assert.ErrorIs(t, err, errBroken)
	}
}

// failingWriter fails after some writes.
type failingWriter struct{ after int }

// Write implements io.Writer.
func (d *failingWriter) Write(p []byte) (int, error) {
	if d.after--; d.after < 0 {
		return 0, errBroken
	}
	return len(p), nil
}
