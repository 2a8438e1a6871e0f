package broker_test

import (
	"context"
	"crypto/md5"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// house is a realm that counts logins and logouts.
type house struct {
	in, out atomic.Int64
	board   board
	same    *player // the avatar of all users, if not nil
	// receive may wait, refuse, or panic.
	receive func(ctx context.Context, id cred.AvatarID, mind *flavors.RemoteReference) error
}

// player is the avatar.
type player struct {
	flavors.Avatar
	name string
	mind *flavors.RemoteReference
	home *house
}

func (p *player) PerspectiveWhoami() string                            { return p.name }
func (p *player) PerspectiveBoard() *board                             { return &p.home.board }
func (p *player) PerspectiveTaken(inv *flavors.Invocation, x any) bool { return taken(inv, x, p) }

// taken reports whether an argument of a call to an avatar has that avatar's perspective.
func taken(inv *flavors.Invocation, x any, p *player) bool {
	r, ok := x.(*flavors.RemoteReference)
	return ok && r.Perspective() == any(p) && inv.Perspective() == any(p)
}

// PerspectiveTell calls the mind and answers with its answer.
func (p *player) PerspectiveTell(method string, args ...any) *actor.Deferred {
	return p.mind.CallRemote(method, args...)
}

// board is one for all players, and knows each of them.
type board struct{ flavors.Viewable }

func (*board) ViewWho(caller *player) string            { return caller.name }
func (*board) ViewDraw(caller *player, x, y int) string { return fmt.Sprint(caller.name, x, y) }
func (b *board) ViewSelf(*player) *board                { return b }
func (b *board) ViewIsSelf(p *player, other *flavors.ViewPoint) bool {
	return other.Object() == any(b) && other.Perspective() == any(p)
}
func (*board) ViewHeld(inv *flavors.Invocation, p *player) bool { return inv.Perspective() == any(p) }

func (h *house) RequestAvatar(
	ctx context.Context,
	id cred.AvatarID,
	mind *flavors.RemoteReference,
) (*player, func(), error) {
	if h.receive != nil {
		if err := h.receive(ctx, id, mind); err != nil {
			return nil, nil, err
		}
	}
	h.in.Add(1)
	p := h.same
	if p == nil {
		p = &player{name: id.String(), mind: mind, home: h}
	}
	return p, func() { h.out.Add(1) }, nil
}

// inside is how many are in.
func (h *house) inside() int64 { return h.in.Load() - h.out.Load() }

// wantEmpty waits until all users have been logged out, once each.
func (h *house) wantEmpty(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return h.inside() == 0 }, wire.Timeout, tick, "inside are %d", h.inside())
}

// tick is how often require.Eventually looks.
const tick = 1e6

// portal lets in alice (sesame), bob (bread) and anonymous users.
func (h *house) portal(t testing.TB) *cred.Portal[*flavors.RemoteReference, *player] {
	t.Helper()
	users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame"), "bob": cred.MD5("bread")})
	require.NoError(t, err)
	portal, err := cred.NewPortal(h, users, cred.AllowAnonymous())
	require.NoError(t, err)
	return portal
}

// portalOf lets in the same users, to avatars that are made of nothing but their names.
func portalOf[A any](t testing.TB, avatar func(name string) A) *cred.Portal[*flavors.RemoteReference, A] {
	t.Helper()
	realm := cred.RealmFunc[*flavors.RemoteReference, A](
		func(_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference) (A, func(), error) {
			return avatar(id.String()), nil, nil
		})
	users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame"), "bob": cred.MD5("bread")})
	require.NoError(t, err)
	portal, err := cred.NewPortal(realm, users, cred.AllowAnonymous())
	require.NoError(t, err)
	return portal
}

// unhurried lets tests fail to log in as often as they like.
func unhurried() broker.LoginOption {
	return broker.WithThrottle(cred.NewThrottle(cred.WithFreeFailures(1 << 20)))
}

func (h *house) serve(t *testing.T, opts ...broker.LoginOption) *server {
	t.Helper()
	return newServer(t, broker.LoginRoot(h.portal(t), append([]broker.LoginOption{unhurried()}, opts...)...))
}

// challenged does the first half of the handshake: it gets a challenge.
func challenged(p *wire.Peer, request int, user string) {
	p.Forget("challenge")
	p.Forget("challenger")
	p.Write(fmt.Sprintf(`[message %d "root" "login" 1 [tuple %q] [dictionary]]`, request, user))
	p.Want(fmt.Sprintf(`[answer %d [tuple $challenge [remote $challenger]]]`, request))
}

// respond is the other half.
func respond(p *wire.Peer, request int, password, mind string) {
	challenge, _ := p.Var("challenge").([]byte)
	hashed := md5.Sum([]byte(password))
	response := md5.Sum(append(hashed[:], challenge...))
	p.Write(fmt.Sprintf(`[message %d $challenger "respond" 1 [tuple %s %s] [dictionary]]`,
		request, strconv.Quote(string(response[:])), mind))
}

// enter logs in and leaves the avatar's luid in $avatar.
func enter(p *wire.Peer, request int, user, password string) {
	challenged(p, request, user)
	respond(p, request+1, password, `[None]`)
	p.Forget("avatar")
	p.Want(fmt.Sprintf(`[answer %d [remote $avatar]]`, request+1))
}

// wantRefused wants the one answer that refused logins get, and returns it.
func wantRefused(t *testing.T, p *wire.Peer, request int) string {
	t.Helper()
	failure := wantError(t, p, request, "twisted.cred.error.UnauthorizedLogin")
	require.Contains(t, failure, "twisted.cred.error.LoginFailed")
	return failure
}

// peerOver negotiates over a connection.
func peerOver(t *testing.T, sock net.Conn) *wire.Peer {
	t.Helper()
	p := wire.New(t, sock)
	p.Join()
	return p
}
