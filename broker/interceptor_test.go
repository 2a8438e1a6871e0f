package broker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// aroundFunc is an interceptor as one function.
type aroundFunc = func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error)

// around makes an interceptor of a function that gets next as well.
func around(f aroundFunc) flavors.Interceptor {
	return flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) { return f(ctx, call, next) }
	})
}

// trail is what interceptors and methods have noted.
type trail struct {
	mu    sync.Mutex
	steps []string
}

func (l *trail) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = append(l.steps, fmt.Sprintf(format, args...))
}

func (l *trail) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.steps)
}

// noting notes when calls begin and end.
func (l *trail) noting(name string) flavors.Interceptor {
	return around(func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
		l.add("%s: %s", name, call)
		v, err := next(ctx, call)
		return flavors.WhenDone(v, err, func(v any, err error) (any, error) {
			l.add("%s: %v, %v", name, v, err != nil)
			return v, err
		})
	})
}

// inn is what the tests of interceptors call.
type inn struct {
	flavors.Referenceable
	trail
	later    *actor.Deferred
	metadata flavors.Metadata
	value    any
	resets   atomic.Int64
}

type guestKey struct{}

func (s *inn) Reset() { s.resets.Add(1) }

func (s *inn) RemoteEcho(ctx context.Context, inv *flavors.Invocation, v any, _ flavors.Kw) any {
	s.add("echo")
	s.metadata, s.value = inv.Metadata(), ctx.Value(guestKey{})
	if inv.Context() != ctx {
		return errors.New("another context")
	}
	return v
}

func (s *inn) RemoteAdd(a, b int) int       { s.add("add"); return a + b }
func (s *inn) RemoteLater() *actor.Deferred { s.add("later"); return s.later }
func (s *inn) RemotePanic()                 { s.add("panic"); panic("secret") }
func (s *inn) RemoteNothing()               { s.add("nothing") }
func (s *inn) RemoteGoexit()                { runtime.Goexit() }
func (s *inn) RemoteFail() error            { s.add("fail"); return flavors.ValueError.New("no") }
func (s *inn) RemoteEarly(inv *flavors.Invocation) int {
	inv.Answer(7, nil)
	return 8
}

// interceptedPair serves an inn and calls it. Both sides may have interceptors.
func interceptedPair(t *testing.T, in, out []flavors.Interceptor) (s *inn, root *flavors.RemoteReference) {
	t.Helper()
	s = &inn{}
	rt, far := newRuntime(t), newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", s, broker.WithInterceptor(in...))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), far, ln.URL(), broker.WithInterceptor(out...))
	require.NoError(t, err)
	t.Cleanup(func() {
		// Every call was answered, once: a second answer would have ended the connection.
		require.NoError(t, conn.Context().Err())
		require.Eventually(t, func() bool { return broker.StatsOf(rt).CallsIn.Pending == 0 }, patience, tick)
	})
	return s, conn.Root()
}

func TestInterceptorOrder(t *testing.T) {
	both := &trail{}
	s, root := interceptedPair(t,
		[]flavors.Interceptor{both.noting("in 1"), both.noting("in 2")},
		[]flavors.Interceptor{both.noting("out 1"), both.noting("out 2")})
	n, err := flavors.Call[int](t.Context(), root, "add", 1, 2)
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	assert.Equal(t, []string{
		"out 1: root.add", "out 2: root.add", "in 1: inn.add", "in 2: inn.add",
		"in 2: 3, false", "in 1: 3, false", "out 2: 3, false", "out 1: 3, false",
	}, both.all())
	assert.Equal(t, []string{"add"}, s.all())
}

func TestInterceptorOptionsAdd(t *testing.T) {
	l := &trail{}
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &inn{}, broker.WithInterceptor(l.noting("1")),
		broker.WithOptions(broker.WithInterceptor(l.noting("2"))), broker.WithInterceptor())
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), conn.Root(), "nothing")
	require.NoError(t, err)
	assert.Equal(t, []string{"1: inn.nothing", "2: inn.nothing", "2: <nil>, false", "1: <nil>, false"}, l.all())
}

