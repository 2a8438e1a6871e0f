package actor_test

import (
	"testing"

	"github.com/perspectivebroker/pb/actor"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTokensJoin(t *testing.T) {
	m, i, s := newMailbox()
	m.PostUserMessage("a")
	for range 300 {
		m.PostUserMessage(actor.Tokens(1))
	}
	m.PostUserMessage("b")
	m.PostUserMessage(actor.Tokens(1))
	m.PostUserMessage(actor.Tokens(2))
	s.step()
	assert.Equal(t, []any{"a", actor.Tokens(255), actor.Tokens(45), "b", actor.Tokens(3)}, i.user)
}

// An actor that finds a system message in the middle of its tokens unreads the rest.
func TestTokensUnread(t *testing.T) {
	m, i, s := newMailbox()
	posted := false
	i.tokens = func(n actor.Tokens) {
		if !posted {
			posted = true
			assert.False(t, m.IsUrgent())
			m.PostSystemMessage(&protoactor.SuspendMailbox{})
			assert.True(t, m.IsUrgent())
			m.Unread(n - 1)
		}
	}
	m.PostUserMessage(actor.Tokens(3))
	m.PostUserMessage("a")
	s.step()
	assert.Equal(t, []any{actor.Tokens(3)}, i.user)
	assert.Equal(t, 2, m.Len())
	m.PostSystemMessage(&protoactor.ResumeMailbox{})
	s.step()
	assert.Equal(t, []any{actor.Tokens(3), actor.Tokens(2), "a"}, i.user)
}

// A panic between two tokens must not lose the others.
func TestTokensUnreadOnPanic(t *testing.T) {
	m, i, s := newMailbox()
	i.tokens = func(n actor.Tokens) {
		if n > 1 {
			m.Unread(n - 1)
			panic("bomb")
		}
	}
	m.PostUserMessage(actor.Tokens(2))
	s.step()
	require.Len(t, i.failed, 1)
	m.PostSystemMessage(&protoactor.ResumeMailbox{})
	s.step()
	assert.Equal(t, []any{actor.Tokens(2), actor.Tokens(1)}, i.user)
}

// Tokens keep their number and their places among other messages, whenever turns run and however many tokens the actor
// uses of each message.
func TestTokensModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m, i, s := newMailbox()
		s.throughput = rapid.IntRange(1, 300).Draw(rt, "throughput")
		uses := rapid.IntRange(1, 300).Draw(rt, "uses")
		var got []any
		i.tokens = func(n actor.Tokens) {
			used := min(int(n), uses)
			for range used {
				got = append(got, nil)
			}
			if left := int(n) - used; left > 0 {
				m.Unread(actor.Tokens(left))
			}
		}
		i.other = func(message any) { got = append(got, message) }
		var want []any
		for n := range rapid.IntRange(1, 50).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0:
				m.PostUserMessage(n)
				want = append(want, n)
			case 1:
				s.step()
				assert.Equal(rt, want, got)
			default:
				more := rapid.IntRange(1, 255).Draw(rt, "tokens")
				m.PostUserMessage(actor.Tokens(more))
				want = append(want, make([]any, more)...)
			}
		}
		s.step()
		assert.Equal(rt, want, got)
	})
}
