package code

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

//guide:begin promised

// Directory has mailboxes, which have inboxes.
type Directory struct {
	flavors.Root
	inbox Inbox
}

func (d *Directory) RemoteMailbox(name string) *Mailbox { return &Mailbox{name: name, inbox: &d.inbox} }

type Mailbox struct {
	flavors.Referenceable
	name  string
	inbox *Inbox
}

func (m *Mailbox) RemoteInbox() *Inbox { return m.inbox }

type Inbox struct {
	flavors.Referenceable
	unread int
}

func (i *Inbox) RemoteUnread() int { return i.unread }

// RemoteMove takes messages out of another inbox.
func (i *Inbox) RemoteMove(from *Inbox) int {
	if from != i {
		i.unread, from.unread = i.unread+from.unread, 0
	}
	return i.unread
}

//guide:end

//guide:begin calls on promises

// unread asks for the number of unread messages in one round trip: each call goes out before the one before it has been
// answered.
func unread(ctx context.Context, root *flavors.RemoteReference, name string) (int, error) {
	box := root.Begin("mailbox", name)
	inbox := box.Begin("inbox")
	return flavors.Call[int](ctx, inbox, "unread")
}

// merge passes one promise to a call on another.
func merge(ctx context.Context, root *flavors.RemoteReference) (int, error) {
	ann := root.Begin("mailbox", "ann").Begin("inbox")
	bob := root.Begin("mailbox", "bob").Begin("inbox")
	return flavors.Call[int](ctx, ann, "move", bob)
}

//guide:end

func TestPromises(t *testing.T) {
	for name, opts := range map[string][]broker.ListenOption{
		"pb+1": nil,
		"pb":   {broker.WithDialects(banana.ProfilePB, banana.ProfileNone)},
	} {
		t.Run(name, func(t *testing.T) {
			conn := pbtest.NewServer(t, &Directory{inbox: Inbox{unread: 7}}, opts...).Dial()
			n, err := unread(t.Context(), conn.Root(), "ann")
			require.NoError(t, err)
			assert.Equal(t, 7, n)
			n, err = merge(t.Context(), conn.Root())
			require.NoError(t, err)
			assert.Equal(t, 7, n)
		})
	}
}
