package child

import (
	"encoding/json"
	"io"
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// spoken is a child in this process, to be asked over pipes as compare asks its processes.
type spoken struct {
	t     *testing.T
	in    *io.PipeWriter
	write *json.Encoder
	read  *json.Decoder
	ended chan error
}

func speak(t *testing.T, life func(in io.Reader, out io.Writer) error) (*spoken, Reply) {
	t.Helper()
	in, requests := io.Pipe()
	replies, out := io.Pipe()
	s := &spoken{t: t, in: requests, write: json.NewEncoder(requests), read: json.NewDecoder(replies), ended: make(chan error, 1)}
	go func() { s.ended <- life(in, out) }()
	var ready Reply
	require.NoError(t, s.read.Decode(&ready))
	return s, ready
}

func (s *spoken) ask(r Request) Reply {
	s.t.Helper()
	require.NoError(s.t, s.write.Encode(r))
	var reply Reply
	require.NoError(s.t, s.read.Decode(&reply))
	return reply
}

func (s *spoken) end() {
	s.t.Helper()
	require.NoError(s.t, s.in.Close())
	require.NoError(s.t, <-s.ended)
}

func TestServerAndClientDoWhatTheyAreAsked(t *testing.T) {
	for _, name := range []string{"ours", "netrpc"} {
		t.Run(name, func(t *testing.T) {
			system, ok := systems.ByName(name)
			require.True(t, ok)
			server, ready := speak(t, func(in io.Reader, out io.Writer) error { return Serve(system, in, out) })
			require.NotEmpty(t, ready.Addr)
			client, _ := speak(t, func(in io.Reader, out io.Writer) error { return Call(system, ready.Addr, in, out) })

			require.Empty(t, client.ask(Request{Op: OpOpen, Conns: 2, Callers: 4}).Error)
			assert.Contains(t, client.ask(Request{Op: OpOpen, Conns: 1}).Error, "close them first")
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
			assert.Contains(t, server.ask(Request{Op: OpRun}).Error, `does not know "run"`)
			assert.Contains(t, client.ask(Request{Op: "dance"}).Error, `does not know "dance"`)
			client.end()
			server.end()
		})
	}
}

func TestClientSaysWhatItCannotDo(t *testing.T) {
	system, ok := systems.ByName("netrpc")
	require.True(t, ok)
	client, _ := speak(t, func(in io.Reader, out io.Writer) error { return Call(system, "127.0.0.1:1", in, out) })
	assert.Contains(t, client.ask(Request{Op: OpOpen, Conns: 1, Callers: 1}).Error, "refused")
	assert.Contains(t, client.ask(Request{Op: OpHold, Count: 1}).Error, "no connection yet")
	assert.Contains(t, client.ask(Request{Op: OpTour}).Error, "nothing has been exported")
	client.end()
}
