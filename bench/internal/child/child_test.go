package child

import (
	"encoding/json"
	"io"
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// localChild is a child that runs in this process and is asked over pipes.
type localChild struct {
	t     *testing.T
	in    *io.PipeWriter
	write *json.Encoder
	read  *json.Decoder
	ended chan error
}

// startLocal starts a child in this process and returns its first reply.
func startLocal(t *testing.T, run func(in io.Reader, out io.Writer) error) (*localChild, Reply) {
	t.Helper()
	in, requests := io.Pipe()
	replies, out := io.Pipe()
	s := &localChild{t: t, in: requests, ended: make(chan error, 1)}
	s.write, s.read = json.NewEncoder(requests), json.NewDecoder(replies)
	go func() { s.ended <- run(in, out) }()
	var ready Reply
	require.NoError(t, s.read.Decode(&ready))
	return s, ready
}

func startServer(t *testing.T, s systems.System) (server *localChild, ready Reply) {
	t.Helper()
	return startLocal(t, func(in io.Reader, out io.Writer) error { return RunServer(s, in, out) })
}

func startClient(t *testing.T, s systems.System, addr string) *localChild {
	t.Helper()
	client, _ := startLocal(t, func(in io.Reader, out io.Writer) error { return RunClient(s, addr, in, out) })
	return client
}

func (s *localChild) ask(r Request) Reply {
	s.t.Helper()
	require.NoError(s.t, s.write.Encode(r))
	var reply Reply
	require.NoError(s.t, s.read.Decode(&reply))
	return reply
}

func (s *localChild) end() {
	s.t.Helper()
	require.NoError(s.t, s.in.Close())
	require.NoError(s.t, <-s.ended)
}

func TestServerAndClient(t *testing.T) {
	for _, name := range []string{"ours", "netrpc"} {
		t.Run(name, func(t *testing.T) {
			system, ok := systems.ByName(name)
			require.True(t, ok)
			server, ready := startServer(t, system)
			require.NotEmpty(t, ready.Addr)
			client := startClient(t, system, ready.Addr)

			require.Empty(t, client.ask(Request{Op: OpOpen, Conns: 2, Callers: 4}).Error)
			assert.Contains(t, client.ask(Request{Op: OpOpen, Conns: 1}).Error, "close the connections first")
			run := client.ask(Request{Op: OpRun, Millis: 20})
			require.Empty(t, run.Error)
			assert.Positive(t, run.Calls)
			assert.Positive(t, run.Seconds)
			assert.GreaterOrEqual(t, run.P99, run.P50)
			require.Empty(t, client.ask(Request{Op: OpClose}).Error)

			require.Empty(t, client.ask(Request{Op: OpOpen, Conns: 1, Callers: 1, Payload: 1000}).Error)
			assert.Positive(t, client.ask(Request{Op: OpRun, Millis: 10}).Calls)
			require.Empty(t, client.ask(Request{Op: OpClose}).Error)

			used := server.ask(Request{Op: OpUsage, Collect: true})
			assert.Positive(t, used.CPU)
			assert.Positive(t, used.Heap)
			assert.Contains(t, server.ask(Request{Op: OpRun}).Error, `unknown server operation "run"`)
			assert.Contains(t, client.ask(Request{Op: "dance"}).Error, `unknown client operation "dance"`)
			client.end()
			server.end()
		})
	}
}

func TestClientErrors(t *testing.T) {
	system, ok := systems.ByName("netrpc")
	require.True(t, ok)
	client := startClient(t, system, "127.0.0.1:1")
	assert.Contains(t, client.ask(Request{Op: OpOpen, Conns: 1, Callers: 1}).Error, "refused")
	assert.Contains(t, client.ask(Request{Op: OpHold, Count: 1}).Error, "not connected")
	assert.Contains(t, client.ask(Request{Op: OpCallAll}).Error, "no objects have been exported")
	client.end()
}
