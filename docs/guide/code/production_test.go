package code

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/broker/inspect"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/supervision"
)

//guide:begin limits
func listenLimited(rt *actor.Runtime, url string, root any) (*broker.Listener, error) {
	limits := broker.Limits{ // zero fields keep their defaults
		CallsIn:     1000,     // unanswered calls of one peer
		MemoryTotal: 64 << 20, // bytes that all peers together may make this runtime hold
	}
	limits.Banana.Frame = 1 << 20 // bytes of one message
	return broker.Listen(rt, url, root,
		broker.WithLimits(limits),
		broker.WithKeepalive(time.Minute, 30*time.Second))
}

//guide:end

//guide:begin logger
func newRuntime() (*actor.Runtime, error) {
	handler := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})
	return actor.NewRuntime(actor.WithSlog(slog.New(handler))) // or actor.WithLogger, which takes a zerolog.Logger
}

//guide:end

//guide:begin warning

// warnEarly must be called before anything else uses the runtime. The default is ten seconds.
func warnEarly(rt *actor.Runtime) {
	supervision.TreeOf(rt, supervision.WithTurnWarning(time.Second))
}

//guide:end

// Stuck waits for its caller, which waits for it.
type Stuck struct{ flavors.Root }

func (s *Stuck) RemoteStart(inv *flavors.Invocation, back *flavors.RemoteReference) (string, error) {
	return flavors.Call[string](inv.Context(), back, "back", s)
}

func (*Stuck) RemotePing() string { return "pong" }

// Back calls its caller.
type Back struct{ flavors.Referenceable }

func (*Back) RemoteBack(caller *flavors.RemoteReference) *actor.Deferred {
	return caller.CallRemote("ping")
}

// TestWarning finds a method that waits for its own object.
func TestWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := make(lineWriter, 16)
		rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(lines)))
		require.NoError(t, err)
		warnEarly(rt)
		pipe := broker.NewPipeListener()
		_, err = broker.ListenOn(rt, pipe, &Stuck{})
		require.NoError(t, err)
		sock, err := pipe.Dial(t.Context())
		require.NoError(t, err)
		conn, err := broker.NewClientConn(t.Context(), rt, sock)
		require.NoError(t, err)
		answer := conn.Root().CallRemote("start", &Back{})
		assert.Contains(t, <-lines, "a method holds up its object")
		conn.Abort(nil)
		_, err = answer.Await(t.Context())
		require.Error(t, err)
		require.NoError(t, shutdown(rt))
	})
}

// lineWriter passes on warnings.
type lineWriter chan string

func (w lineWriter) Write(line []byte) (int, error) {
	if strings.Contains(string(line), `"warn"`) {
		w <- string(line)
	}
	return len(line), nil
}

//guide:begin send

// report sends lines as fast as the peer reads them. It is for a goroutine; a method must not wait.
func report(ctx context.Context, sink *flavors.RemoteReference, lines iter.Seq[string]) error {
	for line := range lines {
		if err := flavors.Send(ctx, sink, "line", line); err != nil { // asks for no answer
			return err
		}
	}
	_, err := flavors.Start(ctx, sink, "end").Await(ctx) // asks for one
	return err
}

//guide:end

// Sink counts lines.
type Sink struct {
	flavors.Root
	bytes, lines int
}

func (s *Sink) RemoteLine(line string) { s.bytes, s.lines = s.bytes+len(line), s.lines+1 }
func (s *Sink) RemoteEnd()             {}

// TestReport sends more than may wait to be written.
func TestReport(t *testing.T) {
	sink := &Sink{}
	conn := dialPipe(t, sink)
	line := strings.Repeat("x", 500_000)
	err := report(t.Context(), conn.Root(), func(yield func(string) bool) {
		for range 100 {
			if !yield(line) {
				return
			}
		}
	})
	require.NoError(t, err)
	require.NoError(t, answered(sink.Do(func() {
		assert.Equal(t, 100, sink.lines)
		assert.Equal(t, 100*len(line), sink.bytes)
	})))
}

