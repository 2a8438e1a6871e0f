package scenarios

import (
	"crypto/tls"
	"crypto/x509"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/authority"
)

// TestRefusedToStart starts nodes that must not run, beside one that must not notice.
func TestRefusedToStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	alice := w.users.login("alice", w.nodes["a"])
	certificate := func(name string, change func(c *x509.Certificate)) func(args []string) []string {
		cert, key, _ := w.ca.Files(w.ca.Issue(name, change))
		return func(args []string) []string { return replace("-key", key)(replace("-cert", cert)(args)) }
	}
	clientOnly := func(c *x509.Certificate) {
		c.DNSNames, c.ExtKeyUsage = []string{"b"}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	takenPort := func(args []string) []string {
		return replace("-ttl", "10m")(replace("-listen", w.nodes["a"].url)(args))
	}
	_, _, otherCA := authority.New(t).Files(w.ca.Issue("b", nil))
	for what, c := range map[string]struct {
		name   string
		change func(args []string) []string
		says   string
	}{
		"name of another":       {"b", replace("-name", "c"), `the node is "c", its certificate is for "b"`},
		"client's certificate":  {"b", certificate("b", clientOnly), "certificate"},
		"expired certificate":   {"b", certificate("b", authority.Expired), "expired"},
		"another authority":     {"b", replace("-ca", otherCA), "certificate"},
		"a name that is taken":  {"a", replace("-ttl", "2s"), "another node of this name"},
		"no certificate":        {"b", replace("-cert", "/nonsense"), "/nonsense"},
		"etcd's URL is missing": {"b", replace("-etcd", ""), "-etcd"},
		"lease too short":       {"b", replace("-ttl", "1s"), "1s"},
		"links without TLS":     {"b", replace("-link", "pb://127.0.0.1:0"), "TLS"},
		"a port that is taken":  {"b", takenPort, "address already in use"},
	} {
		t.Run(what, func(t *testing.T) {
			p := w.run(what, c.name, c.change)
			require.Equal(t, 1, p.exit())
			require.Contains(t, p.output(), c.says)
			require.NotContains(t, p.output(), "listening pb")
		})
	}
	w.eventually("no other is a member", func() bool {
		return reflect.DeepEqual(list{"a"}, alice.call("avatar", "members").value())
	})
	alice.room("room")
	require.EqualValues(t, 1, alice.call("room", "incr").integer())
}

// TestLinksNeedACertificate connects to the links' port without a certificate of a node.
func TestLinksNeedACertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	alice := w.users.login("alice", w.nodes["a"])
	address := w.linkOf("b")
	for what, config := range map[string]*tls.Config{
		"none":    {},
		"strange": {Certificates: []tls.Certificate{authority.New(t).Issue("a", nil)}},
		"client's": {Certificates: []tls.Certificate{w.ca.Issue("a", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})}},
	} {
		config.InsecureSkipVerify = true
		conn, err := tls.Dial("tcp", strings.TrimPrefix(address, "pbs://"), config)
		if err == nil { // With TLS 1.3 the server's refusal comes after the client's handshake.
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		require.ErrorContains(t, err, "tls: ", what)
	}
	room := w.roomOn(alice, "b", "trust")
	require.EqualValues(t, 1, alice.call(room, "incr").integer())
}
