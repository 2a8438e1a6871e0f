package inspect

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

func TestPaths(t *testing.T) {
	h := Handler(pbtest.NewRuntime(t))
	for path, want := range map[string]string{
		"/":                 "text/html; charset=utf-8",
		"/debug/pb/":        "text/html; charset=utf-8",
		"/json":             "application/json; charset=utf-8",
		"/debug/pb/json":    "application/json; charset=utf-8",
		"/metrics":          "text/plain; version=0.0.4; charset=utf-8",
		"/debug/pb/metrics": "text/plain; version=0.0.4; charset=utf-8",
	} {
		status, header, body := get(t, h, path)
		assert.Equal(t, http.StatusOK, status, path)
		assert.Equal(t, want, header.Get("Content-Type"), path)
		assert.NotEmpty(t, body, path)
		assert.Equal(t, "no-store", header.Get("Cache-Control"))
		assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		status, head, body := request(t, h, httptest.NewRequest(http.MethodHead, path, nil))
		assert.Equal(t, http.StatusOK, status, path)
		assert.Equal(t, want, head.Get("Content-Type"), path)
		assert.Empty(t, body, path)
	}
	for _, path := range []string{"/other", "/json/x", "/debug/pb"} {
		status, _, _ := get(t, h, path)
		assert.Equal(t, http.StatusNotFound, status, path)
	}
}

func TestStripPrefix(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/debug/pb", http.StripPrefix("/debug/pb", Handler(pbtest.NewRuntime(t))))
	mux.Handle("/debug/pb/", http.StripPrefix("/debug/pb", Handler(pbtest.NewRuntime(t))))
	status, header, _ := get(t, mux, "/debug/pb")
	assert.Equal(t, http.StatusMovedPermanently, status)
	assert.Equal(t, "./pb/", header.Get("Location"))
	for _, path := range []string{"/debug/pb/", "/debug/pb/json", "/debug/pb/metrics"} {
		status, _, _ = get(t, mux, path)
		assert.Equal(t, http.StatusOK, status, path)
	}
	// The target stays below the server, whatever a client requests.
	all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = ""
		Handler(pbtest.NewRuntime(t)).ServeHTTP(w, r)
	})
	for uri, want := range map[string]string{
		"//example.org": "./example.org/", "/a/https:%2F%2Fexample.org": "./example.org/", "/": "././", "*": "./*/",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RequestURI = uri
		_, header, _ = request(t, all, r)
		assert.Equal(t, want, header.Get("Location"), uri)
	}
}

func TestRequestsRefused(t *testing.T) {
	h := Handler(pbtest.NewRuntime(t))
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "ODD"} {
		status, header, _ := request(t, h, httptest.NewRequest(method, "/json", nil))
		assert.Equal(t, http.StatusMethodNotAllowed, status, method)
		assert.Equal(t, "GET, HEAD", header.Get("Allow"))
	}
	for mode, want := range map[string]int{"cors": http.StatusForbidden, "no-cors": 403, "navigate": 200} {
		r := httptest.NewRequest(http.MethodGet, "/json", nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Mode", mode)
		status, _, _ := request(t, h, r)
		assert.Equal(t, want, status, mode)
	}
	for _, rt := range []*actor.Runtime{nil, {}} {
		status, _, body := get(t, Handler(rt), "/")
		assert.Equal(t, http.StatusServiceUnavailable, status)
		assert.Contains(t, body, "NewRuntime")
	}
}

// TestPagePolicy finds in the page only what its policy allows.
func TestPagePolicy(t *testing.T) {
	_, header, body := get(t, Handler(pbtest.NewRuntime(t)), "/")
	policy := header.Get("Content-Security-Policy")
	for _, part := range []string{
		"default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "script-src 'sha256-", "style-src 'sha256-",
	} {
		assert.Contains(t, policy, part)
	}
	assert.NotContains(t, policy, "unsafe")
	assert.Equal(t, 1, strings.Count(body, "<script>"))
	assert.Equal(t, 1, strings.Count(body, "<style>"))
	for _, forbidden := range []string{
		"innerHTML", "insertAdjacentHTML", "eval(", "https://", "style=", "onclick=", "src=",
	} {
		assert.NotContains(t, body, forbidden)
	}
	assert.Equal(t, 1, strings.Count(body, "http://"), "only the name of SVG")
}

// follower is a browser that follows the inspector over a pipe, in a bubble.
type follower struct {
	t    *testing.T
	sock net.Conn
	text *bufio.Reader
}

