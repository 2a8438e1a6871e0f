package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/exampletest"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/require"
)

func TestBoth(t *testing.T) {
	s := exampletest.New(t)
	require.NoError(t, s.Run(run))
	s.Line("returning result: 3")
	s.Line("addition complete, result is 3")
	s.Line("subtraction result is -7")
	s.Line("counted to 2 with <remote ")
	s.Line("shutting down")
}

func TestLogShowsMilliseconds(t *testing.T) {
	const layout = "15:04:05.000"
	var out strings.Builder
	log := logger(&out, "server")
	for range 2 {
		out.Reset()
		before := time.Now()
		log.Info().Msg("now")
		after := time.Now()
		shown := out.String()[:len(layout)]
		require.GreaterOrEqual(t, shown, before.Format(layout))
		require.LessOrEqual(t, shown, after.Format(layout))
		time.Sleep(time.Millisecond) // another millisecond of the second
	}
}

func TestServerAndClient(t *testing.T) {
	s := exampletest.New(t)
	end := s.Start(run, "server", "-listen", "pb://127.0.0.1:0")
	require.NoError(t, s.Run(run, "client", "-connect", s.Line("listening ")))
	s.Line("subtraction result is -7")
	require.NoError(t, end())
}

func TestInspector(t *testing.T) {
	s := exampletest.New(t)
	end := s.Start(run, "server", "-listen", "pb://127.0.0.1:0", "-inspect", "127.0.0.1:0")
	url := s.Line("listening ")
	page := s.Line("inspector ")
	require.Regexp(t, `^http://127\.0\.0\.1:[0-9]+$`, page)
	require.NoError(t, s.Run(run, "client", "-connect", url))
	resp, err := http.Get(page + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), `pb_method_calls_total{direction="in",type="Calculator",method="add"} 1`)
	require.NoError(t, end())
	http.DefaultClient.CloseIdleConnections()
	require.ErrorContains(t, s.Run(run, "server", "-listen", "pb://127.0.0.1:0", "-inspect", "nowhere"), "nowhere")
}

// adder is the root of a stock server of the same name.
type adder struct{ flavors.Root }

func (*adder) RemoteAdd(one, two int) int      { return one + two }
func (*adder) RemoteSubtract(one, two int) int { return one - two }

func TestServerWithoutCounters(t *testing.T) {
	s := exampletest.New(t)
	rt := pbtest.NewRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &adder{})
	require.NoError(t, err)
	require.NoError(t, s.Run(run, "client", "-connect", ln.URL()))
	s.Line("shutting down")
}

func TestInvalidArguments(t *testing.T) {
	s := exampletest.New(t)
	require.ErrorContains(t, s.Run(run, "nonsense"), `there is no "nonsense"`)
	require.ErrorContains(t, s.Run(run, "server", "-listen", "gopher://x"), "gopher")
	require.ErrorContains(t, s.Run(run, "client", "-connect", "pb://"), "pb://")
	for _, end := range []string{"server", "client"} {
		require.ErrorContains(t, s.Run(run, end, "-nonsense"), "-nonsense")
	}
}
