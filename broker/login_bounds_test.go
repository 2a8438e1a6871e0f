package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// defaultSessions is the default of broker.WithSessions.
const defaultSessions = 256

func TestChallengeLimit(t *testing.T) {
	h := &house{}
	s := h.serve(t)
	p := s.peer()
	for i := 1; i <= defaultSessions; i++ {
		challenged(p, i, "alice")
	}
	for i := 100; i < 1100; i++ {
		p.Write(fmt.Sprintf(`[message %d "root" "login" 1 [tuple alice] [dictionary]]`, i))
		wantError(t, p, i, "perspectivebroker.Busy")
	}
	require.Equal(t, defaultSessions, s.ln.Conns()[0].Exports())
	require.EqualValues(t, 1000, broker.StatsOf(s.rt).Refusals["challenges"])
	// A client that releases a challenge gets another, and other clients are not delayed.
	p.Write(`[decref $challenger]`)
	enter(p, 2000, "alice", "sesame")
	enter(s.peer(), 1, "bob", "bread")
}

func TestThousandUnfinishedLogins(t *testing.T) {
	h := &house{}
	s := h.serve(t)
	for range 1000 {
		challenged(s.peer(), 1, "alice")
	}
	p := s.peer()
	enter(p, 1, "alice", "sesame")
	require.EqualValues(t, 1, h.in.Load())
}

func TestSessionLimit(t *testing.T) {
	h := &house{}
	s := h.serve(t, broker.WithSessions(2))
	p := s.peer()
	enter(p, 1, "alice", "sesame")
	enter(p, 3, "bob", "bread")
	p.Write(`[message 5 "root" "loginAnonymous" 1 [tuple [None]] [dictionary]]`)
	wantError(t, p, 5, "perspectivebroker.Busy")
	require.Equal(t, map[broker.Rejection]uint64{"sessions": 1}, broker.StatsOf(s.rt).Refusals)
	p.Write(`[decref $avatar]`)
	require.Eventually(t, func() bool { return h.inside() == 1 }, patience, tick)
	// The place is given back once the realm's logout has returned, which may be a moment later.
	require.Eventually(t, func() bool {
		p.Forget("x")
		p.Write(`[message 6 "root" "loginAnonymous" 1 [tuple [None]] [dictionary]]`)
		p.Want(`[$kind 6 $x]`)
		kind, _ := p.Var("kind").([]byte)
		p.Forget("kind")
		return string(kind) == "answer"
	}, patience, tick)
}

func TestConcurrentLoginLimit(t *testing.T) {
	wait := make(chan struct{})
	h := &house{receive: func(ctx context.Context, _ cred.AvatarID, _ *flavors.RemoteReference) error {
		<-wait
		return nil
	}}
	s := h.serve(t, broker.WithLoginsAtOnce(2))
	p := s.peer()
	for i := 1; i <= 3; i++ {
		p.Write(fmt.Sprintf(`[message %d "root" "loginAnonymous" 1 [tuple [None]] [dictionary]]`, i))
	}
	wantError(t, p, 3, "perspectivebroker.Busy")
	require.Equal(t, map[broker.Rejection]uint64{"logins at once": 1}, broker.StatsOf(s.rt).Refusals)
	close(wait)
	p.Want(`[answer _ [remote _]]`, `[answer _ [remote _]]`)
}

func TestFrameLimitBeforeLogin(t *testing.T) {
	const limit = 3000
	for name, opts := range map[string][]broker.ListenOption{
		"alone": nil, "beside others": {broker.WithPublished("service", &service{})}, "with a smaller limit": {
			broker.WithLimits(broker.Limits{Banana: banana.Limits{Frame: 2000}})},
	} {
		t.Run(name, func(t *testing.T) {
			most := map[string]int{"alone": limit, "with a smaller limit": 2000}[name]
			if most == 0 {
				most = 10_000
			}
			h := &house{}
			s := newServer(t, broker.LoginRoot(h.portal(t), unhurried(), broker.WithFrameBeforeLogin(limit)), opts...)
			p := s.peer()
			p.WriteBytes(sized(t, 1, "nothing", most))
			wantAnyError(p, 1)
			challenged(p, 2, "alice")
			respond(p, 3, "guess", `[None]`)
			wantRefused(t, p, 3)
			if name == "beside others" {
				return
			}
			p.WriteBytes(sized(t, 4, "nothing", most+1)[:most])
			p.WantClosed()
			require.Eventually(t, func() bool { return broker.StatsOf(s.rt).Refusals["frame"] == 1 }, patience, tick)
		})
	}
}

