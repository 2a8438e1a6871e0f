package flavors_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// probe is an actor that passes on what it receives, and runs the test's functions in its turn.
type probe struct {
	got chan any
}

func (p *probe) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case func(protoactor.Context):
		m(ctx)
	case *protoactor.Started, *protoactor.Stopping, *protoactor.Stopped:
	default:
		p.got <- m
	}
}

func spawnProbe(rt *actor.Runtime) (*protoactor.PID, chan any) {
	p := &probe{got: make(chan any, 100)}
	return rt.Root().Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return p })), p.got
}

// inTurn runs f in an actor's turn and waits for it.
func inTurn(rt *actor.Runtime, pid *protoactor.PID, f func(protoactor.Context)) {
	done := make(chan struct{})
	rt.Root().Send(pid, func(ctx protoactor.Context) { f(ctx); close(done) })
	<-done
}

func TestReferencePID(t *testing.T) {
	conn, p := client(t)
	ref := receive(t, conn, p, 7)
	pid, got := spawnProbe(conn.Runtime())
	first, again := ref.PID(), ref.PID()
	require.Same(t, first, again)

	inTurn(conn.Runtime(), pid, func(ctx protoactor.Context) {
		m := flavors.Message{Method: "add", Args: []any{1, 2}, Kw: flavors.Kw{"k": true}, Token: "first"}
		ctx.Request(ref.PID(), m)
	})
	p.Want(`[message 2 7 add 1 [tuple 1 2] [dictionary [[unicode k] [boolean true]]]]`)
	p.Write(`[answer 2 3]`)
	answer := (<-got).(flavors.Answer)
	sum, err := flavors.As[int](answer.Value, answer.Err)
	require.NoError(t, err)
	require.Equal(t, 3, sum)
	require.Equal(t, "first", answer.Token)
	require.Equal(t, "add", answer.Method)
	require.True(t, ref.PID().Equal(answer.From))

	inTurn(conn.Runtime(), pid, func(ctx protoactor.Context) { ctx.Request(ref.PID(), &flavors.Message{Method: "fail"}) })
	p.Want(`[message 3 7 fail 1 [tuple] [dictionary]]`)
	p.Write(`[error 3 ` + stockFailure + `]`)
	answer = (<-got).(flavors.Answer)
	require.ErrorIs(t, answer.Err, flavors.PBError)
	_, err = flavors.As[int](answer.Value, answer.Err)
	require.ErrorIs(t, err, flavors.PBError)
	require.Nil(t, answer.Token)

	inTurn(conn.Runtime(), pid, func(ctx protoactor.Context) { ctx.Send(ref.PID(), flavors.Message{Method: "note"}) })
	p.Want(`[message 4 7 note 0 [tuple] [dictionary]]`)

	inTurn(conn.Runtime(), pid, func(ctx protoactor.Context) { ctx.Request(ref.PID(), "something else") })
	require.ErrorContains(t, (<-got).(flavors.Answer).Err, "understands flavors.Message, not string")
	inTurn(conn.Runtime(), pid, func(ctx protoactor.Context) {
		ctx.Request(ref.PID(), flavors.Message{Method: "f", Args: []any{make(chan int)}})
	})
	require.ErrorIs(t, (<-got).(flavors.Answer).Err, flavors.InsecureJelly)
}

func TestWatchersAreToldOnce(t *testing.T) {
	for name, end := range map[string]func(*broker.Conn, *scripted, *flavors.RemoteReference){
		"released": func(_ *broker.Conn, p *scripted, r *flavors.RemoteReference) { r.Release(); p.Want(`[decref 7]`) },
		"its PID stops": func(c *broker.Conn, p *scripted, r *flavors.RemoteReference) {
			c.Runtime().Root().Stop(r.PID())
			p.Want(`[decref 7]`)
		},
		"poisoned": func(c *broker.Conn, p *scripted, r *flavors.RemoteReference) {
			c.Runtime().Root().Poison(r.PID())
			p.Want(`[decref 7]`)
		},
		"the peer hangs": func(_ *broker.Conn, p *scripted, _ *flavors.RemoteReference) { p.Close() },
		"aborted":        func(c *broker.Conn, _ *scripted, _ *flavors.RemoteReference) { c.Abort(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			conn, p := client(t)
			ref := receive(t, conn, p, 7)
			refPID := ref.PID()
			pid, got := spawnProbe(conn.Runtime())
			other, none := spawnProbe(conn.Runtime())
			inTurn(conn.Runtime(), pid, func(ctx protoactor.Context) { ctx.Watch(refPID) })
			inTurn(conn.Runtime(), other, func(ctx protoactor.Context) { ctx.Watch(refPID); ctx.Unwatch(refPID) })
			end(conn, p, ref)
			require.Equal(t, refPID.Id, (<-got).(*protoactor.Terminated).Who.Id)
			require.Empty(t, got)
			require.Empty(t, none)
			require.ErrorIs(t, errorOf(ref.CallRemote("f")), flavors.DeadReference)
			// Who comes too late is told at once, by the old PID as by a new one.
			for _, late := range []*protoactor.PID{refPID, ref.PID()} {
				inTurn(conn.Runtime(), other, func(ctx protoactor.Context) { ctx.Watch(late) })
				require.IsType(t, &protoactor.Terminated{}, <-none)
			}
			inTurn(conn.Runtime(), other, func(ctx protoactor.Context) { ctx.Request(refPID, flavors.Message{Method: "f"}) })
			if answer, ok := (<-none).(flavors.Answer); ok { // A PID that nobody has used yet leads to the dead letters.
				require.ErrorIs(t, answer.Err, flavors.DeadReference)
			}
			require.Empty(t, none, "one answer is enough")
		})
	}
}

