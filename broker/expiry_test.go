package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// workshop is a root whose workers take long.
type workshop struct {
	flavors.Referenceable
	rt *actor.Runtime

	gate  chan struct{} // lets work end
	began chan string   // the methods that begin
	ended chan error    // the causes with which contexts ended
}

func newWorkshop() *workshop {
	return &workshop{gate: make(chan struct{}), began: make(chan string, 1000), ended: make(chan error, 1000)}
}

func (*workshop) RemoteEcho(v any) any { return v }

func (w *workshop) RemoteWorker() *shopWorker { return &shopWorker{shop: w} }

// RemoteClerk returns a reference to an actor that answers calls in its own time.
func (w *workshop) RemoteClerk() *flavors.Forwarder {
	rt := w.rt
	pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor { return &shopClerk{w} }))
	return flavors.Forward(rt, pid)
}

type shopWorker struct {
	flavors.Referenceable
	shop *workshop
}

// RemoteWork works until the gate opens, whatever becomes of the caller.
func (w *shopWorker) RemoteWork() string {
	w.shop.began <- "work"
	<-w.shop.gate
	return "done"
}

// RemoteWait waits for the end of its context.
func (w *shopWorker) RemoteWait(ctx context.Context) error {
	w.shop.began <- "wait"
	<-ctx.Done()
	w.shop.ended <- context.Cause(ctx)
	return ctx.Err()
}

// RemoteOverdue waits for the end of its context, and answers all the same.
func (w *shopWorker) RemoteOverdue(inv *flavors.Invocation, how string) (any, error) {
	<-inv.Context().Done()
	switch how {
	case "failure":
		return nil, errors.New("ruined")
	case "answer":
		inv.Answer("done", nil)
	case "deferred":
		d := actor.NewDeferred(w.shop.rt)
		d.Complete("done", nil)
		return d, nil
	}
	return "done", nil
}

// RemoteLater answers with a Deferred that completes when the gate opens.
func (w *shopWorker) RemoteLater(inv *flavors.Invocation) *actor.Deferred {
	d := actor.NewDeferred(w.shop.rt)
	ctx := inv.Context()
	w.shop.began <- "later"
	go func() {
		select {
		case <-w.shop.gate:
			d.Complete("later", nil)
		case <-ctx.Done():
			w.shop.ended <- context.Cause(ctx)
		}
	}()
	return d
}

func (*shopWorker) RemotePlain(n int) int { return n }

func (w *shopWorker) RemoteQuick() string { w.shop.began <- "quick"; return "quick" }

// RemoteLeft returns how many milliseconds the call has left, at most a million.
func (w *shopWorker) RemoteLeft(ctx context.Context) int64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return -1
	}
	return min(time.Until(deadline).Milliseconds(), 1_000_000)
}

// RemoteAsk asks another object in its own context.
func (w *shopWorker) RemoteAsk(ctx context.Context, other *flavors.RemoteReference, method string) *actor.Deferred {
	return flavors.Start(ctx, other, method)
}

type shopClerk struct{ shop *workshop }

func (c *shopClerk) Receive(ctx protoactor.Context) {
	inv, ok := ctx.Message().(*flavors.Invocation)
	if !ok {
		return
	}
	c.shop.began <- "clerk"
	select {
	case <-c.shop.gate:
		inv.Answer("clerk", nil)
	case <-inv.Context().Done():
		c.shop.ended <- context.Cause(inv.Context())
	}
}

// visitWorkshop joins a scripted client, which has references to n workers: $w1, $w2 and so on.
func visitWorkshop(t *testing.T, w *workshop, n int, opts ...broker.ListenOption) (*pbtest.Server, *wire.Peer) {
	t.Helper()
	s := pbtest.NewServer(t, w, opts...)
	w.rt = s.Runtime
	p := wire.Connect(t, s.Listener.Addr().String())
	p.JoinAs(banana.ProfilePB1)
	for i := range n {
		p.Write(`[message 900 root worker 1 [tuple] [dictionary]]`)
		p.Want(fmt.Sprintf(`[answer 900 [remote $w%d]]`, i+1))
	}
	return s, p
}

// wantFailure requires the answer to a request to be a failure of a type.
func wantFailure(t *testing.T, p *wire.Peer, id any, name string) {
	t.Helper()
	p.Forget("failure")
	p.Want(fmt.Sprintf(`[error %v $failure]`, id))
	assert.Contains(t, banana.Format(p.Var("failure")), name)
}

