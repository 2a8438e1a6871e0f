package broker_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// safe can be looked into by users; the operator alone may empty it.
type safe struct{ flavors.Referenceable }

func (*safe) ViewPeek(caller *clerk) string { return caller.name + " sees 7" }
func (*safe) RemoteEmpty() string           { return "all of it" }

// wicket is the same as a Viewable.
type wicket struct{ flavors.Viewable }

func (*wicket) ViewPeek(caller *clerk) string { return caller.name + " sees a wicket" }
func (*wicket) RemoteEmpty() string           { return "all of it" }

// bank is what its clerks share.
type bank struct {
	safe   safe
	wicket wicket
	manual *flavors.ViewPoint // of the safe, for the clerk "guest"

	mu   sync.Mutex
	held any
}

// clerk is the avatar.
type clerk struct {
	flavors.Avatar
	name string
	bank *bank
	copy *flavors.Cached[cabinet]
}

func (c *clerk) PerspectivePeek() string            { return c.name + " sees himself" }
func (c *clerk) PerspectiveManual() any             { return c.bank.manual }
func (c *clerk) PerspectiveWicket() *wicket         { return &c.bank.wicket }
func (c *clerk) PerspectiveEcho(x any) any          { return x }
func (c *clerk) PerspectiveNamed(kw flavors.Kw) any { return kw["x"] }
func (c *clerk) PerspectiveCopied(b *box) any       { return b.X }
func (c *clerk) PerspectiveSame(a, b any) bool      { return a == b }
func (c *clerk) PerspectiveSent(x any) bool         { return x == any(c.bank.manual) }
func (c *clerk) PerspectiveSafe(*safe)              {}
func (c *clerk) PerspectiveWickets([]*wicket)       {}
func (c *clerk) PerspectiveAsk(r *flavors.RemoteReference) *actor.Deferred {
	return r.CallRemote("give")
}

func (c *clerk) PerspectiveHold(x any) {
	c.bank.mu.Lock()
	defer c.bank.mu.Unlock()
	c.bank.held = x
}

func (c *clerk) PerspectiveHeld() any {
	c.bank.mu.Lock()
	defer c.bank.mu.Unlock()
	return c.bank.held
}

func (c *clerk) PerspectiveCache(copy *flavors.Cached[cabinet]) { c.copy = copy }

func (c *clerk) PerspectiveCacheState() (x any, err error) {
	err = c.copy.View(func(s *cabinet) { x = s.x })
	return x, err
}

// box is a copy that has something in it.
type box struct {
	X any `pb:"x"`
}

// cabinet is a cache that has something on it.
type cabinet struct {
	flavors.RemoteCache
	x any
}

func (s *cabinet) SetCopyableState(state any) error { s.x = state; return nil }
func (s *cabinet) ObservePut(x any)                 { s.x = x }

func newBank(t *testing.T) (*bank, *server) {
	t.Helper()
	b := &bank{}
	var err error
	b.manual, err = flavors.NewViewPoint(&clerk{name: "guest"}, &b.safe)
	require.NoError(t, err)
	r := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCopy[box](r, "test.Box"))
	require.NoError(t, flavors.RegisterCache[cabinet](r, "test.Shelf"))
	portal := portalOf(t, func(name string) *clerk { return &clerk{name: name, bank: b} })
	return b, newServer(t, broker.LoginRoot(portal, unhurried()), broker.WithRegistry(r))
}

