package broker_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// patience is for require.Eventually.
const patience = wire.Timeout

type receiver = func(context.Context, cred.AvatarID, *flavors.RemoteReference) error

func refuseWith(err error) receiver {
	return func(context.Context, cred.AvatarID, *flavors.RemoteReference) error { return err }
}

func panicWith(v any) receiver {
	return func(context.Context, cred.AvatarID, *flavors.RemoteReference) error { panic(v) }
}

// stringPortal is one whose realm gives out what cannot be referenced.
func stringPortal(t *testing.T, out *int) *cred.Portal[*flavors.RemoteReference, string] {
	t.Helper()
	realm := cred.RealmFunc[*flavors.RemoteReference, string](
		func(context.Context, cred.AvatarID, *flavors.RemoteReference) (string, func(), error) {
			return "avatar", func() { *out++ }, nil
		})
	portal, err := cred.NewPortal(realm, cred.AllowAnonymous())
	require.NoError(t, err)
	return portal
}

// onlyAnonymous is a portal for anonymous logins.
func onlyAnonymous(t *testing.T) *cred.Portal[*flavors.RemoteReference, *player] {
	t.Helper()
	portal, err := cred.NewPortal(&house{}, cred.AllowAnonymous())
	require.NoError(t, err)
	return portal
}

// eavesdropper is a root that would like to be told a password.
type eavesdropper struct {
	flavors.Root
	heard atomic.Bool
}

func (e *eavesdropper) RemoteLoginPassword(...any) { e.heard.Store(true) }

// TestMindCalledDuringLogin (P-8.6) is what Buildbot's master does: all of its setup comes before the
// answer.
func TestMindCalledDuringLogin(t *testing.T) {
	h := &house{receive: func(ctx context.Context, id cred.AvatarID, mind *flavors.RemoteReference) error {
		for _, question := range []string{"print", "getInfo"} {
			if _, err := flavors.Call[any](ctx, mind, question, id.Name()); err != nil {
				return err
			}
		}
		return nil
	}}
	p := h.serve(t).peer()
	challenged(p, 1, "alice")
	respond(p, 2, "sesame", `[remote 5]`)
	p.Want(`[message 1 5 "print" 1 [tuple [unicode alice]] [dictionary]]`)
	// It may log in a second time meanwhile, and be served.
	p.Write(`[message 3 "root" "loginMethods" 1 [tuple] [dictionary]]`)
	p.Want(`[answer 3 _]`)
	p.Write(`[answer 1 [None]]`)
	p.Want(`[message 2 5 "getInfo" 1 [tuple [unicode alice]] [dictionary]]`)
	p.Write(`[answer 2 [None]]`)
	p.Want(`[answer 2 [remote $avatar]]`)
	p.Write(`[message 4 $avatar "tell" 1 [tuple [unicode hello] 1] [dictionary]]`)
	p.Want(`[message 3 5 "hello" 1 [tuple 1] [dictionary]]`)
	p.Write(`[answer 3 [unicode world]]`)
	p.Want(`[answer 4 [unicode world]]`)
}

func TestMindsThatMisbehave(t *testing.T) {
	ask := func(ctx context.Context, _ cred.AvatarID, mind *flavors.RemoteReference) error {
		_, err := flavors.Call[string](ctx, mind, "hello")
		return err
	}
	begin := func(t *testing.T) (*house, *wire.Peer) {
		h := &house{receive: ask}
		p := h.serve(t).peer()
		challenged(p, 1, "alice")
		respond(p, 2, "sesame", `[remote 5]`)
		p.Want(`[message 1 5 "hello" 1 [tuple] [dictionary]]`)
		return h, p
	}
	t.Run("unreadable answer", func(t *testing.T) {
		_, p := begin(t)
		p.Write(`[answer 1 ["evil.Class" [dictionary]]]`)
		wantRefused(t, p, 2)
	})
	t.Run("answer of another type", func(t *testing.T) {
		_, p := begin(t)
		p.Write(`[answer 1 [list]]`)
		wantRefused(t, p, 2)
	})
	t.Run("failure", func(t *testing.T) {
		_, p := begin(t)
		p.Write(`[error 1 [unicode no]]`)
		wantRefused(t, p, 2)
	})
	t.Run("disconnect without an answer", func(t *testing.T) {
		h, p := begin(t)
		p.Close()
		h.wantEmpty(t)
		require.Zero(t, h.in.Load())
	})
	t.Run("disconnect during the login", func(t *testing.T) {
		come, gone := make(chan struct{}), make(chan struct{})
		h := &house{receive: func(ctx context.Context, _ cred.AvatarID, _ *flavors.RemoteReference) error {
			close(come)
			<-ctx.Done() // And a realm that lets him in all the same.
			<-gone
			return nil
		}}
		p := h.serve(t).peer()
		challenged(p, 1, "alice")
		respond(p, 2, "sesame", `[None]`)
		<-come
		p.Close()
		close(gone)
		require.Eventually(t, func() bool { return h.in.Load() == 1 && h.out.Load() == 1 }, patience, tick)
	})
	t.Run("missing mind", func(t *testing.T) {
		h := &house{}
		p := h.serve(t).peer()
		enter(p, 1, "alice", "sesame")
		p.Write(`[message 3 $avatar "tell" 1 [tuple [unicode hello]] [dictionary]]`)
		wantAnyError(p, 3) // A nil mind is the realm's own affair: its method panics, and is answered.
		p.Write(`[message 4 $avatar "whoami" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 4 [unicode alice]]`)
	})
}