const (
	tooLate = `"perspectivebroker.DeadlineExceeded"`
	left    = `"perspectivebroker.Canceled"`
)

func timeout(ms any) string { return fmt.Sprintf(`[dictionary [[unicode timeout] %v]]`, ms) }

// TestTimeOverAtArrival does not run calls without time (P-9.7, P-9.8).
func TestTimeOverAtArrival(t *testing.T) {
	w := newWorkshop()
	_, p := visitWorkshop(t, w, 1)
	long := new(big.Int).Lsh(big.NewInt(1), 200)
	for i, ms := range []any{0, -1, -5_000_000_000_000, new(big.Int).Neg(long)} {
		p.Write(fmt.Sprintf(`[message %d $w1 quick 1 [tuple] [dictionary] %s]`, i+1, timeout(ms)))
		wantFailure(t, p, i+1, tooLate)
	}
	p.Write(`[message 8 $w1 quick 0 [tuple] [dictionary] ` + timeout(0) + `]`) // wants no answer
	p.WantIdle()
	// A time that is too long for a clock is taken as a long one.
	for i, ms := range []any{int64(1000) * 365 * 24 * 3600 * 1000, int64(1) << 62, long} {
		p.Write(fmt.Sprintf(`[message %d $w1 left 1 [tuple] [dictionary] %s]`, i+1, timeout(ms)))
		p.Want(fmt.Sprintf(`[answer %d 1000000]`, i+1))
	}
	p.Write(`[message 9 $w1 left 1 [tuple] [dictionary]]`)
	p.Want(`[answer 9 -1]`)
	p.Write(`[message 9 $w1 quick 1 [tuple] [dictionary]]`)
	p.Want(`[answer 9 [unicode quick]]`)
	assert.Len(t, w.began, 1)
}

// TestDeadlineWhileRunning ends the context of a method at its call's deadline (P-9.6).
func TestDeadlineWhileRunning(t *testing.T) {
	// begin calls a method with ever more time until it begins before that is over.
	begin := func(w *workshop, p *wire.Peer, method string) {
		for ms := 20; len(w.began) == 0; ms *= 2 {
			p.Write(`[message 1 $w1 ` + method + ` 1 [tuple] [dictionary] ` + timeout(ms) + `]`)
			wantFailure(t, p, 1, tooLate)
		}
	}
	for _, method := range []string{"wait", "later"} {
		w := newWorkshop()
		_, p := visitWorkshop(t, w, 1)
		begin(w, p, method)
		require.Equal(t, context.DeadlineExceeded, <-w.ended)
		p.WantIdle()
	}
	// A method that does not heed its context runs on. What it returns is dropped.
	w := newWorkshop()
	s, p := visitWorkshop(t, w, 1)
	begin(w, p, "work")
	assert.NotZero(t, broker.StatsOf(s.Runtime).CallsIn.Pending)
	close(w.gate)
	p.Write(`[message 3 $w1 quick 1 [tuple] [dictionary]]`)
	p.Want(`[answer 3 [unicode quick]]`)
	p.WantIdle()
	require.Eventually(t, func() bool { return broker.StatsOf(s.Runtime).CallsIn.Pending == 0 }, wire.Timeout,
		time.Millisecond)
	assert.NotZero(t, broker.StatsOf(s.Runtime).CallsIn.Failed)
}

// TestDeadlineWhileWaiting answers a call that waits for its object, and does not run it (P-9.6, P-9.7).
func TestDeadlineWhileWaiting(t *testing.T) {
	w := newWorkshop()
	_, p := visitWorkshop(t, w, 1)
	p.Write(`[message 1 $w1 work 1 [tuple] [dictionary]]`)
	assert.Equal(t, "work", <-w.began)
	p.Write(`[message 2 $w1 quick 1 [tuple] [dictionary] ` + timeout(1) + `]`)
	wantFailure(t, p, 2, tooLate)
	p.WantIdle()
	close(w.gate)
	p.Want(`[answer 1 [unicode done]]`)
	p.Write(`[message 3 $w1 quick 1 [tuple] [dictionary]]`)
	p.Want(`[answer 3 [unicode quick]]`)
	assert.Len(t, w.began, 1)
}