// ways are how a view can come home and be sent on: each writes a request whose answer should be the view.
var ways = map[string]func(p *wire.Peer, view string){
	"argument": func(p *wire.Peer, view string) {
		p.Write(`[message 50 $avatar echo 1 [tuple ` + view + `] [dictionary]]`)
	},
	"keyword": func(p *wire.Peer, view string) {
		p.Write(`[message 50 $avatar named 1 [tuple] [dictionary [[unicode x] ` + view + `]]]`)
	},
	"state of a copy": func(p *wire.Peer, view string) {
		p.Write(`[message 50 $avatar copied 1 [tuple ["test.Box" [dictionary [[unicode x] ` + view + `]]]] [dictionary]]`)
	},
	"answer": func(p *wire.Peer, view string) {
		p.Write(`[message 50 $avatar ask 1 [tuple [remote 90]] [dictionary]]`)
		p.Forget("asked")
		p.Want(`[message $asked 90 give 1 [tuple] [dictionary]]`)
		p.Write(`[answer $asked ` + view + `]`)
	},
	"state of a cache": func(p *wire.Peer, view string) {
		p.Write(
			`[message 49 $avatar cache 1 [tuple ["test.Shelf" 91 `+view+`]] [dictionary]]`,
			`[message 50 $avatar cacheState 1 [tuple] [dictionary]]`,
		)
		p.Want(`[answer 49 [None]]`)
	},
	"update of a cache": func(p *wire.Peer, view string) {
		p.Write(
			`[message 49 $avatar cache 1 [tuple ["test.Shelf" 92 [None]]] [dictionary]]`,
			`[cachemessage 7 92 put 0 [tuple `+view+`] [dictionary]]`,
			`[message 50 $avatar cacheState 1 [tuple] [dictionary]]`,
		)
		p.Want(`[answer 49 [None]]`)
	},
	"held by the user": func(p *wire.Peer, view string) {
		p.Write(
			`[message 49 $avatar hold 1 [tuple `+view+`] [dictionary]]`,
			`[message 50 $avatar held 1 [tuple] [dictionary]]`,
		)
		p.Want(`[answer 49 [None]]`)
	},
}

// kinds are the views that a peer can be given, and what their peek answers.
var kinds = map[string]struct{ get, sees string }{
	"a ViewPoint made by hand": {`[message 40 $avatar manual 1 [tuple] [dictionary]]`, "guest sees 7"},
	"a Viewable":               {`[message 40 $avatar wicket 1 [tuple] [dictionary]]`, "alice sees a wicket"},
	"the user's own avatar":    {"", "alice sees himself"},
}

// TestViewComesHome holds P-5.2 for what is more than its object: on every way home it stays the view that was sent.
func TestViewComesHome(t *testing.T) {
	for kind, k := range kinds {
		for _, way := range slices.Sorted(maps.Keys(ways)) {
			t.Run(kind+", "+way, func(t *testing.T) {
				_, s := newBank(t)
				p := s.peer()
				p.Ignore(`[decref 90]`)
				p.Ignore(`[decache _]`)
				enter(p, 1, "alice", "sesame")
				view := "$avatar"
				if k.get != "" {
					view = "$view"
					p.Write(k.get)
					p.Want(`[answer 40 [remote $view]]`)
				}
				ways[way](p, "[local "+view+"]")
				p.Want(`[answer 50 [remote ` + view + `]]`)
				wantRestricted(p, view, k.sees)
				// Two mentions are one view.
				p.Write(fmt.Sprintf(`[message 51 $avatar same 1 [tuple [local %s] [local %[1]s]] [dictionary]]`, view))
				p.Want(`[answer 51 [boolean true]]`)
			})
		}
	}
}

// wantRestricted calls what the view shows, and what it does not.
func wantRestricted(p *wire.Peer, view, sees string) {
	p.Write(`[message 60 ` + view + ` peek 1 [tuple] [dictionary]]`)
	p.Want(`[answer 60 [unicode "` + sees + `"]]`)
	p.Write(`[message 61 ` + view + ` empty 1 [tuple] [dictionary]]`)
	p.Want(`[error 61 _]`)
}

// TestViewOnAnotherConnection: a returned view is sent to another user, who returns it and passes it on.
func TestViewOnAnotherConnection(t *testing.T) {
	for kind, k := range kinds {
		t.Run(kind, func(t *testing.T) {
			b, s := newBank(t)
			p, other := s.peer(), s.peer()
			enter(p, 1, "alice", "sesame")
			enter(other, 1, "bob", "bread")
			view := "$avatar"
			if k.get != "" {
				view = "$view"
				p.Write(k.get)
				p.Want(`[answer 40 [remote $view]]`)
			}
			p.Write(`[message 41 $avatar hold 1 [tuple [list [local ` + view + `]]] [dictionary]]`)
			p.Want(`[answer 41 [None]]`)
			b.mu.Lock()
			sent := b.held.([]any)[0]
			b.mu.Unlock()
			other.Write(`[message 41 $avatar held 1 [tuple] [dictionary]]`)
			other.Want(`[answer 41 [list [remote $view]]]`)
			wantRestricted(other, "$view", k.sees)
			other.Write(`[message 42 $avatar hold 1 [tuple [local $view]] [dictionary]]`)
			other.Want(`[answer 42 [None]]`)
			require.Same(t, sent, b.held, "what the user has sent is what comes home")
		})
	}
}

