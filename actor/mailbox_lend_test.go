package actor_test

import (
	"runtime"
	"sync"
	"testing"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"

	"github.com/perspectivebroker/pb/actor"
)

func TestLentMessageIsHandledAtOnce(t *testing.T) {
	m, i, s := newMailbox()
	m.Lend(1)
	assert.Equal(t, []any{1}, i.user)
	assert.Empty(t, s.turns)
	m.Lend(2)
	assert.Equal(t, []any{1, 2}, i.user)

	m.PostUserMessage(3)
	m.Lend(4)
	assert.Equal(t, []any{1, 2}, i.user, "who has something to do already gets it behind that")
	assert.Equal(t, 2, m.Len())
	s.step()
	assert.Equal(t, []any{1, 2, 3, 4}, i.user)
}

func TestLentGoroutineDoesNothingElse(t *testing.T) {
	m, i, s := newMailbox()
	m.Lend(func() {
		m.PostUserMessage("user")
		m.PostSystemMessage("system")
		m.Lend("lent within")
	})
	assert.Len(t, i.user, 1)
	assert.Empty(t, i.system)
	assert.Len(t, s.turns, 1)
	s.step()
	assert.Equal(t, []any{"user", "lent within"}, i.user[1:])
	assert.Equal(t, []any{"system"}, i.system)
	m.Lend("again")
	assert.Equal(t, "again", i.user[3])
}

func TestLendToWhoCannotTakeIt(t *testing.T) {
	early := actor.NewMailbox()
	early.Lend(1)
	assert.Equal(t, 1, early.Len(), "there is no actor yet")

	m, i, s := newMailbox()
	m.PostSystemMessage(&protoactor.SuspendMailbox{})
	s.step()
	m.Lend(1)
	s.step()
	assert.Empty(t, i.user)
	m.PostSystemMessage(&protoactor.ResumeMailbox{})
	s.step()
	assert.Equal(t, []any{1}, i.user)

	var dead []any
	m.Terminate(func(message any) { dead = append(dead, message) })
	s.step()
	m.Lend(2)
	s.step()
	assert.Equal(t, []any{2}, dead)
}

func TestLentMessageFails(t *testing.T) {
	for name, message := range map[string]any{"panic": &bomb{1}, "Goexit": exit{}} {
		t.Run(name, func(t *testing.T) {
			m, i, s := newMailbox()
			var caller sync.WaitGroup
			caller.Go(func() { m.Lend(message) })
			caller.Wait()
			assert.Equal(t, []any{message}, i.failed)
			m.Lend("held until the supervisor has decided")
			s.step()
			assert.Len(t, i.user, 1)
			m.PostSystemMessage(&protoactor.ResumeMailbox{})
			s.step()
			assert.Len(t, i.user, 2)
		})
	}
}

// Many lend at the same time as others post. The invoker notices two turns at a time.
func TestLendUnderLoad(t *testing.T) {
	const senders, messages = 8, 3000
	rt, _ := newRuntime(t)
	m := actor.NewMailbox()
	i := &invoker{mailbox: m}
	m.RegisterHandlers(i, rt.Dispatcher())
	m.Start()
	type note struct{ sender, n int }
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for n := range messages {
				if (sender+n)%3 == 0 {
					m.PostUserMessage(note{sender, n})
				} else {
					m.Lend(note{sender, n})
				}
			}
		})
	}
	all.Wait()
	last := make(chan struct{})
	m.PostUserMessage(func() { close(last) })
	<-last
	assert.Len(t, i.user, senders*messages+1)
	var next [senders]int
	for _, message := range i.user[:senders*messages] {
		got := message.(note)
		assert.Equal(t, next[got.sender], got.n)
		next[got.sender]++
	}
}

func TestTurnFollowsTurn(t *testing.T) {
	m, i, s := newMailbox()
	after, j, _ := newMailbox()
	after.RegisterHandlers(j, s)
	s.throughput = 10

	m.PostUserMessage(func() { after.PostFrom(m, 1) })
	assert.Len(t, s.turns, 1)
	first := s.turns[0]
	s.turns = nil
	first()
	assert.Equal(t, []any{1}, j.user, "it is handled on the same goroutine")
	assert.Empty(t, s.turns)
	assert.Len(t, i.user, 1)

	// Both can be used again.
	m.PostUserMessage(func() { after.PostFrom(m, 2) })
	s.step()
	after.PostFrom(nil, 3)
	s.step()
	assert.Equal(t, []any{1, 2, 3}, j.user)
}

func TestTurnFollowsNoneThatGoesOn(t *testing.T) {
	for name, next := range map[string]func(m *actor.Mailbox){
		"another message":  func(m *actor.Mailbox) { m.PostUserMessage("next") },
		"a system message": func(m *actor.Mailbox) { m.PostSystemMessage("next") },
		"a panic":          func(*actor.Mailbox) { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			m, _, s := newMailbox()
			after, j, _ := newMailbox()
			other := &stepper{}
			after.RegisterHandlers(j, other)
			m.PostUserMessage(func() {
				after.PostFrom(m, 1)
				next(m)
			})
			s.step()
			assert.Len(t, other.turns, 1, "it does not wait for what may take long")
			other.step()
			assert.Equal(t, []any{1}, j.user)
		})
	}
}

func TestTurnsThatFollowAreNotMixedUp(t *testing.T) {
	m, _, s := newMailbox()
	first, j, _ := newMailbox()
	second, k, _ := newMailbox()
	other := &stepper{}
	first.RegisterHandlers(j, other)
	second.RegisterHandlers(k, other)
	s.throughput = 10
	m.PostUserMessage(func() {
		first.PostFrom(m, 1)
		second.PostFrom(m, 2)
		first.PostFrom(m, 3)
	})
	s.step()
	assert.Equal(t, []any{1, 3}, j.user)
	assert.Len(t, other.turns, 1)
	other.step()
	assert.Equal(t, []any{2}, k.user)

	// Of a lent goroutine nothing else is wanted.
	m.Lend(func() { first.PostFrom(m, 4) })
	assert.Len(t, j.user, 2)
	other.step()
	assert.Equal(t, []any{1, 3, 4}, j.user)

	// Nor of one that ends with Goexit.
	m.PostUserMessage(func() {
		first.PostFrom(m, 5)
		runtime.Goexit()
	})
	s.step()
	other.step()
	assert.Equal(t, []any{1, 3, 4, 5}, j.user)
}