func answered(d *actor.Deferred) error {
	_, err := d.Await(context.Background())
	return err
}

//guide:begin metrics
func metrics(rt *actor.Runtime) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s := broker.StatsOf(rt)
		fmt.Fprintf(w, "pb_connections_open %d\n", s.Conns.Open)
		fmt.Fprintf(w, "pb_calls_in_total %d\n", s.CallsIn.Made)
		fmt.Fprintf(w, "pb_bytes_held %d\n", s.BytesHeld)
		for reason, n := range s.Refusals {
			fmt.Fprintf(w, "pb_refusals_total{reason=%q} %d\n", reason, n)
		}
	})
}

//guide:end

//guide:begin slowest

// slowest names the method of ours that takes longest for one call in a hundred.
func slowest(rt *actor.Runtime) (name string, p99 time.Duration) {
	for _, m := range broker.StatsOf(rt).MethodsIn {
		if d := m.Latency.Quantile(0.99); d > p99 {
			name, p99 = m.Type+"."+m.Method, d
		}
	}
	return name, p99
}

//guide:end

//guide:begin inspect

// listenInspector shows the program at http://127.0.0.1:8801 to the users of this machine.
func listenInspector(rt *actor.Runtime) (*inspect.Server, error) {
	return inspect.Listen(rt, "127.0.0.1:8801")
}

// mountInspector shows it in the application's own server, behind the application's authentication.
func mountInspector(rt *actor.Runtime, mux *http.ServeMux, staffOnly func(http.Handler) http.Handler) {
	mux.Handle("/debug/pb/", staffOnly(inspect.Handler(rt)))
}

//guide:end

//guide:begin shutdown
func shutdown(rt *actor.Runtime) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return rt.Close(ctx) // a StillRunningError names what did not end in time
}

//guide:end

// TestProduction calls through a limited listener and reads the metrics.
func TestProduction(t *testing.T) {
	rt, err := newRuntime()
	require.NoError(t, err)
	ln, err := listenLimited(rt, "pb://127.0.0.1:0", &Shop{})
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	_, err = flavors.Call[string](t.Context(), conn.Root(), "price", "plums")
	require.NoError(t, err)
	server := ln.Conns()[0]
	_, err = flavors.Call[string](t.Context(), conn.Root(), "price", make([]byte, 600_000), make([]byte, 600_000))
	require.Error(t, err, "a message beyond the limit")
	<-server.Done()
	web := httptest.NewServer(metrics(rt))
	defer web.Close()
	resp, err := web.Client().Get(web.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, string(text), `pb_refusals_total{reason="frame"} 1`)
	name, p99 := slowest(rt)
	assert.Equal(t, "Shop.price", name)
	assert.Positive(t, p99)
	require.NoError(t, shutdown(rt))
}

// TestInspector reads the inspector as staff and as somebody else.
func TestInspector(t *testing.T) {
	rt, err := newRuntime()
	require.NoError(t, err)
	if server, err := listenInspector(rt); err == nil { // The port may be in use.
		require.Equal(t, "http://127.0.0.1:8801", server.URL())
	}
	mux := http.NewServeMux()
	mountInspector(rt, mux, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, password, _ := r.BasicAuth(); password != "sesame" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	get := func(path, password string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.SetBasicAuth("ann", password)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	for _, path := range []string{"/debug/pb/", "/debug/pb/json", "/debug/pb/metrics"} {
		assert.Equal(t, http.StatusUnauthorized, get(path, "guess").Code)
		assert.Equal(t, http.StatusOK, get(path, "sesame").Code)
	}
	assert.Contains(t, get("/debug/pb/metrics", "sesame").Body.String(), "pb_connections 0")
	require.NoError(t, shutdown(rt))
}