// TestCancelRunning ends the context of a method (P-9.9).
func TestCancelRunning(t *testing.T) {
	w := newWorkshop()
	s, p := visitWorkshop(t, w, 1)
	p.Write(`[message 4 root clerk 1 [tuple] [dictionary]]`)
	p.Want(`[answer 4 [remote $clerk]]`)
	for _, call := range []string{`$w1 wait`, `$w1 later`, `$clerk any`} {
		p.Write(`[message 1 ` + call + ` 1 [tuple] [dictionary]]`)
		<-w.began
		p.Write(`[cancel 1]`)
		wantFailure(t, p, 1, left)
		require.Equal(t, context.Canceled, <-w.ended)
		p.Write(`[cancel 1]`)
		p.WantIdle()
	}
	p.Write(`[message 2 $w1 work 1 [tuple] [dictionary]]`)
	assert.Equal(t, "work", <-w.began)
	p.Write(`[cancel 2]`, `[message 2 $w1 quick 1 [tuple] [dictionary]]`)
	wantFailure(t, p, 2, left)
	p.WantIdle()
	close(w.gate)
	p.Want(`[answer 2 [unicode quick]]`)
	p.WantIdle()
	pbtest.Eventually(t, func() bool {
		calls := broker.StatsOf(s.Runtime).CallsIn
		return calls.Cancelled == 4 && calls.Pending == 0
	})
}

// TestCancelWaiting does not run a call that waits for its object (P-9.11).
func TestCancelWaiting(t *testing.T) {
	w := newWorkshop()
	_, p := visitWorkshop(t, w, 1)
	p.Write(`[message 1 $w1 work 1 [tuple] [dictionary]]`)
	assert.Equal(t, "work", <-w.began)
	long := new(big.Int).Lsh(big.NewInt(1), 200)
	p.Write(`[message 2 $w1 quick 1 [tuple] [dictionary]]`,
		fmt.Sprintf(`[message %d $w1 quick 1 [tuple] [dictionary]]`, long),
		`[message 3 $w1 quick 1 [tuple] [dictionary]]`, `[cancel 2]`, fmt.Sprintf(`[cancel %d]`, long))
	wantFailure(t, p, 2, left)
	wantFailure(t, p, long, left)
	close(w.gate)
	p.Want(`[answer 1 [unicode done]]`, `[answer 3 [unicode quick]]`)
	p.WantIdle()
	assert.Len(t, w.began, 1)
}

// TestCancelIgnored cancels what cannot be cancelled (P-9.12).
func TestCancelIgnored(t *testing.T) {
	w := newWorkshop()
	_, p := visitWorkshop(t, w, 1)
	p.Write(`[message 1 $w1 quick 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 [unicode quick]]`)
	long := new(big.Int).Lsh(big.NewInt(1), 200)
	p.Write(`[cancel 1]`, `[cancel 2]`, `[cancel 0]`, `[cancel -7]`, fmt.Sprintf(`[cancel %d]`, long))
	p.Write(`[message 5 $w1 work 0 [tuple] [dictionary]]`, `[cancel 5]`) // no answer was asked for
	p.WantIdle()
	close(w.gate)
	p.Write(`[cancel one]`)
	p.WantClosed()
}

// TestContextOutlivesCall keeps a context until the connection ends.
func TestContextOutlivesCall(t *testing.T) {
	root := &contextKeeper{kept: make(chan context.Context, 2)}
	s := pbtest.NewServer(t, root)
	conn := s.Dial()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := flavors.Call[any](ctx, conn.Root(), "keep", true)
	require.NoError(t, err)
	_, err = flavors.Call[any](ctx, conn.Root(), "keep", false)
	require.NoError(t, err)
	cancel()
	_, err = flavors.Call[any](t.Context(), conn.Root(), "echo", 1)
	require.NoError(t, err)
	waited, idle := <-root.kept, <-root.kept
	require.NoError(t, waited.Err())
	require.NoError(t, idle.Err())
	require.NoError(t, conn.Close(t.Context()))
	for _, kept := range []context.Context{waited, idle} {
		<-kept.Done()
		require.ErrorIs(t, context.Cause(kept), broker.ErrPeerClosed)
		assert.NotNil(t, broker.ConnOf(kept))
	}
}

type contextKeeper struct {
	flavors.Referenceable
	kept chan context.Context
}

func (k *contextKeeper) RemoteKeep(ctx context.Context, wait bool) {
	if wait {
		select {
		case <-ctx.Done():
		default:
		}
	}
	k.kept <- ctx
}

func (*contextKeeper) RemoteEcho(v any) any { return v }

