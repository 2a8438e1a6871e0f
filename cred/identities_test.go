package cred_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/cred"
)

type (
	identities = cred.Identities[string, string]
	bearer     = cred.Bearer[string, string]
)

// chat is a service that records its sessions.
type chat struct{ in map[string]int }

func (c *chat) Perspective(
	_ context.Context,
	name string,
	identity cred.AvatarID,
	mind string,
) (string, func(), error) {
	who := fmt.Sprintf("%s as %s with %q", identity, name, mind)
	c.in[who]++
	return who, func() { c.in[who]-- }, nil
}

func (c *chat) count() (n int) {
	for _, m := range c.in {
		n += m
	}
	return n
}

// attach logs the identity in through a portal.
func attach(t testing.TB, i *identities, name string) *cred.Session[*bearer] {
	t.Helper()
	checker, err := cred.NewInMemory(map[string]cred.Entry{name: cred.Plaintext("sesame")})
	require.NoError(t, err)
	p, err := cred.NewPortal(i, checker)
	require.NoError(t, err)
	session, err := p.Login(context.Background(), plain(name, "sesame"), "first mind")
	require.NoError(t, err)
	return session
}

// TestPaper is the example of the paper: Alice's keyring has three keys, Bob's has two.
func TestPaper(t *testing.T) {
	login, talk := &chat{map[string]int{}}, &chat{map[string]int{}}
	i := cred.NewIdentities[string, string]()
	require.NoError(t, i.AddService("login", login))
	require.NoError(t, i.AddService("chat", talk))
	require.NoError(
		t,
		i.Grant(
			cred.ID("alice"),
			cred.Key{Service: "login", Perspective: "Alice"},
			cred.Key{Service: "login", Perspective: "Admin"},
			cred.Key{Service: "chat", Perspective: "Alice"},
		),
	)
	require.NoError(
		t,
		i.Grant(
			cred.ID("bob"),
			cred.Key{Service: "login", Perspective: "Bob"},
			cred.Key{Service: "chat", Perspective: "Bob"},
		),
	)

	alice := attach(t, i, "alice")
	b := alice.Avatar()
	assert.Equal(t, cred.ID("alice"), b.Identity())
	assert.Equal(t, "first mind", b.Mind())
	assert.Equal(t, []cred.Key{{"chat", "Alice"}, {"login", "Admin"}, {"login", "Alice"}}, b.Keyring())

	admin, err := b.Attach(t.Context(), cred.Key{Service: "login", Perspective: "Admin"}, "m")
	require.NoError(t, err)
	assert.Equal(t, `alice as Admin with "m"`, admin.Avatar())
	assert.Equal(t, cred.ID("alice"), admin.AvatarID())
	_, err = b.Attach(t.Context(), cred.Key{Service: "chat", Perspective: "Alice"}, "")
	require.NoError(t, err)

	bob := attach(t, i, "bob").Avatar()
	for _, key := range []cred.Key{
		{"login", "Admin"}, {"chat", "Alice"}, {"chat", "bob"}, {"nowhere", "Bob"}, {"", ""}, {"login/Bob", ""},
	} {
		_, err := bob.Attach(t.Context(), key, "")
		wantRefused(t, err, cred.ReasonDenied)
	}
	assert.Equal(t, 1, login.count())
	assert.Equal(t, 1, talk.count())

	admin.Logout()
	assert.Zero(t, login.count())
	assert.Equal(t, 1, talk.count())
	alice.Logout()
	assert.Zero(t, talk.count(), "the identity's logout ends its perspectives")
	_, err = b.Attach(t.Context(), cred.Key{Service: "login", Perspective: "Admin"}, "")
	assert.Contains(t, wantRefused(t, err, cred.ReasonDenied).Log(), "has logged out")
}

