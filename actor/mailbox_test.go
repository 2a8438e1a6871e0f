package actor_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/perspectivebroker/pb/actor"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// invoker records the messages of a mailbox and panics on request.
type invoker struct {
	mailbox *actor.Mailbox
	user    []any
	system  []any
	failed  []any // the messages that were escalated
	reasons []any
	active  atomic.Int32

	tokens func(actor.Tokens) // if not nil, called with Tokens
	other  func(any)          // if not nil, called with all else
}

type bomb struct{ n int }

type exit struct{}

func (i *invoker) enter() func() {
	if i.active.Add(1) != 1 {
		panic("two turns at a time")
	}
	return func() { i.active.Add(-1) }
}

func (i *invoker) InvokeSystemMessage(m any) {
	defer i.enter()()
	i.system = append(i.system, m)
	if b, ok := m.(*bomb); ok {
		panic(fmt.Sprint("system bomb ", b.n))
	}
}

func (i *invoker) InvokeUserMessage(m any) {
	defer i.enter()()
	i.user = append(i.user, m)
	if t, ok := m.(actor.Tokens); ok && i.tokens != nil {
		i.tokens(t)
	} else if i.other != nil {
		i.other(m)
	}
	switch b := m.(type) {
	case *bomb:
		panic(fmt.Sprint("bomb ", b.n))
	case exit:
		runtime.Goexit()
	case func():
		b()
	}
}

func (i *invoker) EscalateFailure(reason, message any) {
	i.failed = append(i.failed, message)
	i.reasons = append(i.reasons, reason)
	i.mailbox.PostSystemMessage(&protoactor.SuspendMailbox{})
}

// stepper is a dispatcher that runs turns on request.
type stepper struct {
	turns      []func()
	throughput int
}

func (s *stepper) Schedule(f func()) { s.turns = append(s.turns, f) }
func (s *stepper) Throughput() int   { return max(s.throughput, 1) }

// step runs the scheduled turns, each in its own goroutine, because a turn may call runtime.Goexit.
func (s *stepper) step() {
	for len(s.turns) > 0 {
		f := s.turns[0]
		s.turns = s.turns[1:]
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		<-done
	}
}

func newMailbox() (*actor.Mailbox, *invoker, *stepper) {
	m := actor.NewMailbox()
	i, s := &invoker{mailbox: m}, &stepper{}
	m.RegisterHandlers(i, s)
	m.Start()
	return m, i, s
}

func TestMailboxBeforeActor(t *testing.T) {
	m := actor.NewMailbox()
	m.PostUserMessage(1)
	m.PostUserMessage(2)
	assert.Equal(t, 2, m.Len())
	i, s := &invoker{mailbox: m}, &stepper{}
	m.RegisterHandlers(i, s)
	m.PostSystemMessage("started")
	assert.Empty(t, s.turns, "nothing runs before Start")
	m.Start()
	assert.Len(t, s.turns, 1)
	m.PostUserMessage(3)
	assert.Len(t, s.turns, 1, "one turn at a time")
	s.step()
	assert.Equal(t, []any{"started"}, i.system)
	assert.Equal(t, []any{1, 2, 3}, i.user)
	assert.Zero(t, m.UserMessageCount())
}

func TestMailboxStartsIdle(t *testing.T) {
	_, _, s := newMailbox()
	assert.Empty(t, s.turns)
}

func TestMailboxSystemMessagesFirst(t *testing.T) {
	m, i, s := newMailbox()
	for n := range 3 {
		m.PostUserMessage(n)
		m.PostSystemMessage(n)
	}
	s.step()
	assert.Equal(t, []any{0, 1, 2}, i.system)
	assert.Equal(t, []any{0, 1, 2}, i.user)
}

func TestMailboxSuspends(t *testing.T) {
	m, i, s := newMailbox()
	m.PostSystemMessage(&protoactor.SuspendMailbox{})
	m.PostUserMessage(1)
	s.step()
	assert.Empty(t, i.user)
	m.PostUserMessage(2)
	assert.Empty(t, s.turns, "no turn while suspended")
	m.PostSystemMessage("between")
	s.step()
	assert.Equal(t, []any{"between"}, i.system)
	assert.Equal(t, 2, m.Len())
	m.PostSystemMessage(&protoactor.ResumeMailbox{})
	s.step()
	assert.Equal(t, []any{1, 2}, i.user)
}

