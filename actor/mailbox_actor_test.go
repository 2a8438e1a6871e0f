package actor_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"

	"github.com/perspectivebroker/pb/actor"
)

// TestMailboxUnderLoad has many senders; nothing is lost, and each one's messages stay in order.
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

// idler counts how often it was told that its queue is empty.
type idler struct {
	script
	idle *atomic.Int32
	log  func(string)
}

func (i *idler) MailboxIdle(ctx protoactor.Context) {
	i.idle.Add(1)
	i.log("idle")
	if ctx.Message() != nil || ctx.Self() == nil {
		panic("not the actor's own context")
	}
	if i.idle.Load() == 2 {
		panic("the second time")
	}
}

func TestMailboxTellsWhenItRanEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, log := newRuntime(t)
		var idle atomic.Int32
		var events []string
		mailbox := actor.NewMailbox()
		for range 3 {
			mailbox.PostUserMessage("a")
		}
		pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor {
			i := &idler{idle: &idle, log: func(s string) { events = append(events, s) }}
			i.receive = func(_ *script, ctx protoactor.Context) {
				if s, ok := ctx.Message().(string); ok {
					events = append(events, s)
				}
			}
			return i
		}, protoactor.WithMailbox(func() protoactor.Mailbox { return mailbox })))
		synctest.Wait()
		assert.Equal(t, []string{"a", "a", "a", "idle"}, events)
		rt.Root().Send(pid, "b")
		synctest.Wait()
		assert.Len(t, log.lines(t), 1, "its panic is one like any other")
		rt.Root().Send(pid, "c")
		synctest.Wait()
		assert.Equal(t, []string{"a", "a", "a", "idle", "b", "idle", "c", "idle"}, events)
		stop(rt, pid)
		assert.EqualValues(t, 3, idle.Load())
	})
}
