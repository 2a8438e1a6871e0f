package broker_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// diary notes what happens in an object's turn, in order.
type diary struct {
	flavors.Root
	lines []string
	copy  *flavors.Cached[pondCopy]
	seen  []int // how many ducks the copy had when an answer came
}

func (d *diary) RemoteNote(line string) { d.lines = append(d.lines, line) }

func (d *diary) RemoteTake(line string, _ *lateCopy) { d.lines = append(d.lines, line) }

func (*diary) RemoteNone() {}

func (*diary) RemoteBlob() []byte { return make([]byte, 100_000) }

func (d *diary) RemoteKeep(c *flavors.Cached[pondCopy]) { d.copy = c }

// RemoteBegin calls the peer, and notes the answer.
func (d *diary) RemoteBegin(inv *flavors.Invocation, ref *flavors.RemoteReference) {
	ref.CallRemote("ask").Then(inv, func(v any, err error) (any, error) {
		d.lines = append(d.lines, fmt.Sprint(v))
		if d.copy != nil {
			_ = d.copy.View(func(c *pondCopy) { d.seen = append(d.seen, len(c.ducks)) })
		}
		return nil, nil
	})
}

// lateCopy takes a while to be made.
type lateCopy struct{}

func (*lateCopy) SetCopyableState(any) error { time.Sleep(time.Millisecond); return nil }

func diaryRegistry(t *testing.T) broker.Option {
	r := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCopy[lateCopy](r, "test.Slow"))
	require.NoError(t, flavors.RegisterCache[pondCopy](r, "test.Pond"))
	return broker.WithRegistry(r)
}

// actorDiary is a diary behind Forward.
type actorDiary struct{ diary }

func (a *actorDiary) Receive(ctx protoactor.Context) {
	inv, ok := ctx.Message().(*flavors.Invocation)
	if !ok {
		return
	}
	switch inv.Method {
	case "note", "take":
		a.lines = append(a.lines, inv.Args[0].(string))
	case "keep":
		a.copy = inv.Args[0].(*flavors.Cached[pondCopy])
	case "begin":
		inv.Args[0].(*flavors.RemoteReference).CallRemote("ask").Then(ctx, func(v any, err error) (any, error) {
			a.lines = append(a.lines, fmt.Sprint(v))
			if a.copy != nil {
				_ = a.copy.View(func(c *pondCopy) { a.seen = append(a.seen, len(c.ducks)) })
			}
			return nil, nil
		})
	case "lines":
		inv.Answer([]any{slices.Clone(a.lines), slices.Clone(a.seen)}, nil)
		return
	}
	inv.Answer(nil, nil)
}

func (d *diary) RemoteLines() []any { return []any{slices.Clone(d.lines), slices.Clone(d.seen)} }

// TestContinuationOrder: an answer takes effect between the calls and updates that were sent before and behind
// it, as in stock, whatever is read at once and whatever takes its time.
func TestContinuationOrder(t *testing.T) {
	for _, kind := range []string{"object", "actor"} {
		t.Run(kind, func(t *testing.T) {
			s := newServer(t, broker.RootFactory(func(conn *broker.Conn) (any, error) {
				if kind == "object" {
					return &diary{}, nil
				}
				rt := conn.Runtime()
				pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor { return &actorDiary{} }))
				context.AfterFunc(conn.Context(), func() { rt.Root().Stop(pid) })
				return flavors.Forward(rt, pid), nil
			}), diaryRegistry(t))
			rapid.Check(t, func(rt *rapid.T) { playOrder(rt, s.peer()) })
		})
	}
}