func TestMailboxKeepsBatchOnPanic(t *testing.T) {
	m, i, s := newMailbox()
	fatal := &bomb{1}
	for _, message := range []any{1, fatal, 2, 3} {
		m.PostUserMessage(message)
	}
	s.step()
	assert.Equal(t, []any{1, fatal}, i.user)
	assert.Equal(t, []any{fatal}, i.failed, "the failure comes with the message that caused it")
	assert.Equal(t, []any{"bomb 1"}, i.reasons)
	assert.Equal(t, 2, m.Len())
	m.PostUserMessage(4)
	m.PostSystemMessage(&protoactor.ResumeMailbox{})
	s.step()
	assert.Equal(t, []any{1, fatal, 2, 3, 4}, i.user)

	m.PostSystemMessage(fatal)
	m.PostUserMessage(5)
	s.step()
	assert.Equal(t, "system bomb 1", i.reasons[1])
	assert.Equal(t, 1, m.Len())
}

func TestMailboxSurvivesGoexit(t *testing.T) {
	m, i, s := newMailbox()
	m.PostUserMessage(exit{})
	m.PostUserMessage(1)
	s.step()
	require.Len(t, i.reasons, 1)
	assert.ErrorContains(t, i.reasons[0].(error), "Goexit")
	assert.Equal(t, 1, m.Len(), "held until the supervisor decides")
	m.PostSystemMessage(&protoactor.ResumeMailbox{})
	s.step()
	assert.Equal(t, []any{exit{}, 1}, i.user)
}

// fragile panics in EscalateFailure, as a guardian does.
type fragile struct{ *invoker }

func (fragile) EscalateFailure(any, any) { panic("cannot escalate") }

func TestMailboxEscalationPanic(t *testing.T) {
	m := actor.NewMailbox()
	i := &invoker{mailbox: m}
	var turns []func()
	s := &stepper{}
	m.RegisterHandlers(fragile{i}, s)
	m.Start()
	m.PostUserMessage(&bomb{1})
	m.PostUserMessage(1)
	turns, s.turns = s.turns, nil
	require.Len(t, turns, 1)
	assert.PanicsWithValue(t, "cannot escalate", turns[0])
	assert.Empty(t, s.turns)
	m.PostSystemMessage("still heard")
	s.step()
	assert.Equal(t, []any{"still heard"}, i.system)
	assert.Equal(t, 1, m.Len())
}

func TestMailboxNoRestartWhileStopping(t *testing.T) {
	m, i, s := newMailbox()
	restart, end := &protoactor.Restart{}, &protoactor.Stop{}
	for _, message := range []any{restart, end, restart, restart} {
		m.PostSystemMessage(message)
	}
	s.step()
	assert.Equal(t, []any{restart, end}, i.system)
}

func TestMailboxTerminates(t *testing.T) {
	m, i, s := newMailbox()
	m.PostSystemMessage(&protoactor.SuspendMailbox{})
	m.PostUserMessage(1)
	m.PostUserMessage(2)
	s.step()
	var dead []any
	m.Terminate(func(message any) {
		dead = append(dead, message)
		if message == 1 {
			m.PostUserMessage("from within")
		}
	})
	m.Terminate(func(any) { t.Error("the first call counts") })
	m.PostUserMessage(3)
	s.step()
	m.PostUserMessage(4)
	watch, unwatch := &protoactor.Watch{}, &protoactor.Unwatch{}
	for _, message := range []any{
		watch, unwatch, &protoactor.Restart{}, &protoactor.Failure{}, &protoactor.SuspendMailbox{},
	} {
		m.PostSystemMessage(message)
	}
	s.step()
	m.PostUserMessage(5)
	s.step()
	assert.Equal(t, []any{1, 2, 3, "from within", 4, 5}, dead)
	assert.Equal(t, []any{watch, unwatch}, i.system)
	assert.Empty(t, i.user)
}

func TestMailboxWithoutActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := actor.NewMailbox()
		m.PostUserMessage(1)
		var dead []any
		m.Terminate(func(message any) { dead = append(dead, message) })
		m.PostUserMessage(2)
		m.PostSystemMessage(&protoactor.Watch{})
		synctest.Wait()
		m.PostUserMessage(3)
		synctest.Wait()
		assert.Equal(t, []any{1, 2, 3}, dead)
	})
}

func TestMailboxDeadHookPanic(t *testing.T) {
	m, i, s := newMailbox()
	var dead []any
	m.Terminate(func(message any) {
		dead = append(dead, message)
		if message == 1 {
			panic("no")
		}
		if message == 2 {
			runtime.Goexit()
		}
	})
	for n := range 4 {
		m.PostUserMessage(n)
	}
	s.step()
	assert.Equal(t, []any{0, 1, 2, 3}, dead)
	assert.Empty(t, i.reasons)
}