func TestInterceptorSees(t *testing.T) {
	calls := make(chan *flavors.CallInfo, 2)
	look := around(func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
		_ = call.Args() // Whoever has asked for a part may ask for all of them, also after the call.
		calls <- call
		return next(ctx, call)
	})
	_, root := interceptedPair(t, []flavors.Interceptor{look}, []flavors.Interceptor{look})
	ctx := flavors.WithMetadata(t.Context(), flavors.Metadata{"k": "v"})
	_, err := flavors.Call[any](ctx, root, "echo", "text", flavors.Kw{"key": int64(1)})
	require.NoError(t, err)
	out, in := <-calls, <-calls
	assert.False(t, out.Incoming())
	assert.True(t, in.Incoming())
	for _, call := range []*flavors.CallInfo{out, in} {
		assert.Equal(t, "echo", call.Method())
		assert.Equal(t, []any{"text"}, call.Args())
		assert.Equal(t, flavors.Kw{"key": int64(1)}, call.Kw())
		assert.True(t, call.WantsAnswer())
		assert.NotNil(t, call.Conn())
		assert.Nil(t, call.Perspective())
	}
	assert.Equal(t, "root", out.Type())
	assert.Equal(t, "inn", in.Type())
	assert.Same(t, root, out.Reference())
	assert.Nil(t, in.Reference())
	assert.NotNil(t, in.Invocation())
	assert.Equal(t, flavors.Metadata{"k": "v"}, in.Metadata())
	assert.Nil(t, out.Metadata())
	require.NoError(t, root.CallRemoteNoAnswer("nothing"))
	out, in = <-calls, <-calls
	assert.False(t, out.WantsAnswer())
	assert.False(t, in.WantsAnswer())
	assert.Nil(t, in.Kw())
}

// A CallInfo that is looked at for the first time when the call is over never shows another call.
func TestInterceptorLooksLate(t *testing.T) {
	var seen sync.Map
	look := around(func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
		seen.Store(call, ctx)
		return next(ctx, call)
	})
	_, root := interceptedPair(t, []flavors.Interceptor{look}, []flavors.Interceptor{look})
	const calls = 100
	for n := range calls {
		_, err := flavors.Call[any](t.Context(), root, "echo", n, flavors.Kw{"key": n})
		require.NoError(t, err)
		_, err = flavors.Call[any](t.Context(), root, "nothing")
		require.NoError(t, err)
	}
	infos := 0
	seen.Range(func(key, _ any) bool {
		call := key.(*flavors.CallInfo)
		infos++
		assert.Contains(t, []string{"echo", "nothing"}, call.Method())
		assert.Contains(t, []string{"inn", "root"}, call.Type())
		assert.True(t, call.WantsAnswer())
		assert.NotNil(t, call.Conn())
		if call.Method() == "nothing" { // The method echo keeps its Invocation, and so what there is to see.
			assert.Empty(t, call.Args())
			assert.Nil(t, call.Kw())
			if inv := call.Invocation(); inv != nil { // The connection still had the call.
				assert.Equal(t, "inn.nothing", inv.String())
			}
			assert.Nil(t, call.Reference())
			assert.Nil(t, call.Perspective())
			assert.Contains(t, call.String(), "nothing")
		}
		return true
	})
	assert.Equal(t, 4*calls, infos)
}

// Calls that interceptors have asked for nothing leave nothing behind for others, whatever else goes on.
func TestInterceptorPools(t *testing.T) {
	pass := around(func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
		return next(ctx, call)
	})
	var odd atomic.Uint64
	sometimes := around(func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
		if odd.Add(1)%3 == 0 {
			args := call.Args()
			v, err := next(ctx, call)
			assert.Equal(t, args, call.Args())
			return v, err
		}
		return next(ctx, call)
	})
	_, root := interceptedPair(t, []flavors.Interceptor{pass, sometimes}, []flavors.Interceptor{sometimes, pass})
	var all sync.WaitGroup
	for caller := range 20 {
		all.Go(func() {
			for n := range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				if n%10 == 0 {
					cancel()
				}
				sum, err := flavors.Call[int](ctx, root, "add", caller, n)
				if err == nil {
					assert.Equal(t, caller+n, sum)
				}
				cancel()
			}
		})
	}
	all.Wait()
}

