package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnswersInAnyOrder(t *testing.T) {
	conn, p := client(t)
	var calls []*actor.Deferred
	for i := range 5 {
		calls = append(calls, conn.Root().CallRemote("n", i))
		p.Want(fmt.Sprintf(`[message %d root n 1 [tuple %d] [dictionary]]`, i+1, i))
	}
	for _, i := range []int{3, 0, 4, 2, 1} {
		p.Write(fmt.Sprintf(`[answer %d %d]`, i+1, i*10))
		v, err := result(t, calls[i])
		require.NoError(t, err)
		require.EqualValues(t, i*10, v)
	}
}

func TestCallConvertsAnswers(t *testing.T) {
	conn, p := client(t)
	go func() {
		p.Want(`[message 1 root get 1 [tuple [unicode key]] [dictionary [[unicode deep] [boolean true]]]]`)
		p.Write(`[answer 1 [list 1 2 3]]`)
		p.Want(`[message 2 root get 1 [tuple] [dictionary]]`)
		p.Write(`[answer 2 [unicode word]]`)
	}()
	list, err := flavors.Call[[]int](context.Background(), conn.Root(), "get", "key", flavors.Kw{"deep": true})
	require.NoError(t, err)
	require.Equal(t, []int{1, 2, 3}, list)
	_, err = flavors.Call[int](context.Background(), conn.Root(), "get")
	require.ErrorContains(t, err, "calling get: the answer cannot be had as int")
}

const stockFailure = `["twisted.spread.pb.CopyableFailure" [dictionary
	[[unicode type] "pond.Empty"] [[unicode value] [unicode "no ducks"]]
	[[unicode traceback] [unicode "Traceback: unavailable"]]
	[[unicode parents] [list [unicode "pond.Empty"] [unicode "twisted.spread.pb.Error"] [unicode "builtins.Exception"]]]]]`

func TestFailuresOfThePeerAreTyped(t *testing.T) {
	conn, p := client(t)
	d := conn.Root().CallRemote("take")
	p.Want(`[message 1 root take 1 [tuple] [dictionary]]`)
	p.Write(`[error 1 ` + stockFailure + `]`)
	_, err := result(t, d)
	require.ErrorIs(t, err, flavors.NewException("pond.Empty"))
	require.ErrorIs(t, err, flavors.PBError)
	require.ErrorIs(t, err, flavors.PlainException)
	require.NotErrorIs(t, err, flavors.NoSuchMethod)
	var f *flavors.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, "pond.Empty", f.Type)
	require.Equal(t, "no ducks", f.Value)
}

// Stock peers end the connection on such an error; ours loses the call only.
func TestErrorOfUnregisteredClass(t *testing.T) {
	conn, p := client(t)
	for i, sent := range []string{
		`[error %d ["evil.Class" [dictionary]]]`,
		`[answer %d ["evil.Class" [dictionary]]]`,
		`[answer %d [list ["evil.Class" [dictionary]] [remote 9]]]`,
	} {
		d := conn.Root().CallRemote("f")
		p.Want(fmt.Sprintf(`[message %d root f 1 [tuple] [dictionary]]`, i+1))
		p.Write(fmt.Sprintf(sent, i+1))
		_, err := result(t, d)
		require.ErrorIs(t, err, flavors.InsecureJelly)
	}
	p.Want(`[decref 9]`) // The peer has counted what came along.
	d := conn.Root().CallRemote("f")
	p.Want(`[message 4 root f 1 [tuple] [dictionary]]`)
	p.Write(`[answer 4 [unicode alive]]`)
	v, err := result(t, d)
	require.NoError(t, err)
	require.Equal(t, "alive", v)
}

func TestAnErrorMayBeAnyValue(t *testing.T) {
	conn, p := client(t)
	for i, value := range []string{`[unicode "just a text"]`, `7`, `[list 1 2]`, `[None]`, `[dictionary]`, `[remote 3]`} {
		d := conn.Root().CallRemote("f")
		p.Ignore(`[decref 3]`)
		p.Want(fmt.Sprintf(`[message %d root f 1 [tuple] [dictionary]]`, i+1))
		p.Write(fmt.Sprintf(`[error %d %s]`, i+1, value))
		_, err := result(t, d)
		var f *flavors.Failure
		require.ErrorAs(t, err, &f, value)
	}
}

