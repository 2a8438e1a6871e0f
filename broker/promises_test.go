package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// link is an object of a chain. Its gates are Deferreds that the test completes.
type link struct {
	flavors.Referenceable
	depth int
	rt    *actor.Runtime

	mu    sync.Mutex
	gates map[string]*actor.Deferred
	log   []string
}

var errLink = flavors.NewException("chain.Broken")

func (l *link) gate(name string) *actor.Deferred {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gates == nil {
		l.gates = map[string]*actor.Deferred{}
	}
	if l.gates[name] == nil {
		l.gates[name] = actor.NewDeferred(l.rt)
	}
	return l.gates[name]
}

// RemoteNext returns the next object of the chain.
func (l *link) RemoteNext() *link { return &link{depth: l.depth + 1, rt: l.rt} }

// RemoteWhen answers when the test says so.
func (l *link) RemoteWhen(name string) *actor.Deferred { return l.gate(name) }

func (l *link) RemoteDepth() int { return l.depth }

func (l *link) RemoteBreak(text string) (*link, error) { return nil, errLink.New(text) }

func (l *link) RemoteEcho(v any) any { return v }

// RemoteDepthOf wants the object itself.
func (l *link) RemoteDepthOf(others ...*link) (sum int) {
	for _, o := range others {
		sum += o.depth
	}
	return sum
}

func (l *link) RemoteNote(text string, others ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, text)
}

func (l *link) RemoteLog() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log
}

func newChain(t *testing.T, opts ...broker.ListenOption) (*link, *pbtest.Server) {
	t.Helper()
	l := &link{}
	s := pbtest.NewServer(t, l, opts...)
	l.rt = s.Runtime
	return l, s
}

func joinChain(t *testing.T, opts ...broker.ListenOption) (*link, *wire.Peer) {
	t.Helper()
	l, s := newChain(t, opts...)
	p := wire.Connect(t, s.Listener.Addr().String())
	p.JoinAs(banana.ProfilePB1)
	return l, p
}

// onPromises are the dialects in which promises are used.
var onPromises = map[string][]broker.ListenOption{
	"pb+1": nil,
	"pb":   {broker.WithDialects(banana.ProfilePB, banana.ProfileNone)},
}

