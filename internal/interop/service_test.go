package interop

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// errCustom and errExpected bear the names of the classes in python/conformance.py.
var (
	errCustom   = flavors.NewException("conformance.Custom", flavors.PlainException)
	errExpected = flavors.NewException("conformance.Expected", flavors.PBError)
)

// service is the Go side of python/stock_server.py, one for each connection.
type service struct {
	flavors.Root
	conn   *broker.Conn
	shared *shared
	kept   map[string]any
	cache  *flavors.Cached[remotePond]
	never  []*actor.Deferred
}

// shared is what all connections of a server have in common.
type shared struct {
	living atomic.Int64 // counters that were not collected
	mu     sync.Mutex
	ponds  map[string]*pond
}

// startService listens with the conformance methods; everything is closed when the test ends.
func startService(t *testing.T) (rt *actor.Runtime, ln *broker.Listener) {
	t.Helper()
	rt = newRuntime(t)
	common := &shared{ponds: map[string]*pond{}}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", broker.RootFactory(func(c *broker.Conn) (any, error) {
		return &service{conn: c, shared: common, kept: map[string]any{}}, nil
	}), broker.WithRegistry(newRegistry(t)))
	require.NoError(t, err)
	return rt, ln
}

// newRuntime must have nothing left running when the test ends; TestMain would see it.
func newRuntime(t *testing.T) *actor.Runtime {
	t.Helper()
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel)))
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stock.Patience)
		defer cancel()
		require.NoError(t, rt.Close(ctx))
	})
	return rt
}

// PublishMethods names the parameters of add, as Python's keywords do.
func (s *service) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("add", "RemoteAdd", "a", "b=None"))
}

func (s *service) RemoteEcho(x any) any { return x }

func (s *service) RemoteAdd(a, b *big.Int) *big.Int {
	if b == nil {
		b = big.NewInt(10)
	}
	return new(big.Int).Add(a, b)
}

func (s *service) RemoteKwargs(kw flavors.Kw, args ...any) []any { return []any{args, kw} }

func (s *service) RemoteFail(kind, text string) error {
	switch kind {
	case "error":
		return errors.New(text)
	case "typed":
		return errCustom.New(text)
	case "expected":
		return errExpected.New(text)
	case "panic":
		panic(text)
	}
	return fmt.Errorf("fail: no kind %q", kind)
}

func (s *service) RemoteLater(inv *flavors.Invocation, ms int, x any) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	time.AfterFunc(time.Duration(ms)*time.Millisecond, func() { d.Complete(x, nil) })
	return d
}

func (s *service) RemoteNever(inv *flavors.Invocation) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	s.never = append(s.never, d)
	return d
}

func (s *service) RemoteCallback(ref *flavors.RemoteReference, method string, args []any) *actor.Deferred {
	return ref.CallRemote(method, args...)
}

func (s *service) RemoteHold(key string, ref any) { s.kept[key] = ref }

func (s *service) RemoteHeld(key string) (any, error) {
	ref, ok := s.kept[key]
	if !ok {
		return nil, flavors.KeyError.Errorf("nothing is held as %q", key)
	}
	return ref, nil
}

func (s *service) RemoteRelease(key string) error {
	ref, err := s.RemoteHeld(key)
	if remote, ok := ref.(*flavors.RemoteReference); ok {
		remote.Release()
	}
	delete(s.kept, key)
	return err
}

func (s *service) RemoteCounter() *counter {
	c := &counter{}
	s.shared.living.Add(1)
	runtime.AddCleanup(c, func(common *shared) { common.living.Add(-1) }, s.shared)
	return c
}

func (s *service) RemoteCounters() int64 {
	runtime.GC()
	return s.shared.living.Load()
}

func (s *service) RemoteStats() map[string]int {
	runtime.GC()
	return map[string]int{"exports": s.conn.Exports(), "goroutines": runtime.NumGoroutine()}
}

func (s *service) RemoteClose() *actor.Deferred {
	s.conn.Abort(nil)
	return actor.NewDeferred(s.conn.Runtime())
}

// counter counts, and starts from nothing after a panic.
type counter struct {
	flavors.Referenceable
	n int
}

// Reset implements flavors.Resetter.
func (c *counter) Reset() { c.n = 0 }

// PublishMethods gives incr its default.
func (c *counter) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("incr", "RemoteIncr", "n=1"))
}

func (c *counter) RemoteIncr(n int) int { c.n += n; return c.n }
func (c *counter) RemoteValue() int     { return c.n }
func (c *counter) RemoteSelf() *counter { return c }
func (c *counter) RemoteBoom()          { panic("boom") }