// An interceptor that has returned a result cannot make the call again.
func TestInterceptorCallsLate(t *testing.T) {
	late := make(chan func() (any, error), 1)
	s, root := interceptedPair(t, nil, []flavors.Interceptor{around(
		func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
			late <- func() (any, error) { return next(ctx, call) }
			return next(ctx, call)
		})})
	_, err := flavors.Call[any](t.Context(), root, "nothing")
	require.NoError(t, err)
	_, err = (<-late)()
	require.ErrorContains(t, err, "after it had returned the result")
	assert.Len(t, s.all(), 1)
}

func TestInterceptorRefuses(t *testing.T) {
	refuse := around(func(_ context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
		return nil, flavors.ValueError.New("refused " + call.Method())
	})
	t.Run("incoming", func(t *testing.T) {
		s, root := interceptedPair(t, []flavors.Interceptor{refuse}, nil)
		_, err := flavors.Call[int](t.Context(), root, "add", 1, 2)
		require.ErrorIs(t, err, flavors.ValueError)
		require.True(t, flavors.IsRemote(err))
		assert.ErrorContains(t, err, "refused add")
		assert.Empty(t, s.all())
	})
	t.Run("outgoing", func(t *testing.T) {
		s, root := interceptedPair(t, nil, []flavors.Interceptor{refuse})
		for name, call := range callsOf(root, "add", 1, 2) {
			assert.ErrorIs(t, call(t.Context()), flavors.ValueError, name)
		}
		assert.Empty(t, s.all())
		assert.Zero(t, root.Conn().(*broker.Conn).Stats().CallsOut.Made)
	})
}

// callsOf returns the ways to make a call.
func callsOf(root *flavors.RemoteReference, method string, args ...any) map[string]func(ctx context.Context) error {
	await := func(ctx context.Context, d *actor.Deferred) error {
		_, err := d.Await(ctx)
		return err
	}
	return map[string]func(ctx context.Context) error{
		"Call": func(ctx context.Context) error {
			_, err := flavors.Call[any](ctx, root, method, args...)
			return err
		},
		"CallInOrder": func(ctx context.Context) error {
			_, err := flavors.CallInOrder[any](ctx, root, method, args...)
			return err
		},
		"Start":      func(ctx context.Context) error { return await(ctx, flavors.Start(ctx, root, method, args...)) },
		"CallRemote": func(ctx context.Context) error { return await(ctx, root.CallRemote(method, args...)) },
		"Send":       func(ctx context.Context) error { return flavors.Send(ctx, root, method, args...) },
		"CallRemoteNoAnswer": func(context.Context) error {
			return root.CallRemoteNoAnswer(method, args...)
		},
	}
}

func TestInterceptorsOfAllCalls(t *testing.T) {
	out, in := &trail{}, &trail{}
	_, root := interceptedPair(t, []flavors.Interceptor{in.noting("in")}, []flavors.Interceptor{out.noting("out")})
	calls := callsOf(root, "add", 1, 2)
	for name, call := range calls {
		require.NoError(t, call(t.Context()), name)
	}
	_, err := flavors.Call[int](t.Context(), root, "add", 1, 2)
	require.NoError(t, err)
	assert.Len(t, out.all(), 2*len(calls)+2)
	assert.Len(t, in.all(), 2*len(calls)+2)
}

