package interop

import (
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/perspectivebroker/pb/internal/wire"
)

// TestHostileLogins sends hostile logins while a client that has logged in is served.
func TestHostileLogins(t *testing.T) {
	url := startConformance(
		t,
		stock.Build(t, "conformance"),
		"-listen",
		"pb://127.0.0.1:0",
		"-cred",
		"moe=secret",
		"-anonymous",
	)
	b := newGuest(t, url)
	before := b.stats(t)
	addr := strings.TrimPrefix(url, "pb://")
	streams := logins()
	for _, s := range streams {
		t.Run(s.name, func(t *testing.T) {
			p := wire.Connect(t, addr)
			p.Join()
			s.play(p)
			switch s.then {
			case closed:
				p.Drain()
			case served: // A valid login still works.
				p.Write(`[message 100 root loginAnonymous 1 [tuple [None]] [dictionary]]`)
				p.Want(`[answer 100 [remote _]]`)
			case left:
			}
			p.Close()
			b.served(t)
		})
	}
	b.leave(t)
	b.wantBack(t, before)
	t.Logf("%d streams; the bystander had %d calls answered meanwhile", len(streams), b.calls.Load())
}

func logins() []stream {
	challenged := func(p *wire.Peer) {
		p.Write(`[message 1 root login 1 [tuple moe] [dictionary]]`)
		p.Want(`[answer 1 [tuple $challenge [remote $challenger]]]`)
	}
	wrong := strings.Repeat("x", 16)
	return []stream{
		refused("an object behind the login", `[message 1 1 whoami 1 [tuple] [dictionary]]`),
		refused("the root behind the login", `[message 1 root echo 1 [tuple 1] [dictionary]]`),
		refused("a login without a name", `[message 1 root login 1 [tuple] [dictionary]]`),
		refused("a login with a list for a name", `[message 1 root login 1 [tuple [list]] [dictionary]]`),
		refused("a response to no challenge", `[message 1 5 respond 1 [tuple `+wrong+` [None]] [dictionary]]`),
		{name: "a login with a name of half a megabyte", then: served, play: func(p *wire.Peer) {
			p.Write(`[message 1 root login 1 [tuple ` + strings.Repeat("m", 500_000) + `] [dictionary]]`)
			p.Want(`[answer 1 [tuple _ [remote _]]]`) // Known and unknown users must look alike.
		}},
		{name: "a wrong response", then: served, play: func(p *wire.Peer) {
			challenged(p)
			p.Write(`[message 2 $challenger respond 1 [tuple ` + wrong + ` [None]] [dictionary]]`)
			p.Want(`[error 2 ...]`)
		}},
		{name: "a response that is no response", then: served, play: func(p *wire.Peer) {
			challenged(p)
			p.Write(`[message 2 $challenger respond 1 [tuple 5 [None]] [dictionary]]`)
			p.Want(`[error 2 ...]`)
		}},
		{name: "a response that comes twice", then: served, play: func(p *wire.Peer) {
			challenged(p)
			p.Write(`[message 2 $challenger respond 1 [tuple ` + wrong + ` [None]] [dictionary]]`)
			p.Want(`[error 2 ...]`)
			p.Write(`[message 3 $challenger respond 1 [tuple ` + wrong + ` [None]] [dictionary]]`)
			p.Want(`[error 3 ...]`)
		}},
		{name: "a challenger that is asked for more", then: served, play: func(p *wire.Peer) {
			challenged(p)
			p.Write(`[message 2 $challenger login 1 [tuple moe] [dictionary]]`)
			p.Want(`[error 2 ...]`)
			p.Write(`[message 3 $challenger logout 1 [tuple] [dictionary]]`)
			p.Want(`[error 3 ...]`)
		}},
		{name: "challenges by the hundred", then: served, play: func(p *wire.Peer) {
			for range 100 {
				challenged(p)
				p.Forget("challenge")
				p.Forget("challenger")
			}
		}},
		{name: "a challenge that nobody answers", then: left, play: challenged},
		{name: "an anonymous one who asks for what others have", then: served, play: func(p *wire.Peer) {
			p.Write(`[message 1 root loginAnonymous 1 [tuple [None]] [dictionary]]`)
			p.Want(`[answer 1 [remote $avatar]]`)
			p.Write(`[message 2 $avatar logout 1 [tuple] [dictionary]]`)
			p.Want(`[error 2 ...]`)
		}},
		{name: "an avatar that was let go", then: served, play: func(p *wire.Peer) {
			p.Write(`[message 1 root loginAnonymous 1 [tuple [None]] [dictionary]]`)
			p.Want(`[answer 1 [remote $avatar]]`)
			p.Write(`[decref $avatar]`, `[message 2 $avatar whoami 1 [tuple] [dictionary]]`)
			p.Want(`[error 2 ...]`)
		}},
		{name: "a mind that is a reference to nothing", then: served, play: func(p *wire.Peer) {
			p.Ignore(`[decref 77]`)
			p.Write(`[message 1 root loginAnonymous 1 [tuple [remote 77]] [dictionary]]`)
			p.Want(`[answer 1 [remote _]]`)
		}},
		{name: "a mind of a class that is not known", then: served, play: func(p *wire.Peer) {
			p.Write(`[message 1 root loginAnonymous 1 [tuple ["os.Mind" [dictionary]]] [dictionary]]`)
			p.Want(`[error 1 ...]`)
		}},
	}
}