func playOrder(rt *rapid.T, p *wire.Peer) {
	defer p.Close()
	p.Ignore(`[decref _]`)
	p.Ignore(`[decache _]`)
	p.Write(`[message 1 root keep 0 [tuple ["test.Pond" 7 [list]]] [dictionary]]`)
	var want []string
	var seen []int
	var frames []string
	flush := func() {
		if len(frames) > 0 {
			p.Write(frames...)
			frames = nil
		}
	}
	asked, ducks := 0, 0
	var open []int
	for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
		line := fmt.Sprintf("line%d", i)
		steps := []string{"note", "note", "take", "begin", "answer", "answer", "update", "flush"}
		switch rapid.SampledFrom(steps).Draw(rt, "step") {
		case "note":
			frames = append(frames, fmt.Sprintf(`[message 2 root note 0 [tuple [unicode %s]] [dictionary]]`, line))
			want = append(want, line)
		case "take":
			frames = append(
				frames,
				fmt.Sprintf(`[message 2 root take 0 [tuple [unicode %s] ["test.Slow" [dictionary]]] [dictionary]]`, line),
			)
			want = append(want, line)
		case "update":
			frames = append(frames, `[cachemessage 2 7 add 0 [tuple [unicode duck]] [dictionary]]`)
			ducks++
		case "begin":
			frames = append(frames, `[message 2 root begin 0 [tuple [remote 5]] [dictionary]]`)
			flush()
			asked++
			p.Want(fmt.Sprintf(`[message %d 5 ask 1 [tuple] [dictionary]]`, asked))
			// The method has returned, and so bound its continuation, before the answer may come.
			p.Write(`[message 2 root none 1 [tuple] [dictionary]]`)
			p.Want(`[answer 2 [None]]`)
			open = append(open, asked)
		case "answer":
			if len(open) == 0 {
				continue
			}
			at := rapid.IntRange(0, len(open)-1).Draw(rt, "which")
			frames = append(frames, fmt.Sprintf(`[answer %d [unicode %s]]`, open[at], line))
			open = slices.Delete(open, at, at+1)
			want = append(want, line)
			seen = append(seen, ducks)
		case "flush":
			flush()
		}
	}
	frames = append(frames, `[message 3 root lines 1 [tuple] [dictionary]]`)
	flush()
	text := `[answer 3 [list [list`
	for _, line := range want {
		text += fmt.Sprintf(" [unicode %q]", line)
	}
	p.Want(text + `] $seen]]`)
	got := p.Var("seen").([]any)[1:]
	if len(got) != len(seen) {
		rt.Fatalf("%d answers were seen, not %d", len(got), len(seen))
	}
	for i, n := range seen {
		// Updates behind the answer may be there as well: a copy has a turn of its own.
		if got[i].(int64) < int64(n) {
			rt.Fatalf("answer %d found %d updates, and %d came before it", i, got[i], n)
		}
	}
}

// TestContinuationsAfterWaitingCalls: calls of a peer that does not read wait, and an answer that came behind them
// waits, too.
func TestContinuationsAfterWaitingCalls(t *testing.T) {
	root := &diary{}
	p := newServer(t, root, diaryRegistry(t), broker.WithLimits(broker.Limits{MaxWriteBacklog: 10_000})).peer()
	p.Ignore(`[decref _]`)
	p.Write(`[message 1 root keep 0 [tuple ["test.Pond" 7 [list]]] [dictionary]]`,
		`[message 1 root begin 0 [tuple [remote 5]] [dictionary]]`)
	p.Want(`[message 1 5 ask 1 [tuple] [dictionary]]`)
	p.Write(`[message 2 root none 1 [tuple] [dictionary]]`)
	p.Want(`[answer 2 [None]]`)
	p.Write(`[message 3 root blob 1 [tuple] [dictionary]]`)
	require.Eventually(
		t,
		func() bool { return broker.StatsOf(root.copyConn().Runtime()).BytesWaiting > 50_000 },
		patience,
		tick,
	)
	p.Write(
		`[message 4 root note 1 [tuple [unicode one]] [dictionary]]`,
		`[cachemessage 5 7 add 1 [tuple [unicode duck]] [dictionary]]`,
		`[answer 1 [unicode two]]`,
		`[message 6 root note 1 [tuple [unicode three]] [dictionary]]`,
	)
	p.Want(`[answer 3 _]`)
	p.Ignore(`[answer 5 _]`)
	p.Want(`[answer 4 [None]]`, `[answer 6 [None]]`)
	p.Write(`[message 7 root lines 1 [tuple] [dictionary]]`)
	p.Want(`[answer 7 [list [list [unicode one] [unicode two] [unicode three]] [list 1]]]`)
}

