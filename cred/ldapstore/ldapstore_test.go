package ldapstore_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/cred/ldapstore"
)

func wantRefused(t testing.TB, err error, reason cred.Reason) *cred.Refused {
	t.Helper()
	var refused *cred.Refused
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, reason, refused.Reason(), refused.Log())
	assert.NotContains(t, refused.Log(), string(servicePassword))
	return refused
}

func plain(name string, password cred.Secret) cred.UsernamePassword {
	return cred.UsernamePassword{Username: name, Password: password}
}

func newChecker(t testing.TB, at string, opts ...ldapstore.Option) *ldapstore.Checker {
	t.Helper()
	c, err := ldapstore.New(at, base, append([]ldapstore.Option{
		ldapstore.WithServiceAccount(service, servicePassword), ldapstore.WithTimeout(time.Minute),
	}, opts...)...)
	require.NoError(t, err)
	return c
}

func TestSlapd(t *testing.T) {
	s := startSlapd(t)
	t.Run("logins", func(t *testing.T) { testLogins(t, s) })
	t.Run("transports", func(t *testing.T) { testTransports(t, s) })
	t.Run("configurations", func(t *testing.T) { testConfigurations(t, s) })
	t.Run("concurrent", func(t *testing.T) { testConcurrent(t, s) })
	t.Run("the server goes away", func(t *testing.T) { // must be last: it ends the server
		c := newChecker(t, s.socket)
		s.Stop()
		_, err := c.Check(t.Context(), plain("bob", "bread"))
		refused := wantRefused(t, err, cred.ReasonStore)
		assert.True(t, refused.Fault())
		assert.Contains(t, refused.Log(), "cannot reach the directory")
	})
}

func testLogins(t *testing.T, s slapd) {
	for _, decoys := range [][]ldapstore.Option{nil, {ldapstore.WithDecoy(decoy)}} {
		c := newChecker(t, s.plain, append(decoys, ldapstore.WithPlaintext())...)
		for _, a := range []struct {
			name     string
			password cred.Secret
			id       string
			reason   cred.Reason
			log      string
		}{
			{"Alice", "sesame", "Alice", "", ""},
			{"ALICE", "sesame", "Alice", "", ""},
			{"bob", "bread", "bob", "", ""},
			{"o*brien()", "x", "o*brien()", "", ""},
			{"alice", "bread", "", cred.ReasonWrong, ""},
			{"alice", "", "", cred.ReasonMalformed, "anonymous bind"},
			{"nobody", "", "", cred.ReasonMalformed, "anonymous bind"},
			{"nobody", "sesame", "", cred.ReasonUnknown, ""},
			{"nobody", "nobody-knows-it", "", cred.ReasonUnknown, ""},
			{"*", "sesame", "", cred.ReasonUnknown, ""},
			{"al*", "sesame", "", cred.ReasonUnknown, ""},
			{"alice)(uid=*", "sesame", "", cred.ReasonUnknown, ""},
			{"x)(|(uid=*", "sesame", "", cred.ReasonUnknown, ""},
			{"pb", servicePassword, "", cred.ReasonUnknown, ""},
			{"carol", "y", "", cred.ReasonUnknown, ""},
			{"nopassword", "x", "", cred.ReasonWrong, ""},
			{"twin", "x", "", cred.ReasonStore, "several entries"},
			{"two", "x", "", cred.ReasonStore, "2 values of uid"},
			{"\xff", "x", "", cred.ReasonMalformed, "UTF-8"},
			{"", "x", "", cred.ReasonMalformed, "empty"},
			{
				"alice", cred.Secret(strings.Repeat("x", cred.MaxPasswordBytes+1)), "",
				cred.ReasonMalformed, "MaxPasswordBytes",
			},
		} {
			id, err := c.Check(t.Context(), plain(a.name, a.password))
			if a.reason != "" {
				assert.Contains(t, wantRefused(t, err, a.reason).Log(), a.log)
				continue
			}
			require.NoError(t, err, a.name)
			assert.Equal(t, cred.ID(a.id), id, "the avatar id comes from the directory")
		}
		assert.False(t, c.Accepts(cred.KindChallengeResponse))
		_, err := c.Check(t.Context(), cred.ChallengeResponse{Username: "bob"})
		wantRefused(t, err, cred.ReasonUnhandled)
	}
}

func testTransports(t *testing.T, s slapd) {
	for at, opts := range map[string][]ldapstore.Option{
		s.tls:    {ldapstore.WithTLS(s.trusted())},
		s.plain:  {ldapstore.WithTLS(s.trusted()), ldapstore.WithStartTLS()},
		s.socket: nil,
	} {
		_, err := newChecker(t, at, opts...).Check(t.Context(), plain("alice", "sesame"))
		assert.NoError(t, err, at)
	}
	elsewhere := s.trusted()
	elsewhere.ServerName = "elsewhere.example"
	for name, opts := range map[string][]ldapstore.Option{
		"unknown authority": nil,
		"another name":      {ldapstore.WithTLS(elsewhere)},
	} {
		for _, at := range []string{s.tls, s.plain} {
			c := newChecker(t, at, append(opts, ldapstore.WithStartTLS())...)
			_, err := c.Check(t.Context(), plain("alice", "sesame"))
			assert.Contains(t, wantRefused(t, err, cred.ReasonStore).Log(), "no TLS with the directory", name)
		}
	}
}