func TestLateAnswerToCancelledCall(t *testing.T) {
	conn, p := client(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := flavors.Call[any](ctx, conn.Root(), "slow")
		done <- err
	}()
	p.Want(`[message 1 root slow 1 [tuple] [dictionary]]`)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	// References in it were counted by the peer.
	p.Write(`[answer 1 [list [remote 4] [remote 4] [remote 5]]]`)
	p.Want(`[decref 4]`, `[decref 4]`, `[decref 5]`)

	d := conn.Root().CallRemote("slow")
	p.Want(`[message 2 root slow 1 [tuple] [dictionary]]`)
	d.Cancel()
	_, err := result(t, d)
	require.ErrorIs(t, err, actor.ErrCancelled)
	p.Write(`[error 2 ` + stockFailure + `]`)

	d = conn.Root().CallRemote("quick")
	p.Want(`[message 3 root quick 1 [tuple] [dictionary]]`)
	p.Write(`[answer 3 1]`)
	_, err = result(t, d)
	require.NoError(t, err)
}

func TestCallHonoursADeadline(t *testing.T) {
	conn, p := client(t)
	cause := errors.New("no patience")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	_, err := flavors.Call[int](ctx, conn.Root(), "f")
	require.ErrorIs(t, err, cause)
	p.Ignore(`[message _ root f 1 [tuple] [dictionary]]`) // Whether it was sent is a matter of luck.
	d := conn.Root().CallRemote("g")
	p.Want(`[message $id root g 1 [tuple] [dictionary]]`)
	p.Write(`[answer $id 1]`)
	_, err = result(t, d)
	require.NoError(t, err)
}

func TestNoAnswerCallIsNotPending(t *testing.T) {
	conn, p := client(t, broker.WithLimits(broker.Limits{CallsOut: 1}))
	for i := range 3 {
		require.NoError(t, conn.Root().CallRemoteNoAnswer("note", i))
		p.Want(fmt.Sprintf(`[message %d root note 0 [tuple %d] [dictionary]]`, i+1, i))
	}
	// A stock peer answers such calls with nothing; an answer would be one to no call.
	p.Write(`[answer 2 1]`)
	p.WantClosed()
	<-conn.Done()
	var protocol *broker.ProtocolError
	require.ErrorAs(t, context.Cause(conn.Context()), &protocol)
}

func TestPendingCallsFailOnHangup(t *testing.T) {
	conn, p := client(t)
	var calls []*actor.Deferred
	for i := range 100 {
		calls = append(calls, conn.Root().CallRemote("never"))
		p.Want(fmt.Sprintf(`[message %d root never 1 [tuple] [dictionary]]`, i+1))
	}
	p.Close()
	for _, d := range calls {
		_, err := result(t, d)
		require.ErrorIs(t, err, flavors.ConnectionLost)
		require.ErrorIs(t, err, broker.ErrPeerClosed)
		require.NotErrorIs(t, err, flavors.DeadReference)
	}
	<-conn.Done()
	assert.ErrorIs(t, context.Cause(conn.Context()), broker.ErrPeerClosed)
	for _, err := range []error{
		errorOf(conn.Root().CallRemote("f")),
		conn.Root().CallRemoteNoAnswer("f"),
		conn.Root().Err(),
		errorOf(conn.Published("other").CallRemote("f")),
	} {
		assert.ErrorIs(t, err, flavors.DeadReference)
		assert.ErrorIs(t, err, flavors.ProtocolError, "DeadReference is one, as in Twisted")
		assert.ErrorIs(t, err, broker.ErrPeerClosed)
		var f *flavors.Failure
		assert.ErrorAs(t, err, &f)
	}
	_, err := flavors.Call[int](context.Background(), conn.Root(), "f")
	assert.ErrorIs(t, err, flavors.DeadReference)
}