// TestOverdueAnswers has methods answer when their time is over, before or after the call has expired (P-9.6).
func TestOverdueAnswers(t *testing.T) {
	_, p := visitWorkshop(t, newWorkshop(), 1)
	for _, how := range []string{"result", "failure", "answer", "deferred"} {
		for id := range 50 {
			p.Write(fmt.Sprintf(`[message %d $w1 overdue 1 [tuple %s] [dictionary] [dictionary [[unicode timeout] 1]]]`,
				id+1, how))
			wantFailure(t, p, id+1, "perspectivebroker.DeadlineExceeded")
		}
	}
	p.WantIdle()
}

// TestCallerSendsCancel reads what a cancelled call sends (P-9.10, P-9.13).
func TestCallerSendsCancel(t *testing.T) {
	conn, p, err := dialScripted(t, newRuntime(t), func(p *wire.Peer) { p.HostAs(banana.ProfilePB1) })
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := flavors.Call[int](ctx, conn.Root(), "slow")
		result <- err
	}()
	p.Want(`[message 1 root slow 1 [tuple] [dictionary]]`)
	mine := errors.New("mine")
	cancel(mine)
	p.Want(`[cancel 1]`)
	require.ErrorIs(t, <-result, mine)
	p.Write(`[answer 1 [remote 7]]`)
	p.Want(`[decref 7]`)
	stats := conn.Stats().CallsOut
	assert.EqualValues(t, 1, stats.Cancelled)

	d := flavors.Start(t.Context(), conn.Root(), "slow")
	p.Want(`[message 2 root slow 1 [tuple] [dictionary]]`)
	d.Cancel()
	p.Want(`[cancel 2]`)
	d.Cancel()

	timed, cancelTimed := context.WithTimeout(t.Context(), time.Hour)
	defer cancelTimed()
	_ = flavors.Send(timed, conn.Root(), "slow")
	p.Want(`[message 3 root slow 0 [tuple] [dictionary] [dictionary [[unicode timeout] $left]]]`)
	ms, _ := p.Var("left").(int64)
	assert.LessOrEqual(t, ms, time.Hour.Milliseconds())
	assert.Greater(t, ms, (time.Hour - wire.Timeout).Milliseconds())
}

// TestStockPeerGetsNoCancel sends a peer that speaks pb nothing new (P-9.2).
func TestStockPeerGetsNoCancel(t *testing.T) {
	conn, p, err := dialScripted(t, newRuntime(t), func(p *wire.Peer) { p.HostAs(banana.ProfilePB) })
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	d := flavors.Start(ctx, conn.Root(), "slow")
	p.Want(`[message 1 root slow 1 [tuple] [dictionary]]`)
	d.Cancel()
	_ = conn.Root().CallRemote("next")
	p.Want(`[message 2 root next 1 [tuple] [dictionary]]`)
}

// TestExpiryErrors recognises the errors on the caller's side.
func TestExpiryErrors(t *testing.T) {
	conn, p, err := dialScripted(t, newRuntime(t), func(p *wire.Peer) { p.HostAs(banana.ProfilePB1) })
	require.NoError(t, err)
	for name, want := range map[string]error{
		"perspectivebroker.DeadlineExceeded": context.DeadlineExceeded, "perspectivebroker.Canceled": context.Canceled,
	} {
		d := conn.Root().CallRemote("slow")
		p.Want(`[message $id root slow 1 [tuple] [dictionary]]`)
		p.Write(`[error $id [twisted.spread.pb.CopyableFailure [dictionary [[unicode type] "` + name +
			`"] [[unicode value] [unicode x]] [[unicode parents] [list [unicode "` + name + `"]]]]]]`)
		p.Forget("id")
		_, err := d.Await(t.Context())
		require.ErrorIs(t, err, want)
		var f *flavors.Failure
		require.ErrorAs(t, err, &f)
		assert.True(t, f.Remote())
		for _, other := range []error{context.DeadlineExceeded, context.Canceled} {
			assert.Equal(t, other == want, errors.Is(err, other))
		}
	}
	require.ErrorIs(t, flavors.DeadlineExceeded.New(""), context.DeadlineExceeded)
	require.ErrorIs(t, flavors.Canceled.New(""), flavors.PBError)
}

