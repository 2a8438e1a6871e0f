package code

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
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
	log := zerolog.New(os.Stderr).Level(zerolog.InfoLevel).With().Timestamp().Logger()
	return actor.NewRuntime(actor.WithLogger(log))
}

//guide:end

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
	_, err = flavors.Call[string](t.Context(), conn.Root(), "price", make([]byte, 600_000), make([]byte, 600_000))
	require.Error(t, err, "a message beyond the limit")
	<-conn.Done()
	web := httptest.NewServer(metrics(rt))
	defer web.Close()
	resp, err := web.Client().Get(web.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, string(text), `pb_refusals_total{reason="frame"} 1`)
	require.NoError(t, shutdown(rt))
}
