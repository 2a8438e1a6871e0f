package cluster_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/cluster/store"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
)

func clientOnly(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }

// TestRefusedToStart: a node whose certificate is not its own does not start.
func TestRefusedToStart(t *testing.T) {
	c := newCluster(t)
	for name, change := range map[string]func(o *cluster.Options){
		"no certificate":      func(o *cluster.Options) { o.TLS.Certificates = nil },
		"no TLS":              func(o *cluster.Options) { o.TLS = nil },
		"no authority":        func(o *cluster.Options) { o.TLS.RootCAs = nil },
		"another's name":      func(o *cluster.Options) { o.Name = "b" },
		"another authority":   func(o *cluster.Options) { o.TLS.RootCAs = authority.New(t).Pool() },
		"expired certificate": func(o *cluster.Options) { o.TLS.Certificates[0] = c.ca.Issue("a", authority.Expired) },
		"client certificate":  func(o *cluster.Options) { o.TLS.Certificates[0] = c.ca.Issue("a", clientOnly) },
		"DNS name counts": func(o *cluster.Options) {
			o.Name = "a"
			o.TLS.Certificates[0] = c.ca.Issue("a", func(c *x509.Certificate) { c.DNSNames = []string{"b"} })
		},
		"bad name": func(o *cluster.Options) { o.TLS.Certificates[0] = c.ca.Issue("a/b", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			o := c.options("a")
			change(&o)
			_, err := cluster.Join(testContext(t), pbtest.NewRuntime(t), o)
			require.Error(t, err)
			if name != "bad name" {
				assert.ErrorIs(t, err, cluster.ErrCertificate)
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	c := newCluster(t)
	for name, change := range map[string]func(o *cluster.Options){
		"no store":    func(o *cluster.Options) { o.Store = nil },
		"no URL":      func(o *cluster.Options) { o.Listen = "" },
		"clear link":  func(o *cluster.Options) { o.Listen = "pb://127.0.0.1:0" },
		"short lease": func(o *cluster.Options) { o.TTL = 1 },
	} {
		o := c.options("a")
		change(&o)
		_, err := cluster.Join(testContext(t), pbtest.NewRuntime(t), o)
		require.Error(t, err, name)
	}
}

// TestStrangersOnLinks: only a node with a certificate of its own gets anything over a link.
func TestStrangersOnLinks(t *testing.T) {
	c := newCluster(t, "a", "b")
	url := c.nodes["a"].LinkURL()
	for name, config := range map[string]*tls.Config{
		"no certificate":     {},
		"client certificate": {Certificates: []tls.Certificate{c.ca.Issue("x", clientOnly)}},
		"another authority":  {Certificates: []tls.Certificate{authority.New(t).Issue("b", nil)}},
		"expired":            {Certificates: []tls.Certificate{c.ca.Issue("b", authority.Expired)}},
	} {
		t.Run(name, func(t *testing.T) {
			config.RootCAs, config.ServerName = c.ca.Pool(), "127.0.0.1"
			conn, err := broker.Dial(testContext(t), pbtest.NewRuntime(t), url, broker.WithTLS(config))
			if err == nil { // TLS 1.3 tells a client only when it reads.
				_, err = flavors.Call[any](testContext(t), conn.Root(), "hello", "b")
			}
			require.Error(t, err)
		})
	}

	// A node that says another's name, and one that says nothing.
	config := &tls.Config{
		Certificates: []tls.Certificate{c.ca.Issue("x", nil)}, RootCAs: c.ca.Pool(), ServerName: "127.0.0.1",
	}
	conn, err := broker.Dial(testContext(t), pbtest.NewRuntime(t), url, broker.WithTLS(config))
	require.NoError(t, err)
	for method, args := range map[string][]any{
		"hello": {"b"}, "place": {"counter", "x", "", ""}, "quiesce": {[]any{"counter"}, []any{1}},
	} {
		_, err = flavors.Call[any](testContext(t), conn.Root(), method, args...)
		assert.ErrorIs(t, err, flavors.Unauthorized, method)
	}

	assert.Equal(t, 1, call[int](t, c.on("b", c.nodes["a"]), "incr", 1), "nobody else is harmed")
}

// TestAnotherAtTheAddress: a link is made to a name, not to an address.
func TestAnotherAtTheAddress(t *testing.T) {
	c := newCluster(t, "a", "b")
	o := c.options("c")
	o.Advertise = c.nodes["b"].LinkURL()
	n, err := cluster.Join(testContext(t), pbtest.NewRuntime(t), o)
	require.NoError(t, err)
	defer n.Close()
	require.NoError(t, n.Kind("odd", func(id string) *counter { return &counter{id: id} }))
	_, err = c.nodes["a"].Get("odd", "x").CallRemote("incr", 1).Await(testContext(t))
	require.ErrorIs(t, err, cluster.Unavailable)
	assert.Equal(t, 1, call[int](t, c.on("b", c.nodes["a"]), "incr", 1))
}

// TestTwoOfOneName: the second node is refused, and the first goes on.
func TestTwoOfOneName(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "a", "b")
	ref := c.on("b", c.nodes["a"])
	require.Equal(t, 1, call[int](t, ref, "incr", 1))
	o := c.options("b")
	o.TTL = 2 * time.Second // It waits a little longer.
	_, err := cluster.Join(testContext(t), pbtest.NewRuntime(t), o)
	require.ErrorIs(t, err, cluster.ErrNameTaken)
	assert.Equal(t, 2, call[int](t, ref, "incr", 1))
}

// TestNonsenseInTheStore: what somebody else has written does no harm, not even in the place of a shard.
func TestNonsenseInTheStore(t *testing.T) {
	c := newCluster(t)
	put := func(key, value string) {
		_, _, err := c.store.Commit(testContext(t), nil, store.Put("pb/"+key, []byte(value), 0))
		require.NoError(t, err)
	}
	nonsense := func() {
		for _, key := range []string{
			"", "m/", "m/x", "m/x/y", "s/", "s/counter", "s/counter/x", "s/counter/-1", "s//1", "z",
		} {
			put(key, "\xff{nonsense")
		}
		put("m/b2", `{"name":"b2","address":"pbs://127.0.0.1:1","kinds":["counter"]}`)
		for i := range 4096 {
			put("s/counter/"+strconv.Itoa(i), `{"node":"b2","incarnation":0}`)
		}
	}
	nonsense()
	c.join("a")
	c.join("b")
	for _, node := range []string{"a", "b"} {
		ref := c.on(node, c.nodes["a"])
		assert.Equal(t, 1, call[int](t, ref, "incr", 1))
		assert.Equal(t, node, call[string](t, ref, "node"))
	}
	assert.Len(t, c.nodes["a"].Members(), 2)
}

// TestNotALink: bytes that are no TLS do no harm.
func TestNotALink(t *testing.T) {
	c := newCluster(t, "a", "b")
	url := c.nodes["a"].LinkURL()
	sock, err := net.Dial("tcp", url[len("pbs://"):])
	require.NoError(t, err)
	defer sock.Close()
	_, err = sock.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	require.NoError(t, err)
	assert.Equal(t, 1, call[int](t, c.on("b", c.nodes["a"]), "incr", 1))
}

// short makes a certificate that expires soon, but not before a link is made with it.
func short(c *x509.Certificate) { c.NotAfter = time.Now().Add(12 * time.Second) }

// TestCertificateExpires: a node leaves in order before its certificate expires, and no call fails.
func TestCertificateExpires(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "a", "c")
	o := c.options("b")
	o.TLS.Certificates[0] = c.ca.Issue("b", short)
	b, err := cluster.Join(testContext(t), pbtest.NewRuntime(t), o)
	require.NoError(t, err)
	require.NoError(t, b.Err())
	require.NoError(t, b.Kind("counter", func(id string) *counter { return &counter{id: id, node: "b"} }))
	l := newLoad(t, 16, c.nodes["a"], c.nodes["c"])
	pbtest.Eventually(t, func() bool { l.waitCalls(10); return b.Stats().Placed > 0 })
	<-b.Done()
	require.ErrorIs(t, b.Err(), cluster.ErrCertificate)
	l.waitCalls(500)
	calls, failures := l.end()
	assert.Empty(t, failures, "of %d calls", calls)
	pbtest.Eventually(t, func() bool { return len(c.nodes["a"].Members()) == 2 })
	_, err = b.Get("counter", "x").CallRemote("incr", 1).Await(testContext(t))
	require.Error(t, err)
}

// TestLinkExpires: a link ends with the certificate of a peer that does not leave.
func TestLinkExpires(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "a", "b")
	config := &tls.Config{
		Certificates: []tls.Certificate{c.ca.Issue("x", short)}, RootCAs: c.ca.Pool(), ServerName: "127.0.0.1",
	}
	conn, err := broker.Dial(testContext(t), pbtest.NewRuntime(t), c.nodes["a"].LinkURL(), broker.WithTLS(config))
	require.NoError(t, err)
	_, err = flavors.Call[string](testContext(t), conn.Root(), "hello", "x")
	require.NoError(t, err)
	select {
	case <-conn.Done():
	case <-testContext(t).Done():
		t.Fatal("the link has outlived the certificate")
	}
	assert.Equal(t, 1, call[int](t, c.on("b", c.nodes["a"]), "incr", 1), "nobody else is harmed")
}

// TestClientSendsASource: a client that sends the reference by which nodes pass a Cacheable on cannot make itself one
// in the eyes of other clients, also if nodes and clients have the same registry.
func TestClientSendsASource(t *testing.T) {
	c := newCluster(t)
	c.registry = jelly.NewRegistry()
	for _, name := range []string{"a", "b"} {
		require.NoError(t, c.join(name).Kind("hall", func(string) *hall { return &hall{node: name} }))
	}
	ln, err := broker.Listen(c.rts["a"], "pb://127.0.0.1:0", &lobby{node: c.nodes["a"]}, broker.WithRelaying(),
		broker.WithRegistry(c.registry))
	require.NoError(t, err)
	_, ann := c.loginWithBoards(c.gateway("b"), "ann")
	for _, home := range []string{"a", "b"} {
		mallory := wire.Connect(t, strings.TrimPrefix(ln.URL(), "pb://"))
		mallory.Join()
		id := c.idOn("hall", home)
		mallory.Write(`[message 1 "root" "hall" 1 [tuple ["unicode" "` + id + `"]] [dictionary]]`)
		mallory.Want(`[answer 1 [remote $hall]]`)
		mallory.Write(`[message 3 $hall "join" 1 [tuple ["perspectivebroker.cluster.Source" ["unicode" "test.Board"] 5]]
			[dictionary]]`)
		mallory.Want(`[error 3 _]`)
		mallory.Write(`[message 5 $hall "join" 1 [tuple ["perspectivebroker.cluster.Placed" 5]] [dictionary]]`)
		mallory.Want(`[error 5 _]`)
		assert.Empty(t, ask[[]any](t, ask[*flavors.RemoteReference](t, ann, "hall", id), "members"))
	}
}