// runFollowed serves the inspector over pipes, which have no buffers.
func runFollowed(t *testing.T, f func(t *testing.T, rt *actor.Runtime, h *handler, join func() *follower)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
		require.NoError(t, err)
		pipes := pbtest.NewPipeListener()
		h := newHandler(rt)
		web := &http.Server{Handler: h}
		served := make(chan error)
		go func() { served <- web.Serve(pipes) }()
		f(t, rt, h, func() *follower {
			sock := pipes.Dial()
			return &follower{t, sock, bufio.NewReader(sock)}
		})
		require.NoError(t, web.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
		require.NoError(t, rt.Close(context.Background()))
	})
}

// request asks for the events and returns the status.
func (f *follower) request() int {
	f.t.Helper()
	_, err := io.WriteString(f.sock, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(f.t, err)
	resp, err := http.ReadResponse(f.text, nil)
	require.NoError(f.t, err)
	if resp.StatusCode == http.StatusOK {
		require.Equal(f.t, "text/event-stream", resp.Header.Get("Content-Type"))
		f.text = bufio.NewReader(resp.Body)
	}
	return resp.StatusCode
}

func (f *follower) next() (s Snapshot, err error) {
	for {
		line, err := f.text.ReadString('\n')
		if err != nil {
			return s, err
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			return s, json.Unmarshal([]byte(data), &s)
		}
	}
}

func TestFollow(t *testing.T) {
	runFollowed(t, func(t *testing.T, rt *actor.Runtime, h *handler, join func() *follower) {
		one, two := join(), join()
		require.Equal(t, http.StatusOK, one.request())
		require.Equal(t, http.StatusOK, two.request())
		var last time.Time
		for range 5 {
			a, err := one.next()
			require.NoError(t, err)
			b, err := two.next()
			require.NoError(t, err)
			assert.Equal(t, a.Time, b.Time, "both get the same snapshot")
			if !last.IsZero() {
				assert.Equal(t, interval, a.Time.Sub(last))
			}
			last = a.Time
		}
		pipes := broker.NewPipeListener()
		_, err := broker.ListenOn(rt, pipes, newShop())
		require.NoError(t, err)
		sock, err := pipes.Dial(t.Context())
		require.NoError(t, err)
		conn, err := broker.NewClientConn(t.Context(), rt, sock)
		require.NoError(t, err)
		_, _ = two.next()
		s, err := one.next()
		require.NoError(t, err)
		assert.Equal(t, 2, s.Totals.Open)
		conn.Abort(nil)
		one.sock.Close()
		_, _ = two.next()
		synctest.Wait()
		assert.EqualValues(t, 1, h.viewers.Load())
	})
}

// TestFollowerThatNeverReads is dropped, and others go on.
func TestFollowerThatNeverReads(t *testing.T) {
	runFollowed(t, func(t *testing.T, _ *actor.Runtime, h *handler, join func() *follower) {
		deaf, good := join(), join()
		_, err := io.WriteString(deaf.sock, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, good.request())
		start := time.Now()
		for range 3 {
			_, err := good.next()
			require.NoError(t, err)
		}
		assert.Less(t, time.Since(start), writeTime, "it does not wait for the other")
		synctest.Wait()
		require.EqualValues(t, 2, h.viewers.Load())
		for h.viewers.Load() > 1 {
			_, err := good.next()
			require.NoError(t, err)
		}
		assert.LessOrEqual(t, time.Since(start), writeTime+interval)
		_, err = io.Copy(io.Discard, deaf.sock)
		require.NoError(t, err, "its connection has been closed")
	})
}

// TestClientThatNeverReads is dropped too if it asks for anything else.
func TestClientThatNeverReads(t *testing.T) {
	runFollowed(t, func(t *testing.T, _ *actor.Runtime, _ *handler, join func() *follower) {
		deaf := join()
		_, err := io.WriteString(deaf.sock, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		time.Sleep(2 * writeTime)
		_, err = io.WriteString(deaf.sock, "GET / HTTP/1.1\r\n")
		require.ErrorIs(t, err, io.ErrClosedPipe)
	})
}

func TestTooManyFollow(t *testing.T) {
	runFollowed(t, func(t *testing.T, _ *actor.Runtime, h *handler, join func() *follower) {
		var all []*follower
		for range maxViewers {
			f := join()
			require.Equal(t, http.StatusOK, f.request())
			all = append(all, f)
		}
		require.Equal(t, http.StatusServiceUnavailable, join().request())
		all[0].sock.Close()
		for h.viewers.Load() == maxViewers {
			for _, f := range all[1:] {
				_, err := f.next()
				require.NoError(t, err)
			}
		}
		require.Equal(t, http.StatusOK, join().request())
	})
}

func TestFollowEndsWithRuntime(t *testing.T) {
	runFollowed(t, func(t *testing.T, rt *actor.Runtime, h *handler, join func() *follower) {
		f := join()
		require.Equal(t, http.StatusOK, f.request())
		_, err := f.next()
		require.NoError(t, err)
		require.NoError(t, rt.Close(t.Context()))
		_, err = f.next()
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, http.StatusServiceUnavailable, join().request())
		synctest.Wait()
		assert.Zero(t, h.viewers.Load())
		assert.True(t, snapshotOf(t, h).Closing, "the page can still ask for json")
	})
}

// TestFollowNeedsDeadlines answers a writer that cannot limit the time of a write.
func TestFollowNeedsDeadlines(t *testing.T) {
	h := newHandler(pbtest.NewRuntime(t))
	status, _, _ := get(t, h, "/events")
	assert.Equal(t, http.StatusNotImplemented, status)
	assert.Zero(t, h.viewers.Load())
}

// TestSnapshotsAreShared takes one for all who ask at the same time, and rests afterwards.
func TestSnapshotsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
		require.NoError(t, err)
		s := newSampler(rt)
		fresh := func() *sample {
			got, err := s.fresh(t.Context())
			assert.NoError(t, err)
			return got
		}
		recent := func(age time.Duration) *sample {
			got, err := s.recent(t.Context(), age)
			assert.NoError(t, err)
			return got
		}
		first := fresh()
		require.Equal(t, first.number, recent(time.Second).number)
		second := fresh()
		require.NotEqual(t, first.number, second.number, "what happened since must be in it")
		time.Sleep(time.Second)
		require.Equal(t, second.number, recent(time.Second).number)
		third := recent(time.Second - 1)
		require.NotEqual(t, second.number, third.number)
		// A snapshot that took long is followed by a rest, in which more may ask.
		third.ended = third.began.Add(100 * time.Millisecond)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err = s.fresh(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		answers := make(chan *sample)
		for range 10 {
			go func() { answers <- fresh() }()
		}
		got := map[*sample]int{}
		for range 10 {
			got[<-answers]++
		}
		assert.Len(t, got, 1)
		assert.Equal(t, 500*time.Millisecond, time.Since(start))
		require.NoError(t, rt.Close(t.Context()))
	})
}

