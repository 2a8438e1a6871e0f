package broker_test

import (
	"slices"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConnInfo(t *testing.T) {
	before := time.Now()
	s := (&house{}).serve(t)
	p := s.peer()
	conns := broker.ConnsOf(s.rt)
	require.Len(t, conns, 1)
	first := conns[0].Info()
	assert.EqualValues(t, 1, first.Number)
	assert.Equal(t, "pipe", first.Peer)
	assert.False(t, first.Dialed)
	assert.WithinRange(t, first.Began, before, time.Now())
	assert.Empty(t, first.Users)

	enter(p, 1, "alice", "sesame")
	assert.Equal(t, "open", conns[0].Info().State)
	p.Write(`[message 3 "root" "loginAnonymous" 1 [tuple [None]] [dictionary]]`)
	p.Want(`[answer 3 [remote $nobody]]`)
	users := conns[0].Info().Users
	slices.Sort(users)
	assert.Equal(t, []string{"(anonymous)", "alice"}, users)
	p.Write(`[decref $nobody]`)
	require.Eventually(
		t, func() bool { return slices.Equal(conns[0].Info().Users, []string{"alice"}) }, patience, tick,
	)

	s.peer()
	numbers := []uint64{}
	for _, c := range broker.ConnsOf(s.rt) {
		numbers = append(numbers, c.Info().Number)
	}
	assert.ElementsMatch(t, []uint64{1, 2}, numbers)
	p.Close()
	<-conns[0].Done()
	require.Len(t, broker.ConnsOf(s.rt), 1)
	require.Eventually(t, func() bool { return conns[0].Info().Users == nil }, patience, tick)
}

func TestInfoOfNoConn(t *testing.T) {
	var none *broker.Conn
	assert.Zero(t, none.Info())
	assert.Zero(t, new(broker.Conn).Info())
	assert.Empty(t, broker.ConnsOf(nil))
}

// TestSumsOfManyConns needs more connections than are visited under one lock.
func TestSumsOfManyConns(t *testing.T) {
	const many = 150
	s := newServer(t, &desk{})
	for range many {
		s.peer()
	}
	assert.EqualValues(t, many, broker.StatsOf(s.rt).Conns.Accepted)
	require.Eventually(t, func() bool { return broker.StatsOf(s.rt).Conns.Open == many }, patience, tick)
	assert.Len(t, broker.ConnsOf(s.rt), many)
}

func TestListenersOf(t *testing.T) {
	s := newServer(t, &desk{})
	other := serveOn(t, s.rt, &desk{})
	require.ElementsMatch(t, []*broker.Listener{s.ln, other.ln}, broker.ListenersOf(s.rt))
	assert.Regexp(t, `^pb/listeners/acceptor\$`, s.ln.PID().Id)
	p := s.peer()
	require.NoError(t, s.ln.Close())
	require.Len(t, broker.ListenersOf(s.rt), 2, "a connection goes on")
	p.Close()
	require.Eventually(t, func() bool { return len(broker.ListenersOf(s.rt)) == 1 }, patience, tick)
	assert.Empty(t, broker.ListenersOf(nil))
	assert.Nil(t, new(broker.Listener).PID())
}

// TestInfoOfClient names the users as whom a client has logged in.
func TestInfoOfClient(t *testing.T) {
	h := &house{}
	s := h.serve(t)
	conn, err := broker.NewClientConn(t.Context(), newRuntime(t), s.dial())
	require.NoError(t, err)
	require.True(t, conn.Info().Dialed)
	require.Empty(t, conn.Info().Users)
	alice, err := conn.Login(t.Context(), cred.UsernamePassword{Username: "alice", Password: "sesame"}, nil)
	require.NoError(t, err)
	_, err = conn.Login(t.Context(), cred.Anonymous{}, nil)
	require.NoError(t, err)
	_, err = conn.Login(t.Context(), cred.UsernamePassword{Username: "bob", Password: "guess"}, nil)
	require.Error(t, err)
	require.ElementsMatch(t, []string{"alice", "(anonymous)"}, conn.Info().Users)
	conn.Logout(alice)
	require.Equal(t, []string{"(anonymous)"}, conn.Info().Users)
	require.NoError(t, conn.Close(t.Context()))
	require.Empty(t, conn.Info().Users)
}