func TestInterceptorChangesContext(t *testing.T) {
	tag := around(func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
		if call.Incoming() {
			return next(context.WithValue(ctx, guestKey{}, call.Metadata()["user"]), call)
		}
		return next(flavors.WithMetadata(ctx, flavors.Metadata{"user": "ann"}), call)
	})
	s, root := interceptedPair(t, []flavors.Interceptor{tag}, []flavors.Interceptor{tag})
	for name, call := range callsOf(root, "echo", "text") {
		if name == "Send" || name == "CallRemoteNoAnswer" {
			continue
		}
		require.NoError(t, call(t.Context()), name)
		assert.Equal(t, flavors.Metadata{"user": "ann"}, s.metadata, name)
		assert.Equal(t, "ann", s.value, name)
		s.metadata, s.value = nil, nil
	}
}

func TestInterceptorsReplaceResults(t *testing.T) {
	double := around(func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
		v, err := next(ctx, call)
		return flavors.WhenDone(v, err, func(v any, err error) (any, error) {
			if n, err := flavors.As[int](v, err); err == nil {
				return 2 * n, nil
			}
			return "caught", nil
		})
	})
	s, root := interceptedPair(t, []flavors.Interceptor{double}, []flavors.Interceptor{double})
	s.later = actor.Succeeded(5)
	for method, want := range map[string]any{"later": int64(20), "fail": "caught", "panic": "caught"} {
		v, err := flavors.Call[any](t.Context(), root, method)
		require.NoError(t, err)
		assert.EqualValues(t, want, v, method)
		v, err = result(t, root.CallRemote(method))
		require.NoError(t, err)
		assert.EqualValues(t, want, v, method)
	}
}

func TestInterceptorAnswers(t *testing.T) {
	answer := func(v any) []flavors.Interceptor {
		return []flavors.Interceptor{around(
			func(context.Context, *flavors.CallInfo, flavors.CallFunc) (any, error) { return v, nil })}
	}
	for _, v := range []any{actor.Succeeded(nil), "cached"} {
		want, _ := v.(string)
		s, root := interceptedPair(t, answer(v), nil)
		got, err := flavors.Call[string](t.Context(), root, "add", 1, 2)
		if want == "" {
			require.ErrorContains(t, err, "cannot use None as string")
		} else {
			require.NoError(t, err)
		}
		assert.Equal(t, want, got)
		assert.Empty(t, s.all())
		_, root = interceptedPair(t, nil, answer(v))
		v, err := flavors.Call[any](t.Context(), root, "add", 1, 2)
		require.NoError(t, err)
		assert.Equal(t, want != "", v != nil)
	}
}

func TestInterceptorFaults(t *testing.T) {
	cases := map[string]struct {
		f       func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error)
		in, out string // what the error says; empty: none
		ran     bool   // the method has run
	}{
		"panic before": {
			f:  func(context.Context, *flavors.CallInfo, flavors.CallFunc) (any, error) { panic("secret") },
			in: "panicked", out: "an interceptor of the call root.nothing panicked",
		},
		"panic after": {
			f: func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
				_, _ = next(ctx, call)
				panic("secret")
			},
			in: "panicked", out: "an interceptor of the call root.nothing panicked", ran: true,
		},
		"twice": {
			f: func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
				if _, err := next(ctx, call); err != nil {
					return nil, err
				}
				return next(ctx, call)
			},
			in: "called next twice", ran: true,
		},
		"never": {
			f:  func(context.Context, *flavors.CallInfo, flavors.CallFunc) (any, error) { return nil, nil },
			in: "did not call next", out: "did not call next",
		},
		"no context": {
			f: func(_ context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
				return next(nil, call)
			},
			in: "the context is nil", out: "the context is nil",
		},
		"no call": {
			f: func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
				return next(ctx, &flavors.CallInfo{})
			},
			in: "without the CallInfo", out: "without the CallInfo",
		},
	}
	for name, c := range cases {
		t.Run("incoming/"+name, func(t *testing.T) {
			s, root := interceptedPair(t, []flavors.Interceptor{around(c.f)}, nil)
			_, err := flavors.Call[any](t.Context(), root, "nothing")
			require.Error(t, err)
			assert.ErrorContains(t, err, c.in)
			assert.NotContains(t, err.Error(), "secret")
			assert.Equal(t, c.ran, len(s.all()) == 1, "%v", s.all())
			require.NoError(t, root.CallRemoteNoAnswer("nothing"))
			_, err = flavors.Call[any](t.Context(), root, "nothing")
			require.Error(t, err, "the object goes on")
			assert.Zero(t, s.resets.Load(), "the object is not at fault")
		})
		t.Run("outgoing/"+name, func(t *testing.T) {
			_, root := interceptedPair(t, nil, []flavors.Interceptor{around(c.f)})
			for way, call := range callsOf(root, "nothing") {
				err := call(t.Context())
				if c.out == "" {
					require.NoError(t, err, way)
					continue
				}
				assert.ErrorContains(t, err, c.out, way)
			}
			require.Eventually(t, func() bool {
				return root.Conn().(*broker.Conn).Stats().CallsOut.Pending == 0
			}, patience, tick)
		})
	}
}