func TestLinkHoldsReference(t *testing.T) {
	conn, p := client(t)
	rt := conn.Runtime()
	ref := receive(t, conn, p, 7)
	require.Same(t, ref, receive(t, conn, p, 7), "the same reference is the same handle")
	first, _ := spawnProbe(rt)
	second, _ := spawnProbe(rt)
	inTurn(rt, first, func(ctx protoactor.Context) { flavors.Link(ctx, ref) })
	inTurn(rt, second, func(ctx protoactor.Context) { flavors.Link(ctx, ref) })
	require.NoError(t, rt.Root().StopFuture(first).Wait())
	require.NoError(t, ref.Err())
	require.NoError(t, rt.Root().StopFuture(second).Wait())
	p.Want(`[decref 7]`, `[decref 7]`) // Both receipts.
	require.ErrorIs(t, ref.Err(), flavors.ErrReleased)

	again := receive(t, conn, p, 7)
	require.NotSame(t, ref, again, "the old handle is dead")
	third, _ := spawnProbe(rt)
	var unlink func()
	inTurn(rt, third, func(ctx protoactor.Context) { unlink = flavors.Link(ctx, again) })
	unlink()
	p.Want(`[decref 7]`)
	unlink()

	// What is published is not lost with an actor that held it.
	inTurn(rt, third, func(ctx protoactor.Context) { flavors.Link(ctx, conn.Root()) })
	require.NoError(t, rt.Root().StopFuture(third).Wait())
	require.NoError(t, conn.Root().Err())
	rt.Root().Stop(conn.Root().PID())
	require.NoError(t, conn.Root().Err())
	conn.Root().Release()
	require.NoError(t, conn.Root().Err())
}

func TestPIDKeepsReference(t *testing.T) {
	conn, p := client(t)
	pid := receive(t, conn, p, 7).PID()
	for range 5 {
		runtime.GC()
	}
	d := conn.Root().CallRemote("f")
	p.Want(`[message $other root f 1 [tuple] [dictionary]]`) // And no decref before it.
	p.Write(`[answer $other 1]`)
	_, err := result(t, d)
	require.NoError(t, err)
	conn.Runtime().Root().Send(pid, flavors.Message{Method: "note"})
	p.Want(`[message _ 7 note 0 [tuple] [dictionary]]`)
}

func TestReferenceIdentityAndEnd(t *testing.T) {
	conn, p := client(t)
	ref := receive(t, conn, p, 7)
	names := map[*flavors.RemoteReference]string{ref: "seven"}
	require.Equal(t, "seven", names[receive(t, conn, p, 7)])
	require.Empty(t, names[receive(t, conn, p, 8)])
	require.Same(t, conn, ref.Conn())
	require.Nil(t, ref.Perspective())
	require.Equal(t, "<remote 7>", ref.String())
	require.Equal(t, `<remote "root">`, conn.Root().String())

	told := make(chan error, 2)
	ref.NotifyOnDisconnect(func(cause error) { told <- cause })
	dont := ref.NotifyOnDisconnect(func(error) { t.Error("the request was taken back") })
	require.True(t, dont())
	p.Ignore(`[decref 8]`)
	ref.Release()
	p.Want(`[decref 7]`)
	require.NoError(t, ref.Err(), "there is one receipt left")
	ref.Release()
	p.Want(`[decref 7]`)
	for _, err := range []error{ref.Err(), errorOf(ref.CallRemote("f")), ref.CallRemoteNoAnswer("f")} {
		require.ErrorIs(t, err, flavors.DeadReference)
		require.ErrorIs(t, err, flavors.ErrReleased)
	}
	ref.Release() // Once too often is harmless.
	require.ErrorIs(
		t,
		errorOf(conn.Root().CallRemote("take", ref)),
		flavors.DeadReference,
		"it cannot be sent home any more",
	)
	p.Close()
	require.ErrorIs(t, <-told, broker.ErrPeerClosed)
}

func TestReferenceOfOtherConnection(t *testing.T) {
	conn, p := client(t)
	other, _ := client(t)
	ref := receive(t, conn, p, 7)
	err := errorOf(other.Root().CallRemote("take", ref))
	require.ErrorIs(t, err, flavors.InsecureJelly)
	require.ErrorContains(t, err, "<remote 7> belongs to another connection: PB has no third-party references")
	_, err = flavors.Call[any](context.Background(), other.Root(), "take", []any{map[string]any{"deep": ref}})
	require.ErrorContains(t, err, "third-party")
}