func TestListen(t *testing.T) {
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	require.NoError(t, err)
	s, err := Listen(rt, "127.0.0.1:0")
	require.NoError(t, err)
	assert.Regexp(t, `^http://127\.0\.0\.1:[1-9][0-9]*$`, s.URL())
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ask := func(host string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/json", nil)
		require.NoError(t, err)
		r.Host = host
		resp, err := client.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	for host, want := range map[string]int{
		"": 200, "localhost": 200, "localhost:80": 200, "127.0.0.1": 200, "[::1]:8801": 200, "10.1.2.3:8801": 200,
		"evil.example": 421, "evil.example:8801": 421, "localhost.evil.example": 421, "[evil]": 421,
	} {
		assert.Equal(t, want, ask(host), host)
	}
	_, err = Listen(rt, s.address.String())
	require.ErrorContains(t, err, "inspect: listen tcp")
	require.NoError(t, rt.Close(t.Context()), "it ends the server")
	_, err = client.Get(s.URL())
	require.Error(t, err)
	require.NoError(t, s.Close())
	_, err = Listen(nil, "127.0.0.1:0")
	require.ErrorContains(t, err, "the Runtime is nil")
}

func TestServerClose(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	s, err := Listen(rt, "localhost:0")
	require.NoError(t, err)
	resp, err := http.Get(s.URL() + "/events")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = io.Copy(io.Discard, resp.Body)
	require.Error(t, err, "what it sends ends at once")
	resp.Body.Close()
	require.NoError(t, s.Close())
	http.DefaultClient.CloseIdleConnections()
}

// TestWarning is logged for an address that is not loopback.
func TestWarning(t *testing.T) {
	var log strings.Builder
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(&log)))
	require.NoError(t, err)
	s, err := Listen(rt, ":0")
	require.NoError(t, err)
	assert.Contains(t, log.String(), "the inspector has no login")
	_, port, err := net.SplitHostPort(s.address.String())
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/json", nil)
	require.NoError(t, err)
	r.Host = "program.example" // It may have any name.
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	http.DefaultClient.CloseIdleConnections()
	require.NoError(t, errors.Join(s.Close(), rt.Close(t.Context())))
}
