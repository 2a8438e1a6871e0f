package cred_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/cred"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// scripted is a checker with functions as methods.
type scripted struct {
	kind  cred.Kind
	check func(context.Context, cred.Credentials) (cred.AvatarID, error)
}

func (s scripted) Accepts(kind cred.Kind) bool { return kind == s.kind }

func (s scripted) Check(ctx context.Context, c cred.Credentials) (cred.AvatarID, error) {
	return s.check(ctx, c)
}

func users(t testing.TB) *cred.InMemory {
	t.Helper()
	m, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame"), "bob": cred.MD5("bread")})
	require.NoError(t, err)
	return m
}

func TestLogin(t *testing.T) {
	p := portal(t, users(t), cred.AllowAnonymous())
	for _, c := range []struct {
		credentials cred.Credentials
		avatar      string
		id          cred.AvatarID
	}{
		{plain("alice", "sesame"), "mind is alice", cred.ID("alice")},
		{response("alice", "sesame"), "mind is alice", cred.ID("alice")},
		{response("bob", "bread"), "mind is bob", cred.ID("bob")},
		{cred.Anonymous{}, "mind is (anonymous)", cred.AnonymousID()},
	} {
		session, err := p.Login(t.Context(), c.credentials, "mind")
		require.NoError(t, err)
		assert.Equal(t, c.avatar, session.Avatar())
		assert.Equal(t, c.id, session.AvatarID())
		session.Logout()
	}
	for _, kind := range []cred.Kind{cred.KindAnonymous, cred.KindChallengeResponse, cred.KindUsernamePassword} {
		assert.True(t, p.Accepts(kind))
	}
	assert.False(t, p.Accepts(cred.KindUnixPeer))
}

func TestNewPortalRefuses(t *testing.T) {
	_, err := cred.NewPortal[string, string](nil)
	assert.ErrorContains(t, err, "the realm is nil")
	_, err = cred.NewPortal(&names{}, cred.AllowAnonymous(), nil)
	assert.ErrorContains(t, err, "checker 2 of 2 is nil")
	_, err = cred.NewPortal(&names{}, users(t), users(t))
	assert.ErrorContains(t, err, "cred.Only")

	p := portal(
		t,
		cred.Only(users(t), cred.KindChallengeResponse),
		cred.Only(users(t), cred.KindUsernamePassword, cred.KindUnixPeer),
	)
	assert.True(t, p.Accepts(cred.KindChallengeResponse))
	assert.True(t, p.Accepts(cred.KindUsernamePassword))
	assert.False(t, p.Accepts(cred.KindUnixPeer), "Only adds nothing")
}

// TestBrokenCheckers: a checker's mistake never lets a user in.
func TestBrokenCheckers(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		ctx    context.Context
		check  func(context.Context, cred.Credentials) (cred.AvatarID, error)
		reason cred.Reason
		log    string
	}{
		"an error of its own": {t.Context(), func(context.Context, cred.Credentials) (cred.AvatarID, error) {
			return cred.ID("alice"), broken
		}, cred.ReasonStore, "broken"},
		"nobody": {t.Context(), func(context.Context, cred.Credentials) (cred.AvatarID, error) {
			return cred.AvatarID{}, nil
		}, cred.ReasonStore, "neither an avatar id nor an error"},
		"anonymous": {t.Context(), func(context.Context, cred.Credentials) (cred.AvatarID, error) {
			return cred.AnonymousID(), nil
		}, cred.ReasonStore, "for anonymous ones"},
		"a panic": {t.Context(), func(context.Context, cred.Credentials) (cred.AvatarID, error) {
			panic("whoops")
		}, cred.ReasonStore, "the checker panicked: whoops"},
		"a wrapped refusal": {t.Context(), func(context.Context, cred.Credentials) (cred.AvatarID, error) {
			return cred.AvatarID{}, fmt.Errorf("wrapped: %w", cred.Refuse(cred.ReasonWrong, "inside"))
		}, cred.ReasonWrong, "inside"},
		"a typed nil": {t.Context(), func(context.Context, cred.Credentials) (cred.AvatarID, error) {
			var none *cred.Refused
			return cred.AvatarID{}, none
		}, cred.ReasonStore, "login refused"},
		"the context's end": {ended, func(ctx context.Context, _ cred.Credentials) (cred.AvatarID, error) {
			end()
			return cred.AvatarID{}, ctx.Err()
		}, cred.ReasonEnded, "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			p := portal(t, scripted{cred.KindUsernamePassword, c.check})
			session, err := p.Login(c.ctx, plain("alice", "x"), "")
			assert.Nil(t, session)
			assert.Contains(t, wantRefused(t, err, c.reason).Log(), c.log)
		})
	}
	t.Run("a context that had ended", func(t *testing.T) {
		end()
		p := portal(t, scripted{cred.KindUsernamePassword, func(context.Context, cred.Credentials) (cred.AvatarID, error) {
			t.Error("the checker was asked")
			return cred.ID("alice"), nil
		}})
		_, err := p.Login(ended, plain("alice", "x"), "")
		wantRefused(t, err, cred.ReasonEnded)
	})
}