func (d *diary) copyConn() (conn flavors.Conn) {
	_, _ = d.Do(func() { conn = d.copy.Conn() }).Await(context.Background())
	return conn
}

// TestCallInOrder: the peer calls back many times, objects and copies, before it answers. All of it has happened when
// the answer is there.
func TestCallInOrder(t *testing.T) {
	root, slow := &diary{}, &diary{}
	conn, p := client(t, broker.WithPublished("diary", root), broker.WithPublished("slow", slow), diaryRegistry(t))
	const many = 20
	gate := make(chan struct{})
	slow.Do(func() { <-gate })
	for _, failing := range []bool{false, true} {
		done := make(chan error, 1)
		before := len(slow.lines)
		go func() {
			_, err := flavors.CallInOrder[any](t.Context(), conn.Root(), "work")
			done <- err
		}()
		p.Forget("id")
		p.Want(`[message $id root work 1 [tuple] [dictionary]]`)
		for range many {
			p.Write(
				`[message 1 diary note 0 [tuple [unicode x]] [dictionary]]`,
				`[message 1 slow note 0 [tuple [unicode x]] [dictionary]]`,
			)
		}
		if failing {
			p.Write(`[error $id ["twisted.spread.pb.CopyableFailure" [dictionary]]]`)
		} else {
			p.Write(`[answer $id 1]`)
			// Of a call that does not ask for it the answer is there at once.
			d := conn.Root().CallRemote("other")
			p.Want(`[message _ root other 1 [tuple] [dictionary]]`)
			p.Write(`[answer 2 1]`)
			require.NoError(t, errorOf(d))
			require.Empty(t, done)
			ctx, stop := context.WithCancel(t.Context())
			stop()
			require.ErrorIs(t, conn.Settled(ctx), context.Canceled)
			close(gate)
		}
		err := <-done
		require.Equal(t, failing, err != nil)
		require.Len(t, slow.lines, before+many)
	}
	// What never runs is not waited for.
	p.Write(`[message 9 nothing note 0 [tuple] [dictionary]]`)
	require.NoError(t, conn.Settled(t.Context()))
	p.Close()
	<-conn.Done()
	require.NoError(t, conn.Settled(t.Context()))
}

// TestSettledWaitsForActors: a forwarded call has been carried out when the actor has handled it.
func TestSettledWaitsForActors(t *testing.T) {
	rt := newRuntime(t)
	gate, handled := make(chan struct{}), false
	pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor {
		return protoactor.ReceiveFunc(func(ctx protoactor.Context) {
			if _, ok := ctx.Message().(*flavors.Invocation); ok {
				<-gate
				handled = true
			}
		})
	}))
	conn, p, err := dialScripted(
		t,
		rt,
		(*wire.Peer).Host,
		broker.WithPublished("actor", flavors.Forward(rt, pid)),
	)
	require.NoError(t, err)
	d := conn.Root().CallRemote("work")
	p.Want(`[message 1 root work 1 [tuple] [dictionary]]`)
	p.Write(`[message 1 actor f 0 [tuple] [dictionary]]`, `[answer 1 1]`)
	require.NoError(t, errorOf(d))
	settled := make(chan error, 1)
	go func() { settled <- conn.Settled(t.Context()) }()
	close(gate)
	require.NoError(t, <-settled)
	require.True(t, handled)
	require.NoError(t, rt.Root().StopFuture(pid).Wait())
}
