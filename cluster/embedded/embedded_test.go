package embedded_test

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/perspectivebroker/pb/cluster/embedded"
)

func client(t *testing.T, endpoints []string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestDataOutlivesTheServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "directory")
	for i, want := range []string{"", "one"} {
		s, err := embedded.Start(t.Context(), embedded.Config{Dir: dir})
		require.NoError(t, err)
		url, err := os.ReadFile(filepath.Join(dir, "url"))
		require.NoError(t, err)
		require.Equal(t, []string{strings.TrimSpace(string(url))}, s.Endpoints())
		c := client(t, s.Endpoints())
		got, err := c.Get(t.Context(), "key")
		require.NoError(t, err)
		if i == 0 {
			_, err = c.Put(t.Context(), "key", "one")
			require.NoError(t, err)
		} else {
			require.Equal(t, want, string(got.Kvs[0].Value))
		}
		require.NoError(t, c.Close())
		s.Close()
		s.Close()
	}
}

func TestThreeServers(t *testing.T) {
	names := []string{"a", "b", "c"}
	peers := map[string]string{}
	for _, name := range names {
		peers[name] = freeURL(t)
	}
	servers := make([]*embedded.Server, len(names))
	var starting sync.WaitGroup
	for i, name := range names {
		dir := t.TempDir()
		starting.Go(func() {
			config := embedded.Config{Dir: dir, Name: name, PeerURL: peers[name], Servers: peers}
			s, err := embedded.Start(t.Context(), config)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			servers[i] = s
		})
	}
	starting.Wait()
	require.False(t, t.Failed())
	for _, s := range servers {
		t.Cleanup(s.Close)
	}
	_, err := client(t, servers[0].Endpoints()).Put(t.Context(), "key", "value")
	require.NoError(t, err)
	servers[0].Close()
	// Two of three serve, once they have a leader.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := client(t, servers[1].Endpoints())
	var got *clientv3.GetResponse
	for {
		if got, err = c.Get(ctx, "key"); err == nil || ctx.Err() != nil {
			break
		}
	}
	require.NoError(t, err)
	require.Equal(t, "value", string(got.Kvs[0].Value))
}

func TestBadConfig(t *testing.T) {
	dir := t.TempDir()
	for want, c := range map[string]embedded.Config{
		"Config.Dir is missing":          {},
		"Config.ClientURL is":            {Dir: dir, ClientURL: "127.0.0.1:80"},
		"Config.PeerURL is":              {Dir: dir, PeerURL: "https://127.0.0.1:80"},
		`Config.Servers has "" for this`: {Dir: dir, Servers: map[string]string{"b": "http://127.0.0.1:80"}},
		"mkdir /dev/null":                {Dir: "/dev/null/x"},
		"address already in use":         {Dir: dir, ClientURL: occupied(t)},
	} {
		_, err := embedded.Start(t.Context(), c)
		require.ErrorContains(t, err, want)
	}
}

// TestOneOfThree wants Start to end with its context as long as most servers are missing.
func TestOneOfThree(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	url := freeURL(t)
	_, err := embedded.Start(ended, embedded.Config{
		Dir: t.TempDir(), Name: "a", PeerURL: url,
		Servers: map[string]string{"a": url, "b": freeURL(t), "c": freeURL(t)},
	})
	require.ErrorIs(t, err, context.Canceled)
}

// freeURL returns a URL with a port that nobody else gets who asks for any, and no other test until this one has ended:
// that of the same number for UDP is held.
func freeURL(t *testing.T) string {
	for {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(12_000)))
		held, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		t.Cleanup(func() { held.Close() })
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return "http://" + address
		}
	}
}

func occupied(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String()
}