// TestPromiseChain calls the results of calls that are not answered (P-11.1, P-11.2).
func TestPromiseChain(t *testing.T) {
	for name, opts := range onPromises {
		t.Run(name, func(t *testing.T) {
			_, s := newChain(t, opts...)
			conn := s.Dial()
			p := conn.Root().Begin("next")
			for range 9 {
				p = p.Begin("next")
			}
			n, err := flavors.Call[int](t.Context(), p, "depth")
			require.NoError(t, err)
			assert.Equal(t, 10, n)
			n, err = flavors.Call[int](t.Context(), conn.Root(), "depthOf", p, p, conn.Root().Begin("next"))
			require.NoError(t, err)
			assert.Equal(t, 21, n)
			ref, err := flavors.As[*flavors.RemoteReference](p.Deferred().Await(t.Context()))
			require.NoError(t, err)
			n, err = flavors.Call[int](t.Context(), ref, "depth")
			require.NoError(t, err)
			assert.Equal(t, 10, n)
			n, err = flavors.As[int](p.CallRemote("depth").Await(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, 10, n)
		})
	}
}

// TestPromiseFrames shows what a chain of calls is on the wire (P-11.1, P-11.2, P-11.6).
func TestPromiseFrames(t *testing.T) {
	conn, p, err := dialScripted(t, newRuntime(t), func(p *wire.Peer) { p.HostAs(banana.ProfilePB1) })
	require.NoError(t, err)
	first := conn.Root().Begin("next")
	second := first.Begin("next", 5)
	d := second.CallRemote("depth", first, []any{second})
	p.Want(`[message 1 root next 2 [tuple] [dictionary]]`,
		`[message 2 [promise 1] next 2 [tuple 5] [dictionary]]`,
		`[message 3 [promise 2] depth 1 [tuple [promise 1] [list [promise 2]]] [dictionary]]`)
	p.Write(`[answer 1 [remote 70]]`)
	p.Want(`[settled 1]`)
	p.Write(`[answer 2 [remote 71]]`)
	p.Want(`[settled 2]`)
	p.Write(`[answer 3 2]`)
	n, err := flavors.As[int](d.Await(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	// From now on the references themselves are named.
	d = second.CallRemote("depth", first)
	p.Want(`[message 4 71 depth 1 [tuple [local 70]] [dictionary]]`)
	p.Write(`[answer 4 2]`)
	require.NoError(t, pbtest.ErrorOf(d))
	require.NoError(t, second.CallRemoteNoAnswer("depth"))
	p.Want(`[message 5 71 depth 0 [tuple] [dictionary]]`)
	ann := flavors.WithMetadata(t.Context(), flavors.Metadata{"user": "ann"})
	d = second.CallRemoteContext(ann, "depth")
	p.Want(`[message 6 71 depth 1 [tuple] [dictionary] [dictionary [["unicode" "user"] ["unicode" "ann"]]]]`)
	p.Write(`[answer 6 2]`)
	require.NoError(t, pbtest.ErrorOf(d))
}

// TestPromiseOrderKept names a promise that is answered while a call on it waits for another one (P-11.3).
func TestPromiseOrderKept(t *testing.T) {
	conn, p, err := dialScripted(t, newRuntime(t), func(p *wire.Peer) { p.HostAs(banana.ProfilePB1) })
	require.NoError(t, err)
	object, arg := conn.Root().Begin("next"), conn.Root().Begin("when")
	p.Want(`[message 1 root next 2 [tuple] [dictionary]]`, `[message 2 root when 2 [tuple] [dictionary]]`)
	object.CallRemote("note", arg)
	p.Want(`[message 3 [promise 1] note 1 [tuple [promise 2]] [dictionary]]`)
	p.Write(`[answer 1 [remote 70]]`)
	_, err = object.Deferred().Await(t.Context())
	require.NoError(t, err)
	object.CallRemote("note")
	p.Want(`[message 4 [promise 1] note 1 [tuple] [dictionary]]`)
	p.Write(`[error 2 "broken"]`)
	p.Want(`[settled 1]`, `[settled 2]`)
}

// TestPromiseWaits keeps calls here while the peer speaks pb (P-11.8).
func TestPromiseWaits(t *testing.T) {
	conn, p, err := dialScripted(t, newRuntime(t), (*wire.Peer).Host)
	require.NoError(t, err)
	first, other := conn.Root().Begin("next"), conn.Root().Begin("other")
	p.Want(`[message 1 root next 1 [tuple] [dictionary]]`, `[message 2 root other 1 [tuple] [dictionary]]`)
	second := first.Begin("next", other)
	d := second.CallRemote("depth", first)
	behind := first.CallRemote("note")
	p.Write(`[answer 1 [remote 70]]`) // The first call on it waits for the other promise, and the rest behind it.
	p.WriteBytes(nil)
	conn.Root().CallRemote("mark")
	p.Want(`[message 3 root mark 1 [tuple] [dictionary]]`)
	p.Write(`[answer 2 [remote 80]]`)
	p.Want(`[message 4 70 next 1 [tuple [local 80]] [dictionary]]`, `[message 5 70 note 1 [tuple] [dictionary]]`)
	p.Write(`[answer 4 [remote 71]]`)
	p.Want(`[message 6 71 depth 1 [tuple [local 70]] [dictionary]]`)
	p.Write(`[answer 6 2]`, `[answer 5 None]`)
	n, err := flavors.As[int](d.Await(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	require.NoError(t, pbtest.ErrorOf(behind))
}

// TestPromiseFailures passes failures on, and refuses what is no reference (P-11.4, P-11.5).
func TestPromiseFailures(t *testing.T) {
	for name, opts := range onPromises {
		t.Run(name, func(t *testing.T) {
			l, s := newChain(t, opts...)
			conn := s.Dial()
			root := conn.Root()
			broken := root.Begin("break", "snapped")
			for _, d := range []*actor.Deferred{
				broken.Deferred(), broken.CallRemote("depth"), broken.Begin("next").Begin("next").CallRemote("depth"),
				root.CallRemote("depthOf", broken), root.Begin("next").CallRemote("depthOf", broken),
			} {
				err := pbtest.ErrorOf(d)
				require.ErrorIs(t, err, errLink)
				var failure *flavors.Failure
				require.ErrorAs(t, err, &failure)
				assert.Equal(t, "snapped", failure.Value)
			}
			require.ErrorIs(t, pbtest.ErrorOf(broken.CallRemote("depth")), errLink, "also later")

			mine := &link{}
			for _, p := range []*flavors.Promise{
				root.Begin("depth"), root.Begin("echo", nil), root.Begin("echo", []any{1}), root.Begin("echo", mine),
				root.Begin("echo", "text"), root.Begin("when", "list"),
			} {
				l.gate("list").Complete([]any{l}, nil)
				require.ErrorIs(t, pbtest.ErrorOf(p.CallRemote("depth")), flavors.NotAReference)
				require.NoError(t, pbtest.ErrorOf(p.Deferred()))
				require.ErrorIs(t, pbtest.ErrorOf(p.CallRemote("depth")), flavors.NotAReference)
				require.ErrorIs(t, pbtest.ErrorOf(root.CallRemote("echo", p)), flavors.NotAReference)
			}
			require.ErrorIs(t, pbtest.ErrorOf(root.Begin("nothing").CallRemote("depth")), flavors.NoSuchMethod)
		})
	}
}

// TestPromiseNotThere lets calls wait for results, in order, while others run (P-11.2, P-11.3).
func TestPromiseNotThere(t *testing.T) {
	l, p := joinChain(t)
	other := &link{depth: 7, rt: l.rt}
	p.Write(
		`[message 1 root when 2 [tuple [unicode a]] [dictionary]]`,
		`[message 2 root when 2 [tuple [unicode b]] [dictionary]]`,
		`[message 3 [promise 1] note 1 [tuple [unicode one]] [dictionary]]`,
		`[message 4 [promise 1] note 1 [tuple [unicode two] [promise 2]] [dictionary]]`,
		`[message 5 [promise 1] note 0 [tuple [unicode three]] [dictionary]]`,
		`[message 6 [promise 1] depth 1 [tuple] [dictionary]]`,
		`[message 7 root depthOf 1 [tuple [promise 2] [promise 1] [promise 2]] [dictionary]]`,
	)
	p.WantIdle()
	l.gate("a").Complete(other, nil)
	p.Want(`[answer 1 [remote $other]]`, `[answer 3 [None]]`)
	p.WantIdle()
	l.gate("b").Complete(l, nil)
	p.Ignore(`[answer 4 [None]]`)
	p.Want(`[answer 2 [remote $root]]`)
	p.Ignore(`[answer 6 7]`)
	p.Want(`[answer 7 7]`)
	p.Write(`[message 8 $other log 1 [tuple] [dictionary]]`)
	p.Want(`[answer 8 [list [unicode one] [unicode two] [unicode three]]]`)
	p.Write(`[message 9 [promise 1] depth 1 [tuple] [dictionary]]`)
	p.Want(`[answer 9 7]`)
	p.WantIdle()
}

// TestOddPromises answers calls that name what is not kept (P-11.7).
func TestOddPromises(t *testing.T) {
	_, p := joinChain(t)
	p.Write(`[message 1 root next 1 [tuple] [dictionary]]`, `[message 2 root next 2 [tuple] [dictionary]]`,
		`[message 3 root next 2 [tuple] [dictionary]]`, `[settled 3]`)
	p.Ignore(`[answer 1 [remote _]]`)
	p.Ignore(`[answer 2 [remote _]]`)
	p.Ignore(`[answer 3 [remote _]]`)
	p.WantIdle()
	for name, id := range map[string]string{
		"answerRequired was 1": "1", "settled": "3", "not sent yet": "17", "its own": "9", "never": "0", "negative": "-4",
		"of 65 bits": "36893488147419103232",
	} {
		t.Run(name, func(t *testing.T) {
			p.Write(`[message 9 [promise ` + id + `] depth 2 [tuple] [dictionary]]`)
			text := pbtest.WantError(t, p, 9, "twisted.spread.pb.Error")
			assert.Contains(t, text, "Invalid Promise ID")
			p.Write(`[settled 9]`, `[message 9 root echo 1 [tuple [list [promise `+id+`]]] [dictionary]]`)
			pbtest.WantError(t, p, 9, "twisted.spread.pb.Error")
		})
	}
	p.Write(`[settled 1]`, `[settled 3]`, `[settled 99]`, `[settled -1]`, `[settled 36893488147419103232]`)
	p.WantIdle()
	p.Write(`[message 2 root next 2 [tuple] [dictionary]]`)
	assert.Contains(t, pbtest.WantError(t, p, 2, "twisted.spread.pb.Error"), "another request 2")
	p.Write(`[message 36893488147419103232 root next 2 [tuple] [dictionary]]`)
	p.Want(`[error 36893488147419103232 _]`)
	p.Write(`[message 4 [promise 2] depth 1 [tuple] [dictionary]]`)
	p.Want(`[answer 4 1]`)
	p.Write(`[message 5 [promise 2] depth 1 [tuple [promise 2]] [dictionary [[unicode x] [promise 2]]]]`)
	p.Want(`[error 5 _]`)
}

// TestPromiseKeeps keeps a result until it is settled, and releases it then (P-11.6).
func TestPromiseKeeps(t *testing.T) {
	l, s := newChain(t)
	p := wire.Connect(t, s.Listener.Addr().String())
	p.JoinAs(banana.ProfilePB1)
	next := &link{depth: 3, rt: l.rt}
	p.Write(`[message 1 root when 2 [tuple [unicode a]] [dictionary]]`)
	l.gate("a").Complete(next, nil)
	p.Want(`[answer 1 [remote $next]]`)
	p.Write(`[decref $next]`, `[message 2 [promise 1] depth 1 [tuple] [dictionary]]`)
	p.Want(`[answer 2 3]`)
	held, _ := next.Held()
	assert.True(t, held)
	p.Write(`[settled 1]`, `[message 3 [promise 1] depth 1 [tuple] [dictionary]]`)
	pbtest.WantError(t, p, 3, "twisted.spread.pb.Error")
	held, ever := next.Held()
	assert.False(t, held)
	assert.True(t, ever)
	// Whoever gives back more than was counted has no result any more, and keeps the connection.
	p.Write(`[message 4 root when 2 [tuple [unicode a]] [dictionary]]`)
	p.Forget("next")
	p.Want(`[answer 4 [remote $next]]`)
	p.Write(`[decref $next]`, `[decref $next]`, `[message 5 [promise 4] depth 1 [tuple] [dictionary]]`)
	pbtest.WantError(t, p, 5, "twisted.spread.pb.Error")
	p.Write(`[settled 4]`)
	p.WantIdle()
}

// TestPromiseLimit keeps 1,024 results for a peer (P-11.6).
func TestPromiseLimit(t *testing.T) {
	const most = 1024
	l, s := newChain(t)
	p := wire.Connect(t, s.Listener.Addr().String())
	p.JoinAs(banana.ProfilePB1)
	for id := range most {
		p.Write(fmt.Sprintf(`[message %d root when 2 [tuple [unicode a]] [dictionary]]`, id+1))
	}
	p.Write(`[message 2000 root when 2 [tuple [unicode a]] [dictionary]]`)
	pbtest.WantError(t, p, 2000, "perspectivebroker.Busy")
	p.Write(`[message 2001 root depth 1 [tuple] [dictionary]]`)
	p.Want(`[answer 2001 0]`)
	l.gate("a").Complete(l, nil)
	for range most {
		p.Want(`[answer _ [remote _]]`)
	}
	p.Write(`[message 2002 root depth 2 [tuple] [dictionary]]`)
	pbtest.WantError(t, p, 2002, "perspectivebroker.Busy")
	p.Write(`[settled 7]`, `[message 2003 root depth 2 [tuple] [dictionary]]`)
	p.Want(`[answer 2003 0]`)

	// This side's own library keeps to the limit, and waits beyond it.
	conn := s.Dial()
	gate := l.gate("b")
	var promises []*flavors.Promise
	for range most + 50 {
		promises = append(promises, conn.Root().Begin("when", "b"))
	}
	var depths []*actor.Deferred
	for _, p := range promises {
		depths = append(depths, p.CallRemote("depth"))
	}
	gate.Complete(l, nil)
	for _, d := range depths {
		require.NoError(t, pbtest.ErrorOf(d))
	}
}

// TestPromiseEnd ends the connection while calls wait on both sides.
func TestPromiseEnd(t *testing.T) {
	for name, opts := range onPromises {
		t.Run(name, func(t *testing.T) {
			l, s := newChain(t, opts...)
			conn := s.Dial()
			p := conn.Root().Begin("when", "never")
			var waiting []*actor.Deferred
			for range 100 {
				next := p.Begin("next", conn.Root().Begin("next"))
				waiting = append(waiting, next.CallRemote("depth"), conn.Root().CallRemote("depthOf", p, next))
			}
			_, err := flavors.Call[int](t.Context(), conn.Root(), "depth")
			require.NoError(t, err)
			conn.Abort(errors.New("enough"))
			for _, d := range waiting {
				require.ErrorIs(t, pbtest.ErrorOf(d), flavors.ConnectionLost)
			}
			<-conn.Done()
			require.ErrorIs(t, pbtest.ErrorOf(p.CallRemote("depth")), flavors.DeadReference)
			l.gate("never").Complete(nil, nil)
		})
	}
}

// TestPromiseMisuse gives errors, not panics.
func TestPromiseMisuse(t *testing.T) {
	_, s := newChain(t)
	conn, other := s.Dial(), s.Dial()
	var none *flavors.Promise
	for _, p := range []*flavors.Promise{none, {}} {
		require.ErrorIs(t, pbtest.ErrorOf(p.CallRemote("depth")), flavors.DeadReference)
		require.ErrorIs(t, p.CallRemoteNoAnswer("depth"), flavors.DeadReference)
		require.ErrorIs(t, pbtest.ErrorOf(p.Deferred()), flavors.DeadReference)
		require.ErrorIs(t, pbtest.ErrorOf(p.Begin("x").CallRemote("y")), flavors.DeadReference)
		_, err := flavors.Call[int](t.Context(), p, "depth")
		require.ErrorIs(t, err, flavors.DeadReference)
		assert.Equal(t, "<promise nil>", fmt.Sprintf("%v", p))
		assert.Nil(t, p.Conn())
	}
	_, err := flavors.Call[int](t.Context(), nil, "depth")
	require.ErrorIs(t, err, flavors.DeadReference)
	require.Error(t, pbtest.ErrorOf(flavors.Begin(nil, conn.Root(), "x").Deferred())) //nolint:staticcheck // The test.
	p := conn.Root().Begin("next")
	require.ErrorIs(t, pbtest.ErrorOf(other.Root().CallRemote("echo", p)), flavors.InsecureJelly)
	require.NoError(t, pbtest.ErrorOf(p.Deferred()))
	assert.True(t, strings.HasPrefix(p.String(), "<promise of"), p.String())
	unsent := conn.Root().Begin("echo", make(chan int))
	require.ErrorIs(t, pbtest.ErrorOf(unsent.CallRemote("depth")), flavors.InsecureJelly)
	require.ErrorIs(t, pbtest.ErrorOf(conn.Root().CallRemote("echo", unsent)), flavors.InsecureJelly)
}

// TestPromiseIntercepted sends the calls of promises through interceptors, which may answer themselves.
func TestPromiseIntercepted(t *testing.T) {
	_, s := newChain(t)
	var mu sync.Mutex
	var seen []string
	var own *flavors.RemoteReference
	watch := flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			mu.Lock()
			seen = append(seen, call.Method())
			mu.Unlock()
			switch call.Method() {
			case "refused":
				return nil, errLink.New("refused")
			case "own":
				return own, nil
			}
			v, err := next(ctx, call)
			return flavors.WhenDone(v, err, func(v any, err error) (any, error) { return v, err })
		}
	})
	conn := s.Dial(broker.WithInterceptor(watch))
	p := conn.Root().Begin("next")
	n, err := flavors.Call[int](t.Context(), p.Begin("next"), "depth")
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	own, err = flavors.As[*flavors.RemoteReference](p.Deferred().Await(t.Context()))
	require.NoError(t, err)
	for range 2 {
		n, err = flavors.Call[int](t.Context(), conn.Root().Begin("own"), "depth")
		require.NoError(t, err)
		assert.Equal(t, 1, n)
	}
	require.ErrorIs(t, pbtest.ErrorOf(conn.Root().Begin("refused").CallRemote("depth")), errLink)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []string{"next", "next", "depth", "own", "depth", "own", "depth", "refused"}, seen)
}