// TestLongMessagesAfterLogin checks that a user may send long messages as soon as the realm may call the mind.
func TestLongMessagesAfterLogin(t *testing.T) {
	h := &house{receive: func(ctx context.Context, _ cred.AvatarID, mind *flavors.RemoteReference) error {
		about, err := flavors.Call[[]byte](ctx, mind, "about")
		if err == nil && len(about) != 5000 {
			err = fmt.Errorf("%d bytes came", len(about))
		}
		return err
	}}
	p := h.serve(t, broker.WithFrameBeforeLogin(400)).peer()
	challenged(p, 1, "alice")
	respond(p, 2, "sesame", `[remote 1]`)
	p.Want(`[message $ask 1 about 1 [tuple] [dictionary]]`)
	p.Write(`[answer $ask ` + strings.Repeat("x", 5000) + `]`)
	p.Want(`[answer 2 [remote $avatar]]`)
	p.WriteBytes(sized(t, 3, "nothing", 5000))
	wantAnyError(p, 3)
}

// TestLoginWithoutAnswer: an avatar of which the peer has no reference would be in for ever.
func TestLoginWithoutAnswer(t *testing.T) {
	t.Run("no answer wanted", func(t *testing.T) {
		h := &house{}
		p := h.serve(t).peer()
		for range 100 {
			p.Write(`[message 1 "root" "loginAnonymous" 0 [tuple [None]] [dictionary]]`,
				`[message 2 "root" "login" 0 [tuple alice] [dictionary]]`)
		}
		p.Write(`[message 3 "root" "loginMethods" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 3 _]`)
		require.Zero(t, h.in.Load())
	})
	t.Run("no luid left", func(t *testing.T) {
		h := &house{}
		s := newServer(t, broker.LoginRoot(h.portal(t)), broker.WithLimits(broker.Limits{Exports: 1}))
		p := s.peer()
		p.Write(`[message 1 "root" "loginAnonymous" 1 [tuple [None]] [dictionary]]`)
		p.Want(`[answer 1 [remote $first]]`)
		p.Write(`[message 2 "root" "loginAnonymous" 1 [tuple [None]] [dictionary]]`)
		wantAnyError(p, 2)
		require.Eventually(t, func() bool { return h.in.Load() == 2 && h.out.Load() == 1 }, patience, tick)
		p.Write(`[message 3 $first "whoami" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 3 [unicode "(anonymous)"]]`)
	})
}

func TestLoginDeadline(t *testing.T) {
	t.Run("no login", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			p := (&house{}).serve(t, broker.WithLoginDeadline(20*time.Second)).peer()
			challenged(p, 1, "alice") // Half a login does not count.
			start := time.Now()
			p.WantClosed()
			require.Equal(t, 20*time.Second, time.Since(start))
		})
	})
	t.Run("user logs out and in again", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			p := (&house{}).serve(t, broker.WithLoginDeadline(20*time.Second)).peer()
			enter(p, 1, "alice", "sesame")
			p.Write(`[decref $avatar]`)
			time.Sleep(time.Hour)
			enter(p, 3, "alice", "sesame")
		})
	})
	t.Run("login in progress fails", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			slow := func(context.Context, cred.AvatarID, *flavors.RemoteReference) error {
				time.Sleep(30 * time.Second)
				return errPlain
			}
			s := (&house{receive: slow}).serve(t, broker.WithLoginDeadline(20*time.Second))
			p := s.peer()
			challenged(p, 1, "alice")
			respond(p, 2, "sesame", `[None]`)
			wantRefused(t, p, 2)
			p.WantClosed()
		})
	})
}

func TestGuessesAreSlowedDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		throttle := cred.NewThrottle(
			cred.WithFreeFailures(1),
			cred.WithDelays(time.Second, time.Minute),
			cred.WithMaxWait(3*time.Second),
		)
		h := &house{}
		s := newServer(t, broker.LoginRoot(h.portal(t), broker.WithThrottle(throttle)))
		guess := func() time.Duration {
			p := s.peer() // A new connection does not help: it is the address that counts.
			start := time.Now()
			challenged(p, 1, "alice")
			respond(p, 2, "guess", `[None]`)
			wantRefused(t, p, 2)
			p.Close()
			return time.Since(start)
		}
		var waited []time.Duration
		for range 5 {
			waited = append(waited, guess())
		}
		require.Equal(
			t,
			[]time.Duration{0, time.Second, 2 * time.Second, 0, 0},
			waited,
			"from the fourth on it would wait too long, and is refused at once",
		)
		p := s.peer()
		challenged(p, 1, "alice")
		respond(p, 2, "sesame", `[None]`)
		wantRefused(t, p, 2) // Not even the right one, or a guess could be told from a refusal.
		require.Equal(
			t,
			map[broker.Rejection]uint64{"login": 3, "throttled": 3},
			broker.StatsOf(s.rt).Refusals,
		)
		// Logins without a secret are not delayed.
		p.Write(`[message 3 "root" "loginAnonymous" 1 [tuple [None]] [dictionary]]`)
		p.Want(`[answer 3 [remote _]]`)
		time.Sleep(10 * time.Second)
		enter(p, 4, "alice", "sesame")
	})
}

// slowChecker takes a second for each check.
type slowChecker struct{ cred.Checker }

func (c slowChecker) Check(ctx context.Context, credentials cred.Credentials) (cred.AvatarID, error) {
	time.Sleep(time.Second)
	return c.Checker.Check(ctx, credentials)
}

// TestASlowCheckerMakesNoGuessers: users whose programs come back all at once, from one address, wait for each other
// and are let in. Guesses at the same time gain nothing.
func TestASlowCheckerMakesNoGuessers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := &house{}
		users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
		require.NoError(t, err)
		portal, err := cred.NewPortal(h, slowChecker{users})
		require.NoError(t, err)
		s := newServer(t, broker.LoginRoot(portal))
		start := time.Now()
		comeBack := func(n int, password string, want func(p *wire.Peer)) {
			done := make(chan struct{})
			for range n {
				p := s.peer()
				challenged(p, 1, "alice")
				go func() {
					defer func() { done <- struct{}{} }()
					respond(p, 2, password, `[None]`)
					want(p)
				}()
			}
			for range n {
				<-done
			}
		}
		comeBack(30, "sesame", func(p *wire.Peer) { p.Want(`[answer 2 [remote _]]`) })
		require.Equal(t, 10*time.Second, time.Since(start), "three at a time")
		require.Empty(t, broker.StatsOf(s.rt).Refusals)

		comeBack(30, "guess", func(p *wire.Peer) { wantRefused(t, p, 2) })
		refusals := broker.StatsOf(s.rt).Refusals
		require.EqualValues(t, 30, refusals["login"]+refusals["throttled"])
		require.LessOrEqual(t, refusals["login"], uint64(8), "concurrent guesses gain nothing")
	})
}

// TestASlowRealmIsNoGuess: a site's workers come back all at once, from one address, and each takes its time to be set
// up.
func TestASlowRealmIsNoGuess(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		slow := func(context.Context, cred.AvatarID, *flavors.RemoteReference) error {
			time.Sleep(5 * time.Second)
			return nil
		}
		h := &house{receive: slow}
		s := newServer(t, broker.LoginRoot(h.portal(t)))
		start := time.Now()
		done := make(chan struct{})
		const workers = 30
		for range workers {
			p := s.peer()
			challenged(p, 1, "alice")
			go func() {
				defer func() { done <- struct{}{} }()
				respond(p, 2, "sesame", `[None]`)
				p.Want(`[answer 2 [remote _]]`)
			}()
		}
		for range workers {
			<-done
		}
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}
