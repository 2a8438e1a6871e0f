package broker_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// connShare is what each connection may hold when the runtime holds too much.
const connShare = 256 << 10

// billboard updates one original.
type billboard struct {
	flavors.Root
	pond pond
}

func (b *billboard) RemoteGet() *pond { return &b.pond }

func (b *billboard) post(n int) *actor.Deferred {
	return flavors.Update(
		&b.pond,
		func(observers flavors.Observers) { _ = observers.CallRemote("add", strings.Repeat("x", n)) },
	)
}

func (b *billboard) observers(t *testing.T) (n int) {
	t.Helper()
	_, err := flavors.Update(&b.pond, func(observers flavors.Observers) { n = observers.Len() }).Await(t.Context())
	require.NoError(t, err)
	return n
}

// heldSlack is by how much what is held for a connection may differ from what waits for it.
const heldSlack = 4 << 10

func TestMemoryTotalByUnreadUpdates(t *testing.T) {
	const peers, size = 4, 50_000
	b := &billboard{}
	s := newServer(t, b, broker.WithLimits(broker.Limits{MemoryTotal: 1}))
	for range peers {
		p := s.peer()
		p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
		p.Want(`[answer 1 ["test.Pond" 1 _]]`)
	}
	for b.observers(t) > 0 {
		require.NoError(t, await(t, b.post(size)))
		require.Eventually(t, func() bool { // The figures change meanwhile.
			all := broker.StatsOf(s.rt)
			diff := all.BytesHeld - all.BytesWaiting - all.Caches*1024
			return max(diff, -diff) <= peers*heldSlack
		}, patience, tick)
		require.LessOrEqual(t, broker.StatsOf(s.rt).BytesWaiting, peers*(connShare+2*size))
	}
	require.Eventually(t, func() bool { return broker.StatsOf(s.rt).BytesHeld == 0 }, patience, tick)
	assert.EqualValues(t, peers, broker.StatsOf(s.rt).Refusals["write backlog"])
}

func TestMemoryTotalByUnreadAnswers(t *testing.T) {
	const peers, calls, size = 3, 40, 100_000
	a := &archive{}
	s := newServer(t, a, broker.WithLimits(broker.Limits{MemoryTotal: 1}))
	for range peers {
		p := s.peer()
		for i := range calls {
			p.Write(fmt.Sprintf(`[message %d root fetch 1 [tuple %d] [dictionary]]`, i+1, size))
		}
	}
	stats := func() broker.RuntimeStats { return broker.StatsOf(s.rt) }
	a.answerAll(t, peers*calls)
	require.Eventually(t, func() bool { return stats().CallsIn.Pending == 0 }, patience, tick)
	dropped := stats().Refusals["write backlog"]
	assert.Less(t, stats().BytesWaiting, peers*(4*connShare+2*size)+int(dropped)*800)
	assert.NotZero(t, dropped)
}

// forgetful releases its arguments.
type forgetful struct{ flavors.Root }

func (*forgetful) RemoteDrop(refs []*flavors.RemoteReference) {
	for _, ref := range refs {
		ref.Release()
	}
}

// A call without an answer still causes a decref for each object that it mentions.
func TestFloodUnreadDecrefs(t *testing.T) {
	const pause = 1 << 16
	s := newServer(t, &forgetful{}, broker.WithLimits(broker.Limits{MaxWriteBacklog: pause}))
	sock := s.dial()
	wire.New(t, sock).Join()
	const refs = 1000
	list := banana.AppendSymbol(banana.AppendList(nil, 1+refs), banana.ProfilePB, banana.SymList)
	for i := range refs {
		list = banana.AppendSymbol(banana.AppendList(list, 2), banana.ProfilePB, banana.SymRemote)
		list = banana.AppendInt(list, int64(i+1))
	}
	frame := callOf(1, "drop", 0, list)
	var err error
	for sent := 0; err == nil; sent++ {
		_, err = sock.Write(frame)
		require.Less(t, sent, 2000, "the connection does not end: %d bytes wait", broker.StatsOf(s.rt).BytesWaiting)
	}
	require.Eventually(t, func() bool { return broker.StatsOf(s.rt).BytesHeld == 0 }, patience, tick)
	assert.EqualValues(t, 1, broker.StatsOf(s.rt).Refusals["write backlog"])
}

// Calls count from when they are handed to the broker. When the total is reached each connection has its share.
func TestMemoryTotalByCallsOut(t *testing.T) {
	const size = 10_000
	rt := newRuntime(t)
	dial := func() *broker.Conn {
		conn, _, err := dialScripted(
			t,
			rt,
			(*wire.Peer).Host,
			broker.WithLimits(broker.Limits{MemoryTotal: 600_000}),
		)
		require.NoError(t, err)
		return conn
	}
	fill := func(conn *broker.Conn) (n int) {
		for {
			if err := conn.Root().CallRemoteNoAnswer("f", make([]byte, size)); err != nil {
				require.ErrorIs(t, err, broker.ErrBackedUp)
				return n
			}
			n++
			all := broker.StatsOf(rt)
			require.GreaterOrEqual(t, all.BytesHeld, n*size-heldSlack)
		}
	}
	a, b := dial(), dial()
	assert.InDelta(t, 57, fill(a), 6, "less than WriteHighWater, because the total is reached")
	assert.InDelta(t, connShare/size, fill(b), 6, "its share")
	a.Abort(nil)
	<-a.Done()
	require.Eventually(t, func() bool { // until the broker has handled everything
		all := broker.StatsOf(rt)
		return max(all.BytesWaiting-all.BytesHeld, all.BytesHeld-all.BytesWaiting) <= heldSlack
	}, patience, tick)
	b.Abort(nil)
	<-b.Done()
	assert.Zero(t, broker.StatsOf(rt).BytesHeld)
}

// What a peer can repeat at will is logged a few times.
func TestLogLinesBounded(t *testing.T) {
	log := &journal{}
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(log).Level(zerolog.InfoLevel)))
	require.NoError(t, err)
	defer rt.Close(t.Context())
	pipe := newPipeListener()
	ln, err := broker.ListenOn(rt, pipe, &service{})
	require.NoError(t, err)
	s := &server{t: t, rt: rt, pipe: pipe, ln: ln}
	p := s.peer()
	for range 50 {
		p.Write(`[didNotUnderstand x]`, `[frobnicate]`)
		p.Want(`[didNotUnderstand frobnicate]`)
		p.Write(`[message 1 77 f 0 [tuple] [dictionary]]`, `[message 1 root nonsense 0 [tuple] [dictionary]]`)
	}
	p.WantIdle()
	assert.LessOrEqual(t, strings.Count(log.text(), "\n"), 10, "%s", log.text())
	assert.True(t, bytes.Contains([]byte(log.text()), []byte("did not understand")))

	w := newTown(t)
	pipe = newPipeListener()
	_, err = broker.ListenOn(rt, pipe, broker.IdentityRoot(w.portal, unhurried()))
	require.NoError(t, err)
	p = (&server{t: t, rt: rt, pipe: pipe}).peer()
	enter(p, 1, "alice", "sesame")
	before, refused := strings.Count(log.text(), "\n"), broker.StatsOf(rt).Refusals["login"]
	for i := range 50 {
		p.Write(fmt.Sprintf(`[message %d $avatar "attach" 1 [tuple chess black] [dictionary]]`, 10+i))
		wantRefused(t, p, 10+i)
	}
	assert.LessOrEqual(t, strings.Count(log.text(), "\n")-before, 20, "%s", log.text())
	assert.EqualValues(t, 50, broker.StatsOf(rt).Refusals["login"]-refused)
}
