package fault_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/fault"
)

// pair returns both ends of a TCP connection; the first fails according to plan.
func pair(t *testing.T, plan fault.Plan) (failing *fault.Conn, other *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	out, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	in, err := (&fault.Listener{Listener: ln, Plan: func() fault.Plan { return plan }}).Accept()
	require.NoError(t, err)
	t.Cleanup(func() { in.Close(); out.Close() })
	return in.(*fault.Conn), out.(*net.TCPConn)
}

func TestWriterFailsAtPlannedByte(t *testing.T) {
	data := make([]byte, 10_000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for end := fault.Whole; end <= fault.Blackhole; end++ {
		t.Run(end.String(), func(t *testing.T) {
			plan := fault.Plan{Seed: 1, Piece: 100, Delay: time.Microsecond, End: end, After: 3210}
			failing, other := pair(t, plan)
			wrote := make(chan error, 1)
			go func() {
				_, err := failing.Write(data)
				if end == fault.Whole {
					err = errors.Join(err, failing.CloseWrite())
				}
				wrote <- err
			}()
			if end == fault.Blackhole {
				got := make([]byte, plan.After)
				_, err := io.ReadFull(other, got)
				require.NoError(t, err)
				require.NoError(t, <-wrote, "the writer gets no error")
				assert.Equal(t, data[:plan.After], got)
				require.NoError(t, failing.SetReadDeadline(time.Now()))
				_, err = failing.Read(got)
				require.ErrorIs(t, err, os.ErrDeadlineExceeded, "deadlines still work")
				assert.True(t, failing.Failed())
				return
			}
			got, err := io.ReadAll(other)
			writeErr := <-wrote
			switch end {
			case fault.Whole:
				require.NoError(t, errors.Join(err, writeErr))
				assert.Equal(t, data, got)
				return
			case fault.Reset:
				assert.ErrorIs(t, writeErr, os.ErrClosed)
				if err != nil { // A reset may lose data in flight.
					assert.ErrorIs(t, err, syscall.ECONNRESET)
				}
				assert.True(t, bytes.HasPrefix(data, got))
				return
			case fault.Drop:
				assert.ErrorIs(t, writeErr, os.ErrClosed)
			case fault.HalfClose:
				require.NoError(t, writeErr)
				_, err := other.Write([]byte("still heard"))
				require.NoError(t, err)
				require.NoError(t, other.CloseWrite())
				rest, err := io.ReadAll(failing)
				require.NoError(t, err)
				assert.Equal(t, "still heard", string(rest))
			}
			require.NoError(t, err)
			assert.Equal(t, data[:plan.After], got)
		})
	}
}

func TestDrawIsReproducible(t *testing.T) {
	seen := map[fault.End]int{}
	for seed := range uint64(200) {
		first := fault.Draw(rand.New(rand.NewPCG(seed, 0)), time.Second)
		require.Equal(t, first, fault.Draw(rand.New(rand.NewPCG(seed, 0)), time.Second))
		seen[first.End]++
	}
	assert.Len(t, seen, 5, "every kind of end is drawn: %v", seen)
}

func TestBlackholeHidesEOF(t *testing.T) {
	failing, other := pair(t, fault.Plan{End: fault.Blackhole})
	require.NoError(t, other.Close())
	read := make(chan error, 1)
	go func() {
		_, err := failing.Read(make([]byte, 1))
		read <- err
	}()
	require.NoError(t, failing.Close())
	require.ErrorIs(t, <-read, net.ErrClosed)
}

func TestReaderFailsAtPlannedByte(t *testing.T) {
	data := []byte("sent by the end that does not fail")
	for end := fault.Whole; end <= fault.Blackhole; end++ {
		t.Run(end.String(), func(t *testing.T) {
			failing, other := pair(t, fault.Plan{Seed: 3, Piece: 5, End: end, After: 10})
			_, err := other.Write(data)
			require.NoError(t, err)
			require.NoError(t, other.CloseWrite())
			switch end {
			case fault.Whole, fault.HalfClose: // A half-close leaves the read side open.
				got, err := io.ReadAll(failing)
				require.NoError(t, err)
				assert.Equal(t, data, got)
			case fault.Drop, fault.Reset:
				got, err := io.ReadAll(failing)
				require.ErrorIs(t, err, net.ErrClosed)
				assert.Equal(t, data[:10], got)
			case fault.Blackhole:
				got := make([]byte, 10)
				_, err := io.ReadFull(failing, got)
				require.NoError(t, err)
				assert.Equal(t, data[:10], got)
				read := make(chan error, 1)
				go func() {
					n, err := failing.Read(make([]byte, 100))
					assert.Zero(t, n)
					read <- err
				}()
				// The rest and the EOF are swallowed; a deadline still works.
				require.NoError(t, failing.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
				require.ErrorIs(t, <-read, os.ErrDeadlineExceeded)
			}
			assert.Equal(t, end != fault.Whole, failing.Failed())
		})
	}
	failing, _ := pair(t, fault.Plan{End: fault.Drop, After: 1})
	n, err := failing.Read(nil)
	require.NoError(t, err)
	assert.Zero(t, n)
	assert.False(t, failing.Failed(), "an empty read does not fail the connection")
}

// TestHalfCloseWithoutCloseWrite uses a pipe, which has no CloseWrite, so a half-close closes it entirely.
func TestHalfCloseWithoutCloseWrite(t *testing.T) {
	here, there := net.Pipe()
	failing := fault.New(here, fault.Plan{End: fault.HalfClose})
	n, err := failing.Write([]byte("lost"))
	require.NoError(t, err, "the writer gets no error")
	assert.Equal(t, 4, n)
	_, err = there.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestAcceptOnClosedListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	plan := func() fault.Plan { t.Error("Plan called without a connection"); return fault.Plan{} }
	_, err = (&fault.Listener{Listener: ln, Plan: plan}).Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestPlanString(t *testing.T) {
	plan := fault.Plan{Seed: 9, Piece: 5, Delay: time.Second, End: fault.Reset, After: 12}
	assert.Equal(t, "pieces of 5, delays of 1s, reset after 12 bytes (seed 9)", plan.String())
	assert.Equal(t, "end 200", fault.End(200).String())
}