func TestInterceptorNextLate(t *testing.T) {
	late := make(chan func() (any, error), 1)
	s, root := interceptedPair(t, []flavors.Interceptor{around(
		func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
			late <- func() (any, error) { return next(ctx, call) }
			return nil, flavors.ValueError.New("refused")
		})}, nil)
	_, err := flavors.CallInOrder[any](t.Context(), root, "nothing")
	require.ErrorIs(t, err, flavors.ValueError)
	_, err = (<-late)()
	require.ErrorContains(t, err, "after it had returned")
	assert.Empty(t, s.all())
}

// A method that an interceptor runs on another goroutine ends before the turn does.
func TestInterceptorDoesNotWait(t *testing.T) {
	release := make(chan struct{})
	var running atomic.Int64
	obj := &slowGuest{release: release, running: &running}
	rt, far := newRuntime(t), newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", obj, broker.WithInterceptor(around(
		func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
			began := make(chan struct{})
			go func() { _, _ = next(context.WithValue(ctx, guestKey{}, began), call) }()
			<-began
			return "early", nil
		})))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), far, ln.URL())
	require.NoError(t, err)
	first, second := conn.Root().CallRemote("stay"), conn.Root().CallRemote("stay")
	require.Eventually(t, func() bool { return running.Load() == 1 }, patience, tick)
	close(release)
	for _, d := range []*actor.Deferred{first, second} {
		v, err := result(t, d)
		require.NoError(t, err)
		assert.Equal(t, "early", v)
	}
	assert.Zero(t, running.Load())
	assert.Equal(t, int64(1), obj.most.Load(), "one method at a time")
}

type slowGuest struct {
	flavors.Referenceable
	release chan struct{}
	running *atomic.Int64
	most    atomic.Int64
}

func (g *slowGuest) RemoteStay(ctx context.Context) {
	if n := g.running.Add(1); n > g.most.Load() {
		g.most.Store(n)
	}
	defer g.running.Add(-1)
	close(ctx.Value(guestKey{}).(chan struct{}))
	<-g.release
}

func TestMethodPanicWithInterceptor(t *testing.T) {
	l := &trail{}
	s, root := interceptedPair(t, []flavors.Interceptor{l.noting("in")}, nil)
	_, err := flavors.Call[any](t.Context(), root, "panic")
	require.ErrorIs(t, err, flavors.RuntimeError)
	assert.NotContains(t, err.Error(), "secret")
	assert.Equal(t, []string{"in: inn.panic", "in: <nil>, true"}, l.all())
	_, err = flavors.Call[any](t.Context(), root, "nothing")
	require.NoError(t, err)
	assert.Equal(t, int64(1), s.resets.Load(), "the object was restarted, once")
}

func TestGoexitWithInterceptor(t *testing.T) {
	l := &trail{}
	_, root := interceptedPair(t, []flavors.Interceptor{l.noting("in")}, nil)
	_, err := flavors.Call[any](t.Context(), root, "goexit")
	require.Error(t, err)
	_, err = flavors.Call[any](t.Context(), root, "nothing")
	require.NoError(t, err)
}

