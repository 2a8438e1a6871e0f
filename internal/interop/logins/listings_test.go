package logins

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// told is the realm's report of a call.
func told(name string, arg any) string { return fmt.Sprintf("%s called foo(%v)", name, arg) }

// pair is a listing's server with one of its clients.
type pair struct {
	name           string
	server, client string
	user, password string
	arg            int
	atServer       string
	atClient       []string
}

func pairs() []pair {
	return []pair{
		{"pb5", "pb5server.py", "pb5client.py", "user1", "pass1", 12,
			"I am b'user1' perspective_foo( 12 )", []string{"got perspective ref:", "asking it to foo(12)"}},
		{"pb6 the first client", "pb6server.py", "pb6client1.py", "user1", "pass1", 13,
			"I am b'user1' perspective_foo( 13 )", []string{"got perspective1 ref:", "asking it to foo(13)"}},
		{"pb6 the second client", "pb6server.py", "pb6client2.py", "user2", "pass2", 14,
			"I am b'user2' perspective_foo( 14 )", []string{"got perspective2 ref:", "asking it to foo(14)"}},
	}
}

func TestListings(t *testing.T) {
	stock.Require(t, stock.Docs)
	for _, p := range pairs() {
		wantAtClient := func(t *testing.T, client *stock.Process) {
			t.Helper()
			for _, line := range p.atClient {
				client.WaitLine(line)
			}
		}
		t.Run(p.name+", stock to stock", func(t *testing.T) {
			t.Parallel()
			server := listing(t, p.server, "")
			wantAtClient(t, listing(t, p.client, server.Addr()))
			server.WaitLine(p.atServer)
		})
		t.Run(p.name+", our server", func(t *testing.T) {
			t.Parallel()
			r := newRealm()
			ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", broker.LoginRoot(r.portal(t)))
			require.NoError(t, err)
			client := listing(t, p.client, ln.Addr().String())
			wantAtClient(t, client)
			assert.Equal(t, told(p.user, p.arg), <-r.told)
			client.Kill() // otherwise it stays logged in
			assert.Equal(t, p.user, <-r.left)
		})
		t.Run(p.name+", our client", func(t *testing.T) {
			t.Parallel()
			server := listing(t, p.server, "")
			conn, err := broker.Dial(t.Context(), newRuntime(t), "pb://"+server.Addr())
			require.NoError(t, err)
			avatar, err := conn.Login(
				t.Context(),
				cred.UsernamePassword{Username: p.user, Password: cred.Secret(p.password)},
				nil,
			)
			require.NoError(t, err)
			_, err = flavors.Call[any](t.Context(), avatar, "foo", p.arg)
			require.NoError(t, err)
			server.WaitLine(p.atServer)
			_, err = conn.Login(t.Context(), cred.UsernamePassword{Username: p.user, Password: "guess"}, nil)
			require.ErrorIs(t, err, flavors.UnauthorizedLogin)
		})
	}
}

// TestAnonymousListing runs pbAnonServer and pbAnonClient, which logs in twice at once on one connection.
func TestAnonymousListing(t *testing.T) {
	stock.Require(t, stock.Docs)
	wantAtClient := func(t *testing.T, client *stock.Process) {
		t.Helper()
		client.WaitLines("got perspective1 ref:", 2)
		assert.Zero(t, client.Exit())
		for _, line := range client.Lines() {
			assert.NotContains(t, line, "login failed")
		}
	}
	t.Run("stock to stock", func(t *testing.T) {
		server := listing(t, "pbAnonServer.py", "")
		wantAtClient(t, listing(t, "pbAnonClient.py", serverAddr(server)))
		server.WaitLine("I am Anonymous.  perspective_foo(13)")
		server.WaitLine("I am b'user1'.  perspective_foo(13)")
	})
	t.Run("our server", func(t *testing.T) {
		r := newRealm()
		ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", broker.LoginRoot(r.portal(t)))
		require.NoError(t, err)
		wantAtClient(t, listing(t, "pbAnonClient.py", ln.Addr().String()))
		assert.ElementsMatch(t, []string{told("(anonymous)", 13), told("user1", 13)}, []string{<-r.told, <-r.told})
		assert.ElementsMatch(t, []string{"(anonymous)", "user1"}, []string{<-r.left, <-r.left})
	})
	t.Run("our client", func(t *testing.T) {
		server := listing(t, "pbAnonServer.py", "")
		conn, err := broker.Dial(t.Context(), newRuntime(t), "pb://"+serverAddr(server))
		require.NoError(t, err)
		for _, c := range []cred.Credentials{cred.Anonymous{}, cred.UsernamePassword{Username: "user2", Password: "pass2"}} {
			avatar, err := conn.Login(t.Context(), c, nil)
			require.NoError(t, err)
			_, err = flavors.Call[any](t.Context(), avatar, "foo", 13)
			require.NoError(t, err)
		}
		server.WaitLine("I am Anonymous.  perspective_foo(13)")
		server.WaitLine("I am b'user2'.  perspective_foo(13)")
	})
}

// serverAddr reads the port from Twisted's log of a listing.
func serverAddr(server *stock.Process) string {
	return "127.0.0.1:" + server.WaitMatch(`port (\d+)$`)[1]
}

// TestBrokenListings shows which listings do not work: without the encoding no login works, and pb7client calls what
// Twisted no longer has.
func TestBrokenListings(t *testing.T) {
	stock.Require(t, stock.Docs)
	t.Run("pbAnon as it is: anonymous users get in, and names do not", func(t *testing.T) {
		r := newRealm()
		ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", broker.LoginRoot(r.portal(t)))
		require.NoError(t, err)
		server := stock.StartListing(t, stock.PBListings+"/pbAnonServer.py", "")
		for _, addr := range []string{serverAddr(server), ln.Addr().String()} {
			client := stock.StartListing(t, stock.PBListings+"/pbAnonClient.py", addr)
			client.WaitLine("asking it to foo(13)")
			client.WaitLine("Username/password login failed")
			assert.Zero(t, client.Exit())
		}
		server.WaitLine("I am Anonymous.  perspective_foo(13)")
		assert.Equal(t, told("(anonymous)", 13), <-r.told)
	})
	t.Run("pb7", func(t *testing.T) {
		client := listing(t, "pb7client.py", "")
		client.WaitLine("has no attribute 'getPerspective'")
		assert.NotZero(t, client.Exit())
	})
}