// TestKeyringsModel compares keyrings and attached perspectives with sets.
func TestKeyringsModel(t *testing.T) {
	ctx := context.Background()
	who := rapid.SampledFrom([]string{"alice", "bob"})
	key := rapid.Custom(func(t *rapid.T) cred.Key {
		return cred.Key{
			Service:     rapid.SampledFrom([]string{"chat", "login", "closed"}).Draw(t, "service"),
			Perspective: rapid.SampledFrom([]string{"Alice", "Bob", "Admin"}).Draw(t, "perspective"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		services := map[string]*chat{"chat": {map[string]int{}}, "login": {map[string]int{}}}
		i := cred.NewIdentities[string, string](cred.WithLogger(nil))
		for name, s := range services {
			if err := i.AddService(name, s); err != nil {
				t.Fatal(err)
			}
		}
		keyrings := map[string]map[cred.Key]bool{"alice": {}, "bob": {}}
		bearers, leave := map[string]*bearer{}, map[string]func(){}
		attached := map[string][]*cred.Session[string]{}
		for name := range keyrings {
			bearers[name], leave[name], _ = i.RequestAvatar(ctx, cred.ID(name), "")
		}
		t.Repeat(map[string]func(*rapid.T){
			"grant": func(t *rapid.T) {
				w, k := who.Draw(t, "who"), key.Draw(t, "key")
				if err := i.Grant(cred.ID(w), k); err != nil {
					t.Fatal(err)
				}
				keyrings[w][k] = true
			},
			"revoke": func(t *rapid.T) {
				w, k := who.Draw(t, "who"), key.Draw(t, "key")
				i.Revoke(cred.ID(w), k)
				delete(keyrings[w], k)
			},
			"attach": func(t *rapid.T) {
				w, k := who.Draw(t, "who"), key.Draw(t, "key")
				session, err := bearers[w].Attach(ctx, k, "")
				may := keyrings[w][k] && k.Service != "closed" && len(attached[w]) < cred.MaxAttached
				if may != (err == nil) {
					t.Fatalf("%s attaches %s: %v", w, k, err)
				}
				if may {
					attached[w] = append(attached[w], session)
				}
			},
			"detach": func(t *rapid.T) {
				w := who.Draw(t, "who")
				if len(attached[w]) == 0 {
					t.Skip("none")
				}
				n := rapid.IntRange(0, len(attached[w])-1).Draw(t, "which")
				attached[w][n].Logout()
				attached[w] = slices.Delete(attached[w], n, n+1)
			},
			"leave and come back": func(t *rapid.T) {
				w := who.Draw(t, "who")
				leave[w]()
				for _, session := range attached[w] {
					<-session.Done()
				}
				attached[w] = nil
				bearers[w], leave[w], _ = i.RequestAvatar(ctx, cred.ID(w), "")
			},
			"": func(t *rapid.T) {
				for w, keys := range keyrings {
					ring := i.Keyring(cred.ID(w))
					if len(ring) != len(keys) {
						t.Fatalf("%s has %v, not %v", w, ring, slices.Collect(maps.Keys(keys)))
					}
				}
				in := services["chat"].count() + services["login"].count()
				if in != len(attached["alice"])+len(attached["bob"]) {
					t.Fatalf("%d are in, not %v", in, attached)
				}
			},
		})
	})
}

func TestIdentitiesRefuse(t *testing.T) {
	i := cred.NewIdentities[string, string]()
	assert.ErrorContains(t, i.AddService("", &chat{}), "a name and a service")
	assert.ErrorContains(t, i.AddService("a", nil), "a name and a service")
	require.NoError(t, i.AddService("a", &chat{map[string]int{}}))
	assert.ErrorContains(t, i.AddService("a", &chat{}), "already")
	assert.ErrorContains(t, i.Grant(cred.ID(""), cred.Key{Service: "a", Perspective: "b"}), "needs an identity")
	assert.ErrorContains(t, i.Grant(cred.ID("x"), cred.Key{Service: "a", Perspective: ""}), `"a/"`)
	assert.Empty(t, i.Keyring(cred.ID("x")), "all or nothing")

	require.NoError(t, i.Grant(cred.ID("x"), cred.Key{Service: "a", Perspective: "b"}))
	b := attach(t, i, "x").Avatar()
	for range cred.MaxAttached {
		_, err := b.Attach(t.Context(), cred.Key{Service: "a", Perspective: "b"}, "")
		require.NoError(t, err)
	}
	_, err := b.Attach(t.Context(), cred.Key{Service: "a", Perspective: "b"}, "")
	assert.Contains(t, wantRefused(t, err, cred.ReasonDenied).Log(), "MaxAttached")
}

// TestFailingServices checks that the reserved room is released and the identity stays logged in.
func TestFailingServices(t *testing.T) {
	i := cred.NewIdentities[string, string]()
	var result func() (string, func(), error)
	require.NoError(
		t,
		i.AddService(
			"a",
			cred.ServiceFunc[string, string](func(context.Context, string, cred.AvatarID, string) (string, func(), error) {
				return result()
			}),
		),
	)
	require.NoError(t, i.Grant(cred.ID("x"), cred.Key{Service: "a", Perspective: "b"}))
	b := attach(t, i, "x").Avatar()
	for range cred.MaxAttached {
		result = func() (string, func(), error) { return "", nil, errors.New("no room") }
		_, err := b.Attach(t.Context(), cred.Key{Service: "a", Perspective: "b"}, "")
		assert.Contains(t, wantRefused(t, err, cred.ReasonRealm).Log(), "no room")
		result = func() (string, func(), error) { panic("whoops") }
		_, err = b.Attach(t.Context(), cred.Key{Service: "a", Perspective: "b"}, "")
		wantRefused(t, err, cred.ReasonRealm)
	}
	result = func() (string, func(), error) { return "in", nil, nil }
	session, err := b.Attach(t.Context(), cred.Key{Service: "a", Perspective: "b"}, "")
	require.NoError(t, err)
	session.Logout()
}

// TestLogoutDuringAttach: a perspective that comes after the logout is logged out at once.
func TestLogoutDuringAttach(t *testing.T) {
	i := cred.NewIdentities[string, string]()
	var alice *cred.Session[*bearer]
	logouts := 0
	require.NoError(
		t,
		i.AddService(
			"a",
			cred.ServiceFunc[string, string](func(context.Context, string, cred.AvatarID, string) (string, func(), error) {
				alice.Logout()
				return "", func() { logouts++ }, nil
			}),
		),
	)
	require.NoError(t, i.Grant(cred.ID("alice"), cred.Key{Service: "a", Perspective: "b"}))
	alice = attach(t, i, "alice")
	_, err := alice.Avatar().Attach(t.Context(), cred.Key{Service: "a", Perspective: "b"}, "")
	assert.Contains(t, wantRefused(t, err, cred.ReasonDenied).Log(), "logged out while")
	assert.Equal(t, 1, logouts)
}

// TestConcurrentAttachAndLogout checks that nothing stays attached, whichever comes first.
func TestConcurrentAttachAndLogout(t *testing.T) {
	for range 50 {
		var in, out atomic.Int32
		i := cred.NewIdentities[string, string]()
		require.NoError(
			t,
			i.AddService(
				"a",
				cred.ServiceFunc[string, string](func(context.Context, string, cred.AvatarID, string) (string, func(), error) {
					in.Add(1)
					return "", func() { out.Add(1) }, nil
				}),
			),
		)
		require.NoError(t, i.Grant(cred.ID("x"), cred.Key{Service: "a", Perspective: "b"}))
		session := attach(t, i, "x")
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if s, err := session.Avatar().Attach(context.Background(), cred.Key{Service: "a", Perspective: "b"},
					""); err == nil {
					<-s.Done()
				}
			})
			all.Go(session.Logout)
		}
		all.Wait()
		assert.Equal(t, in.Load(), out.Load())
	}
}
