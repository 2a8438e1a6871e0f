package broker_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/freeport"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRuntimeCloseWaitsForAnswers(t *testing.T) {
	g := &gate{}
	s := newServer(t, g)
	p := s.peer()
	p.Write(`[message 1 root wait 1 [tuple 11] [dictionary]]`, `[message 2 root wait 1 [tuple 12] [dictionary]]`)
	p.Write(`[message 3 root nosuch 1 [tuple] [dictionary]]`)
	wantAnyError(p, 3) // The two before it are under way.
	closed := make(chan error, 1)
	go func() { closed <- s.rt.Close(t.Context()) }()
	<-s.rt.Closing()
	select {
	case <-closed:
		t.Fatal("Close did not wait")
	default:
	}
	for n := 4; ; n++ {
		p.Write(fmt.Sprintf(`[message %d root nosuch 1 [tuple] [dictionary]]`, n))
		if strings.Contains(wantAnyError(p, n), "perspectivebroker.Busy") {
			break
		}
	}
	require.EqualValues(t, 1, broker.StatsOf(s.rt).Refusals["closing"])
	_, err := result(t, g.Do(func() {
		for _, f := range g.waiting {
			f()
		}
	}))
	require.NoError(t, err)
	p.Want(`[answer 1 11]`, `[answer 2 12]`)
	p.WantClosed()
	require.NoError(t, <-closed)
	require.NoError(t, s.rt.Close(t.Context()), "twice is harmless")
}

func TestRuntimeCloseIsBounded(t *testing.T) {
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	pipe := newPipeListener()
	_, err = broker.ListenOn(rt, pipe, &service{})
	require.NoError(t, err)
	here, there := net.Pipe()
	pipe.Conns <- there
	p := wire.New(t, here)
	p.JoinAs(0)
	p.Write(`[message 1 root never 1 [tuple] [dictionary]]`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_ = rt.Close(ctx) // It may have ended all the same by then.
	p.WantClosed()
	ctx, cancel = context.WithTimeout(context.Background(), wire.Timeout)
	defer cancel()
	_ = rt.Close(ctx)
}

func TestRuntimeCloseDuringFlood(t *testing.T) {
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &service{})
	require.NoError(t, err)
	peers, err := actor.NewRuntime()
	require.NoError(t, err)
	var wg, begun sync.WaitGroup
	for range 8 {
		begun.Add(1)
		wg.Go(func() {
			conn, err := broker.Dial(t.Context(), peers, ln.URL())
			begun.Done()
			if !assert.NoError(t, err) {
				return
			}
			for err == nil {
				_, err = flavors.Call[string](t.Context(), conn.Root(), "echo", "again and again")
			}
		})
	}
	begun.Wait()
	require.NoError(t, rt.Close(t.Context()))
	wg.Wait()
	require.NoError(t, peers.Close(t.Context()))
}

func TestListenAgainAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	urls := []string{"pb://" + freeport.Address(t), "pb+unix://" + path}
	for round := range 3 {
		rt, err := actor.NewRuntime()
		require.NoError(t, err)
		for _, url := range urls {
			ln, err := broker.Listen(rt, url, &service{})
			require.NoError(t, err, "round %d", round)
			conn, err := broker.Dial(t.Context(), rt, ln.URL())
			require.NoError(t, err)
			_, err = flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
			require.NoError(t, err)
			_, err = broker.Listen(rt, ln.URL(), &service{})
			require.ErrorContains(t, err, "listening at")
		}
		require.NoError(t, rt.Close(t.Context()))
		_, err = os.Stat(path)
		require.ErrorIs(t, err, os.ErrNotExist)
		_, err = broker.Dial(t.Context(), rt, urls[0])
		require.Error(t, err)
		_, err = broker.Listen(rt, urls[0], &service{})
		require.ErrorContains(t, err, "closing")
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	left.SetUnlinkOnClose(false) // As a process leaves it that was killed.
	require.NoError(t, left.Close())
	rt := newRuntime(t)
	_, err = broker.Listen(rt, "pb+unix://"+path, &service{})
	require.NoError(t, err)
	_, err = broker.Dial(t.Context(), rt, "pb+unix://"+path)
	require.NoError(t, err)

	// What is no socket stays.
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	_, err = broker.Listen(rt, "pb+unix://"+file, &service{})
	require.Error(t, err)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "precious", string(content))
}

func TestListenRejectsUnpublishable(t *testing.T) {
	rt := newRuntime(t)
	for _, test := range []struct {
		url  string
		root any
		says string
	}{
		{"pb://127.0.0.1:0/name", &service{}, "must not name an object"},
		{"nonsense://", &service{}, "unknown scheme"},
		{"pb://127.0.0.1:0", struct{}{}, "does not embed"},
		{"pb://256.0.0.1:1", &service{}, "listening at"},
	} {
		_, err := broker.Listen(rt, test.url, test.root)
		require.ErrorContains(t, err, test.says)
	}
}

func TestRootFactoryPerConnection(t *testing.T) {
	refuse := false
	s := newServer(t, broker.RootFactory(func(c *broker.Conn) (any, error) {
		if refuse {
			return nil, errPlain
		}
		return &service{}, nil
	}), broker.WithPublished("other", &service{}))
	p, q := s.peer(), s.peer()
	for i, peer := range []*wire.Peer{p, q} {
		peer.Write(`[message 1 root same 1 [tuple] [dictionary]]`)
		peer.Want(`[answer 1 [remote 1]]`)
		peer.Write(fmt.Sprintf(`[message 2 1 three 1 [tuple %d] [dictionary]]`, i+1))
		peer.Want(fmt.Sprintf(`[answer 2 %d]`, i+1))
		peer.Write(`[message 3 other add 1 [tuple 1 2] [dictionary]]`)
		peer.Want(`[answer 3 3]`)
	}
	refuse = true
	s.connect().WantClosed()
	require.True(t, strings.HasPrefix(s.ln.URL(), "pb://"))
}
