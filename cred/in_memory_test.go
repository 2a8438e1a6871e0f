package cred_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/cred"
)

// TestInMemoryModel compares the checker with a map of passwords.
func TestInMemoryModel(t *testing.T) {
	ctx, h := context.Background(), weak()
	name := rapid.SampledFrom([]string{"alice", "bob", "carol"})
	password := rapid.SampledFrom([]cred.Secret{"sesame", "bread", "Sesame", "x"})
	scheme := rapid.SampledFrom([]cred.Scheme{cred.SchemePlaintext, cred.SchemeMD5, cred.SchemeArgon2id})
	rapid.Check(t, func(t *rapid.T) {
		type user struct {
			password cred.Secret
			scheme   cred.Scheme
		}
		model := map[string]user{}
		m, err := cred.NewInMemory(nil, cred.WithHasher(h), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				u, n := user{password.Draw(t, "password"), scheme.Draw(t, "scheme")}, name.Draw(t, "name")
				entry := cred.Plaintext(u.password)
				switch u.scheme {
				case cred.SchemeMD5:
					entry = cred.MD5(u.password)
				case cred.SchemeArgon2id:
					if entry, err = h.Argon2id(ctx, u.password); err != nil {
						t.Fatal(err)
					}
				}
				if err := m.SetUser(n, entry); err != nil {
					t.Fatal(err)
				}
				model[n] = u
			},
			"remove": func(t *rapid.T) {
				n := name.Draw(t, "name")
				m.RemoveUser(n)
				delete(model, n)
			},
			"plain": func(t *rapid.T) {
				n, p := name.Draw(t, "name"), password.Draw(t, "password")
				u, known := model[n]
				id, err := m.Check(ctx, plain(n, p))
				if in := known && u.password == p; in != (err == nil) || in && id != cred.ID(n) {
					t.Fatalf("%s with %q: %v, %v", n, string(p), id, err)
				}
			},
			"challenge": func(t *rapid.T) {
				n, p := name.Draw(t, "name"), password.Draw(t, "password")
				u, known := model[n]
				_, err := m.Check(ctx, response(n, p))
				if in := known && u.password == p && u.scheme != cred.SchemeArgon2id; in != (err == nil) {
					t.Fatalf("%s with %q: %v", n, string(p), err)
				}
			},
			"": func(t *rapid.T) {
				answers := false
				for _, u := range model {
					answers = answers || u.scheme != cred.SchemeArgon2id
				}
				if m.Accepts(cred.KindChallengeResponse) != answers {
					t.Fatalf("accepts challenges: %v", !answers)
				}
			},
		})
	})
}

// TestUnknownUserSameWork: an unknown user costs what some user costs, always the same for one name. Over many names,
// each user's cost occurs.
func TestUnknownUserSameWork(t *testing.T) {
	var hashes work
	h := weak(cred.WithHashObserver(hashes.add))
	m, err := cred.NewInMemory(map[string]cred.Entry{
		"a": argon2id(t, h, "sesame"), "b": bcryptEntry(t, h, "sesame"), "c": cred.Plaintext("sesame"),
	}, cred.WithHasher(h))
	require.NoError(t, err)
	for name, scheme := range map[string]cred.Scheme{
		"a": cred.SchemeArgon2id, "b": cred.SchemeBcrypt, "c": cred.SchemePlaintext,
	} {
		for _, password := range []cred.Secret{"sesame", "wrong"} {
			_, _ = m.Check(t.Context(), plain(name, password))
			assert.Equal(t, map[cred.Scheme]int{scheme: 1}, hashes.take())
		}
	}
	all := map[cred.Scheme]int{}
	for i := range 100 { // The key that selects is random: of fewer names none may select one of the users.
		var first map[cred.Scheme]int
		for range 2 {
			_, err := m.Check(t.Context(), plain(fmt.Sprintf("unknown%d", i), "sesame"))
			wantRefused(t, err, cred.ReasonUnknown)
			done := hashes.take()
			require.Len(t, done, 1)
			if first == nil {
				first = done
			}
			assert.Equal(t, first, done)
		}
		for scheme := range first {
			all[scheme]++
		}
	}
	assert.Len(t, all, 3, "all three schemes are used: %v", all)

	_, err = m.Check(t.Context(), plain("a", cred.Secret(strings.Repeat("x", cred.MaxPasswordBytes+1))))
	wantRefused(t, err, cred.ReasonMalformed)
	assert.Empty(t, hashes.take(), "malformed names are refused before any work")
}

// TestUncheckableChallenges are refused by kind: there is no lookup and no hash.
func TestUncheckableChallenges(t *testing.T) {
	var hashes work
	h := weak(cred.WithHashObserver(hashes.add))
	m, err := cred.NewInMemory(map[string]cred.Entry{"alice": argon2id(t, h, "sesame")}, cred.WithHasher(h))
	require.NoError(t, err)
	p := portal(t, m)
	assert.False(t, p.Accepts(cred.KindChallengeResponse))
	for _, name := range []string{"alice", "nobody"} {
		_, err := p.Login(t.Context(), response(name, "sesame"), "")
		wantRefused(t, err, cred.ReasonUnhandled)
		_, err = m.Check(t.Context(), response(name, "sesame"))
		wantRefused(t, err, cred.ReasonUnhandled)
	}
	require.NoError(t, m.SetUser("bob", cred.MD5("bread")))
	_, err = p.Login(t.Context(), response("alice", "sesame"), "")
	assert.Contains(t, wantRefused(t, err, cred.ReasonUnusable).Log(), "stored as argon2id")
	_, err = p.Login(t.Context(), response("nobody", "sesame"), "")
	wantRefused(t, err, cred.ReasonUnknown)
	_, err = p.Login(t.Context(), response("", "sesame"), "")
	wantRefused(t, err, cred.ReasonMalformed)
	_, err = p.Login(t.Context(), response("bob", "sesame"), "")
	wantRefused(t, err, cred.ReasonWrong)
	assert.Empty(t, hashes.take())
}

func TestInMemoryRefuses(t *testing.T) {
	_, err := cred.NewInMemory(map[string]cred.Entry{"": cred.Plaintext("x")})
	assert.ErrorContains(t, err, "the username is empty")
	_, err = cred.NewInMemory(map[string]cred.Entry{"alice": nil})
	assert.ErrorContains(t, err, "no password entry")
	m := users(t)
	assert.Error(t, m.SetUser("a\nb", cred.Plaintext("x")))
	for _, c := range []cred.Credentials{cred.Anonymous{}, cred.UnixPeer{}, cred.ClientCertificate{}, own{}} {
		_, err := m.Check(t.Context(), c)
		wantRefused(t, err, cred.ReasonUnhandled)
	}
	_, err = cred.AllowAnonymous().Check(t.Context(), plain("alice", "sesame"))
	wantRefused(t, err, cred.ReasonUnhandled)
}

// own are credentials of a foreign type with the kind of a password.
type own struct{}

func (own) Kind() cred.Kind { return cred.KindUsernamePassword }
func (own) Claim() string   { return "" }

func TestInMemoryConcurrentChanges(t *testing.T) {
	m := users(t)
	var all sync.WaitGroup
	for i := range 8 {
		name := fmt.Sprint("user", i)
		all.Go(func() { assert.NoError(t, m.SetUser(name, cred.MD5("x"))) })
		all.Go(func() {
			_, err := m.Check(context.Background(), plain("alice", "sesame"))
			assert.NoError(t, err)
		})
	}
	all.Wait()
	for i := range 8 {
		_, err := m.Check(t.Context(), plain(fmt.Sprint("user", i), "x"))
		assert.NoError(t, err)
	}
}