// TestExpiryPassesOn cancels a call that waits for a call of another program, which has the time that is left.
func TestExpiryPassesOn(t *testing.T) {
	far := newWorkshop()
	farServer := pbtest.NewServer(t, far)
	far.rt = farServer.Runtime
	near := newWorkshop()
	nearServer := pbtest.NewServer(t, near)
	near.rt = nearServer.Runtime
	toFar, err := broker.Dial(t.Context(), nearServer.Runtime, farServer.Listener.URL())
	require.NoError(t, err)
	there, err := flavors.Call[*flavors.RemoteReference](t.Context(), toFar.Root(), "worker")
	require.NoError(t, err)
	near.rt = nearServer.Runtime
	relay := &relay{to: there}
	conn := pbtest.NewServer(t, relay).Dial()

	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	ms, err := flavors.Call[int64](ctx, conn.Root(), "pass", "left")
	require.NoError(t, err)
	assert.Positive(t, ms)
	result := make(chan error, 1)
	go func() {
		_, err := flavors.Call[any](ctx, conn.Root(), "pass", "wait")
		result <- err
	}()
	assert.Equal(t, "wait", <-far.began)
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	require.Equal(t, context.Canceled, <-far.ended)

	short, cancelShort := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelShort()
	_, err = flavors.Call[any](short, conn.Root(), "pass", "wait")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// relay passes calls on to an object of another program.
type relay struct {
	flavors.Referenceable
	to *flavors.RemoteReference
}

func (r *relay) RemotePass(ctx context.Context, method string) *actor.Deferred {
	return flavors.Start(ctx, r.to, method)
}

// TestEachCallAnsweredOnce makes and cancels calls at random, and counts the answers (P-9.9, P-9.12).
func TestEachCallAnsweredOnce(t *testing.T) {
	const workers = 3
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorkshop()
		s, p := visitWorkshop(t, w, workers)
		var open sync.Once
		next, answers := 0, map[string]int{}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"call", "call", "cancel", "timed", "open"}).Draw(rt, "step") {
			case "call", "timed":
				next++
				method := rapid.SampledFrom([]string{"work", "wait", "later", "quick"}).Draw(rt, "method")
				metadata := ""
				if method == "wait" || rapid.Bool().Draw(rt, "has a deadline") {
					metadata = timeout(rapid.IntRange(-1, 20).Draw(rt, "ms"))
				}
				p.Write(fmt.Sprintf(`[message %d $w%d %s 1 [tuple] [dictionary] %s]`, next,
					rapid.IntRange(1, workers).Draw(rt, "worker"), method, metadata))
			case "cancel":
				p.Write(fmt.Sprintf(`[cancel %d]`, rapid.IntRange(0, next+1).Draw(rt, "which")))
			case "open":
				open.Do(func() { close(w.gate) })
			}
		}
		open.Do(func() { close(w.gate) })
		for range next {
			p.Forget("how")
			p.Forget("id")
			p.Want(`[$how $id _]`)
			answers[fmt.Sprint(p.Var("id"))]++
		}
		p.WantIdle()
		require.Len(rt, answers, next)
		require.Eventually(t, func() bool { return broker.StatsOf(s.Runtime).CallsIn.Pending == 0 }, wire.Timeout,
			time.Millisecond)
		p.Close()
		require.NoError(t, s.Runtime.Close(context.Background()))
	})
}

// sleeper keeps nothing of its calls, which it never answers.
type sleeper struct {
	flavors.Root
	calls chan weak.Pointer[flavors.Invocation]
}

func (s *sleeper) RemoteSleep(inv *flavors.Invocation) *actor.Deferred {
	s.calls <- weak.Make(inv)
	return actor.NewDeferred(inv.Conn().Runtime())
}

// TestDeadlineOfLostCall requires that the timer of a far deadline does not keep a call whose connection has ended, nor
// one that the peer has cancelled.
func TestDeadlineOfLostCall(t *testing.T) {
	const call = `[message %d root sleep %d [tuple] [dictionary] [dictionary [[unicode timeout] 99999999]]]`
	for name, tt := range map[string]struct {
		wantsAnswer int
		end         func(p *wire.Peer)
	}{
		"wants answer": {1, func(p *wire.Peer) { p.Close() }},
		"one way":      {0, func(p *wire.Peer) { p.Close() }},
		"cancelled": {1, func(p *wire.Peer) {
			p.Write(`[cancel 1]`)
			p.Want(`[error 1 _]`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sleeper{calls: make(chan weak.Pointer[flavors.Invocation], 1)}
			p := wire.Connect(t, pbtest.NewServer(t, s).Listener.Addr().String())
			p.JoinAs(banana.ProfilePB1)
			p.Write(fmt.Sprintf(call, 1, tt.wantsAnswer))
			kept := <-s.calls
			tt.end(p)
			pbtest.Eventually(t, func() bool { runtime.GC(); return kept.Value() == nil })
		})
	}
}