func TestViewIsTheOneThatWasSent(t *testing.T) {
	b, s := newBank(t)
	p := s.peer()
	enter(p, 1, "alice", "sesame")
	p.Write(`[message 40 $avatar manual 1 [tuple] [dictionary]]`)
	p.Want(`[answer 40 [remote $view]]`)
	p.Write(`[message 41 $avatar sent 1 [tuple [local $view]] [dictionary]]`)
	p.Want(`[answer 41 [boolean true]]`)

	// A view that the user makes takes the place of one that was made for a Viewable.
	p.Write(`[message 42 $avatar wicket 1 [tuple] [dictionary]]`)
	p.Want(`[answer 42 [remote $wicket]]`)
	p.Write(`[message 43 $avatar hold 1 [tuple [local $wicket]] [dictionary]]`)
	p.Want(`[answer 43 [None]]`)
	made := b.held.(*flavors.ViewPoint)
	own, err := flavors.NewViewPoint(made.Perspective(), &b.wicket)
	require.NoError(t, err)
	require.True(t, own.Equal(made))
	require.False(t, own.Equal(b.manual))
	require.False(t, own.Equal(nil))
	require.Equal(t, "<view of wicket>", own.String())
	b.manual = own
	p.Write(`[message 44 $avatar manual 1 [tuple] [dictionary]]`)
	p.Want(`[answer 44 [remote $wicket]]`)
	p.Write(`[message 45 $avatar sent 1 [tuple [local $wicket]] [dictionary]]`)
	p.Want(`[answer 45 [boolean true]]`)
	b.manual = nil
	p.Write(`[message 46 $avatar manual 1 [tuple] [dictionary]]`)
	p.Want(`[answer 46 [None]]`)
}

// TestViewIsNoObject: a parameter of the object's type is not filled from a view, which would lose what the view
// restricts.
func TestViewIsNoObject(t *testing.T) {
	_, s := newBank(t)
	p := s.peer()
	enter(p, 1, "alice", "sesame")
	for i, call := range []string{"manual", "wicket"} {
		p.Forget("view")
		p.Write(fmt.Sprintf(`[message %d $avatar %s 1 [tuple] [dictionary]]`, 40+i, call))
		p.Want(fmt.Sprintf(`[answer %d [remote $view]]`, 40+i))
		takes := []string{`safe 1 [tuple [local $view]]`, `wickets 1 [tuple [list [local $view]]]`}[i]
		p.Write(fmt.Sprintf(`[message %d $avatar %s [dictionary]]`, 50+i, takes))
		require.Contains(t, wantError(t, p, 50+i, "builtins.TypeError"), "take a *flavors.ViewPoint")
	}
}

func TestPublishedViews(t *testing.T) {
	b := &bank{}
	manual, err := flavors.NewViewPoint(&clerk{name: "guest"}, &b.safe)
	require.NoError(t, err)
	s := newServer(t, manual, broker.WithPublished("wicket", &b.wicket), broker.WithPublished("echo", &service{}),
		broker.WithPublished("made", broker.RootFactory(func(*broker.Conn) (any, error) { return manual, nil })))
	p := s.peer()
	for i, name := range []string{"root", "made"} {
		p.Write(fmt.Sprintf(`[message %d %s peek 1 [tuple] [dictionary]]`, 10+i, name))
		p.Want(fmt.Sprintf(`[answer %d [unicode "guest sees 7"]]`, 10+i))
		p.Write(fmt.Sprintf(`[message %d %s empty 1 [tuple] [dictionary]]`, 20+i, name))
		wantError(t, p, 20+i, "twisted.spread.flavors.NoSuchMethod")
		p.Write(fmt.Sprintf(`[message %d echo echo 1 [tuple [local %s]] [dictionary]]`, 30+i, name))
		p.Forget("home")
		p.Want(fmt.Sprintf(`[answer %d [remote $home]]`, 30+i))
		wantRestricted(p, "$home", "guest sees 7")
	}
	p.Write(`[message 40 wicket peek 1 [tuple] [dictionary]]`)
	require.Contains(t, wantError(t, p, 40, "builtins.TypeError"), "without one")
	p.Write(`[message 41 wicket empty 1 [tuple] [dictionary]]`)
	wantError(t, p, 41, "twisted.spread.flavors.NoSuchMethod")

	_, err = broker.Listen(s.rt, "pb://127.0.0.1:0", (*flavors.ViewPoint)(nil))
	require.ErrorContains(t, err, "ViewPoint that is nil")
}