func TestTooManyCallsOut(t *testing.T) {
	conn, p := client(t, broker.WithLimits(broker.Limits{CallsOut: 2}))
	first := conn.Root().CallRemote("f")
	p.Want(`[message 1 root f 1 [tuple] [dictionary]]`)
	conn.Root().CallRemote("f")
	p.Want(`[message 2 root f 1 [tuple] [dictionary]]`)
	require.ErrorIs(t, errorOf(conn.Root().CallRemote("f")), broker.ErrTooManyCalls)
	p.Write(`[answer 1 1]`)
	_, err := result(t, first)
	require.NoError(t, err)
	conn.Root().CallRemote("f")
	p.Want(`[message 3 root f 1 [tuple] [dictionary]]`)
}

// An answered caller may call again at once: a limit of as many calls as there are callers refuses none of them.
func TestAnswerMakesRoomForNextCall(t *testing.T) {
	here, _ := dialTCP(t, broker.WithLimits(broker.Limits{CallsOut: 1}))
	for n := range 2000 {
		sum, err := flavors.Call[int](t.Context(), here.Root(), "add", n, 1)
		require.NoError(t, err)
		require.Equal(t, n+1, sum)
	}
}

func TestCancelledCallCountsUntilAnswered(t *testing.T) {
	conn, p := client(t, broker.WithLimits(broker.Limits{CallsOut: 1}))
	d := conn.Root().CallRemote("f")
	p.Want(`[message 1 root f 1 [tuple] [dictionary]]`)
	d.Cancel()
	// Otherwise a peer that never answers would have us remember calls without end.
	require.ErrorIs(t, errorOf(conn.Root().CallRemote("f")), broker.ErrTooManyCalls)
	p.Write(`[answer 1 [remote 8]]`)
	p.Want(`[decref 8]`)
	conn.Root().CallRemote("f")
	p.Want(`[message 2 root f 1 [tuple] [dictionary]]`)
}

func TestUnsendableArgumentFailsCall(t *testing.T) {
	conn, p := client(t)
	for _, bad := range []any{make(chan int), func() {}, [][]any{{make(chan int)}}} {
		err := errorOf(conn.Root().CallRemote("f", bad))
		require.ErrorIs(t, err, flavors.InsecureJelly)
		require.ErrorContains(t, err, "calling f")
		require.Error(t, conn.Root().CallRemoteNoAnswer("f", bad))
	}
	conn.Root().CallRemote("g")
	p.Want(`[message 1 root g 1 [tuple] [dictionary]]`)
}

func TestDidNotUnderstandIsHarmless(t *testing.T) {
	conn, p := client(t)
	p.Write(`[didNotUnderstand message]`)
	d := conn.Root().CallRemote("f")
	p.Want(`[message 1 root f 1 [tuple] [dictionary]]`)
	p.Write(`[frobnicate]`)
	p.Want(`[didNotUnderstand frobnicate]`)
	p.Write(`[answer 1 1]`)
	_, err := result(t, d)
	require.NoError(t, err)
}

func TestDialerPublishesOnlyOptions(t *testing.T) {
	_, p := client(t, broker.WithPublished("mind", &service{}))
	p.Write(`[message 1 root add 1 [tuple 1 2] [dictionary]]`)
	wantError(t, p.Peer, 1, "twisted.spread.pb.Error")
	p.Write(`[message 2 mind add 1 [tuple 1 2] [dictionary]]`)
	p.Want(`[answer 2 3]`)
}

// One error fails many calls when a connection ends, and those may be answers that are due elsewhere.
func TestOneErrorAnswersManyCalls(t *testing.T) {
	shared := flavors.ValueError.New("for all of them")
	s := newServer(t, &allFail{err: shared})
	var peers []*wire.Peer
	for range 4 {
		peers = append(peers, s.peer())
	}
	for i := range 50 {
		for _, p := range peers {
			p.Write(fmt.Sprintf(`[message %d root f 1 [tuple] [dictionary]]`, i))
		}
		for _, p := range peers {
			wantError(t, p, i, "builtins.ValueError")
		}
	}
}

// allFail answers in goroutines of its own.
type allFail struct {
	flavors.Root
	err error
}

func (r *allFail) HandleRemote(inv *flavors.Invocation) (any, error) {
	d := actor.NewDeferred(inv.Conn().Runtime())
	go d.Complete(nil, r.err)
	return d, nil
}