func TestEarlyAnswerWithInterceptor(t *testing.T) {
	l := &trail{}
	_, root := interceptedPair(t, []flavors.Interceptor{l.noting("in")}, nil)
	n, err := flavors.Call[int](t.Context(), root, "early")
	require.NoError(t, err)
	assert.Equal(t, 7, n)
	assert.Equal(t, []string{"in: inn.early", "in: 7, false"}, l.all())
}

func TestForwarderWithInterceptor(t *testing.T) {
	l := &trail{}
	rt, far := newRuntime(t), newRuntime(t)
	pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor {
		return protoactorFunc(func(ctx protoactor.Context) {
			if inv, ok := ctx.Message().(*flavors.Invocation); ok && inv.Method != "never" {
				inv.Answer(inv.Method, nil)
			}
		})
	}))
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", flavors.Forward(rt, pid), broker.WithInterceptor(l.noting("in")))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), far, ln.URL())
	require.NoError(t, err)
	v, err := flavors.Call[string](t.Context(), conn.Root(), "hello")
	require.NoError(t, err)
	assert.Equal(t, "hello", v)
	assert.Equal(t, []string{"in: Forwarder.hello", "in: hello, false"}, l.all())

	d := conn.Root().CallRemote("never")
	require.Eventually(t, func() bool { return len(l.all()) == 3 }, patience, tick)
	rt.Root().Stop(pid)
	_, err = result(t, d)
	require.ErrorIs(t, err, flavors.ErrObjectStopped)
	require.Eventually(t, func() bool { return len(l.all()) == 4 }, patience, tick)
	assert.Equal(t, "in: <nil>, true", l.all()[3])
}

type protoactorFunc func(ctx protoactor.Context)

func (f protoactorFunc) Receive(ctx protoactor.Context) { f(ctx) }

// A call that fails is made again, whichever way it was made.
func TestInterceptorRetries(t *testing.T) {
	retry := around(func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
		v, err := next(ctx, call)
		return flavors.WhenDone(v, err, func(v any, err error) (any, error) {
			if errors.Is(err, flavors.ValueError) {
				return next(ctx, call)
			}
			return v, err
		})
	})
	var failed atomic.Int64
	failEverySecond := around(func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
		if failed.Add(1)%2 == 1 {
			return nil, flavors.ValueError.New("again")
		}
		return next(ctx, call)
	})
	s, root := interceptedPair(t, []flavors.Interceptor{failEverySecond}, []flavors.Interceptor{retry})
	for name, call := range callsOf(root, "nothing") {
		if name == "Send" || name == "CallRemoteNoAnswer" {
			continue
		}
		require.NoError(t, call(t.Context()), name)
	}
	assert.Len(t, s.all(), 4)
}

func TestInterceptedCancel(t *testing.T) {
	l := &trail{}
	s, root := interceptedPair(t, nil, []flavors.Interceptor{l.noting("out")})
	s.later = actor.NewDeferred(nil)
	d := root.CallRemote("later")
	require.Eventually(t, func() bool { return len(s.all()) == 1 }, patience, tick)
	d.Cancel()
	_, err := result(t, d)
	require.ErrorIs(t, err, actor.ErrCancelled)
	assert.Equal(t, []string{"out: root.later", "out: <nil>, true"}, l.all())
	s.later.Complete(1, nil)
	require.Eventually(t, func() bool {
		return root.Conn().(*broker.Conn).Stats().CallsOut.Pending == 0
	}, patience, tick)
}

func TestWithInterceptorErrors(t *testing.T) {
	var none *pointerInterceptor
	for name, i := range map[string]flavors.Interceptor{
		"is nil":            nil,
		"interceptor is":    none,
		"WrapCall returned": flavors.InterceptorFunc(func(flavors.CallFunc) flavors.CallFunc { return nil }),
		"WrapCall panicked": flavors.InterceptorFunc(func(flavors.CallFunc) flavors.CallFunc { panic("x") }),
	} {
		_, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", &inn{}, broker.WithInterceptor(i))
		require.ErrorContains(t, err, name)
		_, err = broker.Dial(t.Context(), newRuntime(t), "pb://127.0.0.1:1", broker.WithInterceptor(i))
		require.ErrorContains(t, err, name)
	}
}