// TestViewAsAvatar has a realm give its users a view of what they share.
func TestViewAsAvatar(t *testing.T) {
	b := &bank{}
	realm := cred.RealmFunc[*flavors.RemoteReference, *flavors.ViewPoint](
		func(_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference) (*flavors.ViewPoint, func(), error) {
			v, err := flavors.NewViewPoint(&clerk{name: id.String(), bank: b}, &b.safe)
			return v, nil, err
		})
	users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
	require.NoError(t, err)
	portal, err := cred.NewPortal(realm, users)
	require.NoError(t, err)
	p := newServer(t, broker.LoginRoot(portal)).peer()
	enter(p, 1, "alice", "sesame")
	wantRestricted(p, "$avatar", "alice sees 7")
}

// callers have methods for callers of different types.
type callers struct {
	flavors.Referenceable
	ran int
}

func (c *callers) ViewClerk(*clerk)           { c.ran++ }
func (c *callers) ViewNamed(fmt.Stringer)     { c.ran++ }
func (c *callers) ViewAnybody(caller any) any { c.ran++; return caller }
func (c *callers) ViewNumbered(n int) int     { c.ran++; return n }
func (c *callers) RemoteGive(to any) any      { return c.seenBy(to) }
func (c *callers) RemoteGiveNil() any         { return c.seenBy((*clerk)(nil)) }
func (c *callers) RemoteGiveOther() any       { return c.seenBy(&player{}) }
func (c *callers) RemoteGiveNumber(n int) any { return c.seenBy(n) }
func (c *callers) RemoteRan() int             { return c.ran }
func (c *callers) seenBy(who any) *flavors.ViewPoint {
	v, err := flavors.NewViewPoint(who, c)
	if err != nil {
		panic(err)
	}
	return v
}

// TestCallerMustFit: a View method whose caller is missing or of another type is not run.
func TestCallerMustFit(t *testing.T) {
	p := newServer(t, &callers{}).peer()
	ran := 0
	for i, row := range []struct {
		get, method string
		runs        bool
	}{
		{"give 1 [tuple [None]]", "clerk", false},
		{"give 1 [tuple [None]]", "named", false},
		{"give 1 [tuple [None]]", "numbered", false},
		{"give 1 [tuple [None]]", "anybody", true},
		{"giveNil 1 [tuple]", "clerk", false},
		{"giveNil 1 [tuple]", "anybody", true},
		{"giveOther 1 [tuple]", "clerk", false},
		{"giveOther 1 [tuple]", "named", false},
		{"giveNumber 1 [tuple 0]", "numbered", true},
		{"giveNumber 1 [tuple 0]", "clerk", false},
	} {
		id := 100 * (i + 1)
		p.Forget("view")
		p.Write(fmt.Sprintf(`[message %d root %s [dictionary]]`, id, row.get))
		p.Want(fmt.Sprintf(`[answer %d [remote $view]]`, id))
		p.Write(fmt.Sprintf(`[message %d $view %s 1 [tuple] [dictionary]]`, id+1, row.method))
		if row.runs {
			ran++
			p.Want(fmt.Sprintf(`[answer %d _]`, id+1))
		} else {
			wantError(t, p, id+1, "builtins.TypeError")
		}
		p.Write(fmt.Sprintf(`[message %d root ran 1 [tuple] [dictionary]]`, id+2))
		p.Want(fmt.Sprintf(`[answer %d %d]`, id+2, ran))
	}
}