// TestMailboxModel compares a mailbox with a model of two lists and a flag.
func TestMailboxModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, i, s := newMailbox()
		s.throughput = rapid.IntRange(1, 5).Draw(t, "throughput")
		var queued, user, system, failed []any
		suspended := false
		n := 0
		t.Repeat(map[string]func(*rapid.T){
			"user": func(t *rapid.T) {
				for range rapid.IntRange(1, 3000).Draw(t, "how many") {
					n++
					m.PostUserMessage(n)
					queued = append(queued, n)
				}
			},
			"bomb": func(*rapid.T) {
				n++
				b := &bomb{n}
				m.PostUserMessage(b)
				queued = append(queued, b)
			},
			"system": func(*rapid.T) {
				n++
				m.PostSystemMessage(n)
				system = append(system, n)
			},
			"suspend": func(*rapid.T) {
				m.PostSystemMessage(&protoactor.SuspendMailbox{})
				suspended = true
			},
			"resume": func(*rapid.T) {
				m.PostSystemMessage(&protoactor.ResumeMailbox{})
				suspended = false
			},
			"step": func(*rapid.T) {
				s.step()
				for len(queued) > 0 && !suspended {
					user = append(user, queued[0])
					if b, ok := queued[0].(*bomb); ok {
						failed = append(failed, b)
						suspended = true
					}
					queued = queued[1:]
				}
			},
			"": func(t *rapid.T) {
				if m.Len() != len(queued) {
					t.Fatalf("Len is %d, should be %d", m.Len(), len(queued))
				}
				if len(s.turns) > 1 {
					t.Fatalf("%d turns at a time", len(s.turns))
				}
			},
		})
		m.PostSystemMessage(&protoactor.ResumeMailbox{})
		s.step()
		for len(i.failed) > len(failed) {
			failed = append(failed, i.failed[len(failed)])
			m.PostSystemMessage(&protoactor.ResumeMailbox{})
			s.step()
		}
		if want := append(user, queued...); !slices.Equal(want, i.user) {
			t.Fatalf("user messages: got %d, want %d", len(i.user), len(want))
		}
		if !slices.Equal(system, i.system) {
			t.Fatalf("system messages: got %v, want %v", i.system, system)
		}
	})
}

// TestMailboxUnderLoad has many senders. No message is lost, and each sender's messages stay in order.
func TestMailboxUnderLoad(t *testing.T) {
	const senders, messages = 8, 5000
	rt, _ := newRuntime(t)
	type note struct{ sender, n int }
	var next [senders]int
	left := senders * messages
	done := make(chan struct{})
	pid := rt.Root().Spawn(scripted(rt, func(_ *script, ctx protoactor.Context) {
		m, ok := ctx.Message().(note)
		if !ok {
			return
		}
		if m.n != next[m.sender] {
			t.Errorf("sender %d: got %d, want %d", m.sender, m.n, next[m.sender])
		}
		next[m.sender] = m.n + 1
		if left--; left == 0 {
			close(done)
		}
	}))
	var senderGroup sync.WaitGroup
	for sender := range senders {
		senderGroup.Go(func() {
			for n := range messages {
				rt.Root().Send(pid, note{sender, n})
				if n%512 == 0 { // system messages in between
					rt.WhenStopped(pid, func() {})
				}
			}
		})
	}
	senderGroup.Wait()
	<-done
	stop(rt, pid)
}

func TestLendHandlesAtOnce(t *testing.T) {
	m, i, s := newMailbox()
	m.Lend(1)
	assert.Equal(t, []any{1}, i.user)
	assert.Empty(t, s.turns)
	m.Lend(2)
	assert.Equal(t, []any{1, 2}, i.user)

	m.PostUserMessage(3)
	m.Lend(4)
	assert.Equal(t, []any{1, 2}, i.user, "a busy actor handles it later")
	assert.Equal(t, 2, m.Len())
	s.step()
	assert.Equal(t, []any{1, 2, 3, 4}, i.user)
}

func TestLendHandlesOneMessage(t *testing.T) {
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

func TestLendToBusyActor(t *testing.T) {
	early := actor.NewMailbox()
	early.Lend(1)
	assert.Equal(t, 1, early.Len(), "the actor does not exist yet")

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

func TestLendPanic(t *testing.T) {
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

// TestLendUnderLoad lends and posts concurrently. The invoker detects overlapping turns.
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