type pointerInterceptor struct{}

func (*pointerInterceptor) WrapCall(next flavors.CallFunc) flavors.CallFunc { return next }

// Updates of Cacheables are no calls.
func TestInterceptorsPassUpdates(t *testing.T) {
	l := &trail{}
	served := &ponds{}
	rt, far := newRuntime(t), newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", served, broker.WithInterceptor(l.noting("server")))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), far, ln.URL(), pondRegistry(t), broker.WithInterceptor(l.noting("client")))
	require.NoError(t, err)
	copied, err := flavors.Call[*flavors.Cached[pondCopy]](t.Context(), conn.Root(), "get")
	require.NoError(t, err)
	_, err = flavors.CallInOrder[any](t.Context(), conn.Root(), "add", "daisy")
	require.NoError(t, err)
	require.NoError(t, copied.View(func(c *pondCopy) { assert.Equal(t, []string{"daisy"}, c.ducks) }))
	assert.Len(t, l.all(), 8)
}

// servedInBubble serves root in a bubble of testing/synctest, where time passes only while everything waits.
func servedInBubble(
	t *testing.T,
	root func(rt *actor.Runtime) any,
	use func(t *testing.T, rt *actor.Runtime, root *flavors.RemoteReference),
	opts ...broker.ListenOption,
) {
	synctest.Test(t, func(t *testing.T) {
		rt, far := newRuntime(t), newRuntime(t)
		pipe := newPipeListener()
		_, err := broker.ListenOn(rt, pipe, root(rt), opts...)
		require.NoError(t, err)
		conn, err := broker.NewClientConn(t.Context(), far, pipe.Dial())
		require.NoError(t, err)
		use(t, rt, conn.Root())
		require.NoError(t, conn.Close(t.Context()))
		require.NoError(t, rt.Close(t.Context()))
		require.NoError(t, far.Close(t.Context()))
	})
}

// A call whose deadline passes, or that its caller cancels, is answered although an interceptor waits.
func TestInterceptedDeadline(t *testing.T) {
	var ended chan error
	var release chan struct{}
	wait := around(func(ctx context.Context, _ *flavors.CallInfo, _ flavors.CallFunc) (any, error) {
		<-ctx.Done()
		ended <- context.Cause(ctx)
		<-release // The answer must not depend on when the interceptor returns.
		return "late", nil
	})
	s := &inn{}
	root := func(*actor.Runtime) any { return s }
	servedInBubble(t, root, func(t *testing.T, rt *actor.Runtime, root *flavors.RemoteReference) {
		ended, release = make(chan error), make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := flavors.Call[any](ctx, root, "nothing")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		// The callee's deadline and the caller's cancel come at the same time.
		require.Contains(t, []error{context.DeadlineExceeded, context.Canceled}, <-ended)
		release <- struct{}{}
		d := root.CallRemote("nothing")
		synctest.Wait()
		d.Cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		release <- struct{}{}
		synctest.Wait()
		assert.Zero(t, broker.StatsOf(rt).CallsIn.Pending)
		assert.Empty(t, s.all())
	}, broker.WithInterceptor(wait))
}

// Interceptors that wait for a forwarded call learn of its deadline.
func TestForwardedDeadlineWithInterceptor(t *testing.T) {
	l := &trail{}
	idle := func() protoactor.Actor { return protoactorFunc(func(protoactor.Context) {}) }
	servedInBubble(t, func(rt *actor.Runtime) any {
		return flavors.Forward(rt, rt.Root().Spawn(rt.Props(idle)))
	}, func(t *testing.T, rt *actor.Runtime, root *flavors.RemoteReference) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := flavors.Call[any](ctx, root, "never")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		assert.Equal(t, []string{"in: Forwarder.never", "in: <nil>, true"}, l.all())
		assert.Zero(t, broker.StatsOf(rt).CallsIn.Pending)
	}, broker.WithInterceptor(l.noting("in")))
}