func TestBrokenRealms(t *testing.T) {
	for name, c := range map[string]struct {
		realm  cred.RealmFunc[string, string]
		reason cred.Reason
		log    string
	}{
		"an error": {func(context.Context, cred.AvatarID, string) (string, func(), error) {
			return "", nil, errors.New("no home")
		}, cred.ReasonRealm, "no home"},
		"a refusal": {func(context.Context, cred.AvatarID, string) (string, func(), error) {
			return "", nil, cred.Refuse(cred.ReasonDenied, "on Sundays")
		}, cred.ReasonDenied, "on Sundays"},
		"a panic": {func(context.Context, cred.AvatarID, string) (string, func(), error) {
			panic("whoops")
		}, cred.ReasonRealm, "the realm panicked: whoops"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := cred.NewPortal(c.realm, cred.AllowAnonymous())
			require.NoError(t, err)
			session, err := p.Login(t.Context(), cred.Anonymous{}, "")
			assert.Nil(t, session)
			assert.Contains(t, wantRefused(t, err, c.reason).Log(), c.log)
		})
	}
}

// TestLogoutOnce: the realm's logout function runs once for each session, however the session ends.
func TestLogoutOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		realm := &names{}
		p, err := cred.NewPortal(realm, cred.AllowAnonymous())
		if err != nil {
			t.Fatal(err)
		}
		logins := rapid.IntRange(1, 8).Draw(t, "logins")
		var all sync.WaitGroup
		for range logins {
			times := rapid.IntRange(1, 4).Draw(t, "logouts")
			session, err := p.Login(context.Background(), cred.Anonymous{}, "")
			if err != nil {
				t.Fatal(err)
			}
			for range times {
				all.Go(session.Logout)
			}
			all.Go(func() { <-session.Done() })
		}
		all.Wait()
		if in, out := realm.counts(); in != logins || out != logins {
			t.Fatalf("%d logins: %d in, %d out", logins, in, out)
		}
	})
}

func TestSession(t *testing.T) {
	type key struct{}
	var session *cred.Session[string]
	var log logged
	logouts := 0
	realm := cred.RealmFunc[string, string](func(context.Context, cred.AvatarID, string) (string, func(), error) {
		return "", func() {
			logouts++
			session.Logout() // must not wait for itself
			assert.Error(t, session.Context().Err(), "the session's context ends first")
			panic("whoops")
		}, nil
	})
	p, err := cred.NewPortal(realm, cred.AllowAnonymous())
	require.NoError(t, err)
	ctx, end := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
	session, err = p.With(cred.WithLogger(log.logger()), nil).Login(ctx, cred.Anonymous{}, "")
	require.NoError(t, err)

	end()
	require.NoError(t, session.Context().Err(), "the session's context outlives the login's")
	assert.Equal(t, "kept", session.Context().Value(key{}))
	select {
	case <-session.Done():
		t.Error("it has not been logged out")
	default:
	}
	session.Logout()
	session.Logout()
	<-session.Done()
	assert.Equal(t, 1, logouts)
	assert.Contains(t, log.String(), "panic=whoops")
	assert.Contains(t, log.String(), "avatar=(anonymous)")
}

func TestSessionWithoutLogout(t *testing.T) {
	p, err := cred.NewPortal(
		cred.RealmFunc[string, int](func(context.Context, cred.AvatarID, string) (int, func(), error) {
			return 7, nil, nil
		}),
		cred.AllowAnonymous(),
	)
	require.NoError(t, err)
	session, err := p.With(cred.WithLogger(nil)).Login(t.Context(), cred.Anonymous{}, "")
	require.NoError(t, err)
	assert.Equal(t, 7, session.Avatar())
	session.Logout()
	<-session.Done()
}

func TestAuthenticateAndEnter(t *testing.T) {
	p := portal(t, users(t), cred.AllowAnonymous())
	id, err := p.Authenticate(t.Context(), plain("alice", "sesame"))
	require.NoError(t, err)
	assert.Equal(t, cred.ID("alice"), id)
	session, err := p.Enter(t.Context(), id, "mind")
	require.NoError(t, err)
	assert.Equal(t, "mind is alice", session.Avatar())
	session.Logout()

	var refused *cred.Refused
	_, err = p.Authenticate(t.Context(), plain("alice", "guess"))
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, cred.ReasonWrong, refused.Reason())
	_, err = p.Authenticate(t.Context(), nil)
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, cred.ReasonMalformed, refused.Reason())
	_, err = p.Enter(t.Context(), cred.AvatarID{}, "mind")
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, cred.ReasonDenied, refused.Reason())
}