func testConfigurations(t *testing.T, s slapd) {
	mail := newChecker(t, s.socket, ldapstore.WithFilter("(mail=%s)"), ldapstore.WithAttribute("mail"))
	id, err := mail.Check(t.Context(), plain("ALICE@example.org", "sesame"))
	require.NoError(t, err)
	assert.Equal(t, cred.ID("alice@example.org"), id)

	anonymous, err := ldapstore.New(s.socket, "ou=open,dc=example,dc=org", ldapstore.WithTimeout(time.Minute), nil)
	require.NoError(t, err)
	_, err = anonymous.Check(t.Context(), plain("carol", "y"))
	assert.NoError(t, err)

	for says, c := range map[string]*ldapstore.Checker{
		"cannot bind": newChecker(t, s.socket, ldapstore.WithServiceAccount(service, "another password")),
		"cannot search": must(ldapstore.New(s.socket, "ou=nowhere,dc=example,dc=org",
			ldapstore.WithServiceAccount(service, servicePassword), ldapstore.WithTimeout(time.Minute))),
		"0 values of title": newChecker(t, s.socket, ldapstore.WithAttribute("title")),
	} {
		_, err = c.Check(t.Context(), plain("alice", "sesame"))
		assert.Contains(t, wantRefused(t, err, cred.ReasonStore).Log(), says)
	}
	assert.NotContains(t, fmt.Sprintf("%+v", newChecker(t, s.socket)), string(servicePassword))
}

func must(c *ldapstore.Checker, err error) *ldapstore.Checker {
	if err != nil {
		panic(err)
	}
	return c
}

// testConcurrent: more logins than connections.
func testConcurrent(t *testing.T, s slapd) {
	c := newChecker(t, s.socket, ldapstore.WithMaxConns(2))
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			_, err := c.Check(context.Background(), plain("bob", "bread"))
			assert.NoError(t, err)
		})
	}
	all.Wait()
}

// TestSilentDirectory: a directory accepts the connection and never answers.
func TestSilentDirectory(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	for scheme, opts := range map[string][]ldapstore.Option{
		"ldap": {ldapstore.WithPlaintext()}, "ldaps": nil, "ldap ": {ldapstore.WithStartTLS()},
	} {
		at := strings.TrimSpace(scheme) + "://" + listener.Addr().String()
		slow := newChecker(t, at,
			append(opts, ldapstore.WithTimeout(50*time.Millisecond), ldapstore.WithMaxConns(1))...)
		_, err = slow.Check(t.Context(), plain("alice", "sesame"))
		wantRefused(t, err, cred.ReasonStore)

		c := newChecker(t, at, append(opts, ldapstore.WithMaxConns(1))...)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = c.Check(ctx, plain("alice", "sesame"))
		wantRefused(t, err, cred.ReasonEnded)
		_, err = c.Check(ctx, plain("alice", "sesame"))
		wantRefused(t, err, cred.ReasonEnded)
		cancel()
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		at, base string
		opts     []ldapstore.Option
		says     string
	}{
		{"ldap://127.0.0.1", base, nil, "sends passwords in plain text"},
		{"http://127.0.0.1", base, nil, "the directory's URL must be"},
		{"ldaps://", base, nil, "the directory's URL must be"},
		{"ldaps://%zz", base, nil, "the directory's URL must be"},
		{"ldaps://pb:secret@127.0.0.1", base, nil, "a scheme, a host and a port only"},
		{"ldaps://127.0.0.1/dc=example", base, nil, "a scheme, a host and a port only"},
		{"ldapi:///run/ldapi", base, nil, ""},
		{"ldapi://run", base, nil, "must name a socket"},
		{"ldaps://127.0.0.1", "people", nil, "the base"},
		{"ldaps://127.0.0.1", base, []ldapstore.Option{ldapstore.WithServiceAccount("pb", "x")}, "the service account"},
		{"ldaps://127.0.0.1", base, []ldapstore.Option{ldapstore.WithServiceAccount(service, "")}, "needs a password"},
		{"ldaps://127.0.0.1", base, []ldapstore.Option{ldapstore.WithDecoy("x")}, "the decoy"},
		{"ldaps://127.0.0.1", base, []ldapstore.Option{ldapstore.WithFilter("(uid=x)")}, "one %s"},
		{"ldaps://127.0.0.1", base, []ldapstore.Option{ldapstore.WithFilter("(uid=%s%d)")}, "one %s"},
		{"ldaps://127.0.0.1", base, []ldapstore.Option{ldapstore.WithFilter("(uid=%s")}, "is invalid"},
		{"ldaps://127.0.0.1", base, []ldapstore.Option{ldapstore.WithAttribute("")}, "WithAttribute"},
		{"ldaps://127.0.0.1", base, []ldapstore.Option{ldapstore.WithTimeout(0)}, "must be positive"},
		{"ldaps://127.0.0.1", base, []ldapstore.Option{ldapstore.WithMaxConns(0)}, "must be positive"},
	} {
		_, err := ldapstore.New(c.at, c.base, c.opts...)
		if c.says == "" {
			assert.NoError(t, err, "%s", c.at)
			continue
		}
		require.ErrorContains(t, err, c.says)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func Example() {
	checker, err := ldapstore.New("ldaps://ldap.example", "ou=people,dc=example,dc=org",
		ldapstore.WithServiceAccount("cn=pb,dc=example,dc=org", "from a file that only we can read"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(checker.Accepts(cred.KindUsernamePassword), checker.Accepts(cred.KindChallengeResponse))
	// Output: true false
}
