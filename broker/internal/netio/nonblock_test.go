package netio

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pair connects two sockets.
func pair(t *testing.T, network, address string) (here, there net.Conn) {
	t.Helper()
	ln, err := net.Listen(network, address)
	require.NoError(t, err)
	defer ln.Close()
	here, err = net.Dial(network, ln.Addr().String())
	require.NoError(t, err)
	there, err = ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = here.Close()
		_ = there.Close()
	})
	return here, there
}

func TestWriteNow(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		t.Run(network, func(t *testing.T) {
			here, there := pair(t, network, address)
			raw := NonBlockingOf(here)
			require.NotNil(t, raw)
			all := make([]byte, 64<<20)
			for i := range all {
				all[i] = byte(i % 251)
			}
			require.NoError(t, here.SetWriteDeadline(time.Unix(1, 0)))
			written, err := raw.WriteNow(all[:1])
			require.NoError(t, err, "a deadline is for writes that wait")
			require.NoError(t, here.SetWriteDeadline(time.Time{}))
			for {
				n, err := raw.WriteNow(all[written:])
				require.NoError(t, err)
				if n == 0 {
					break // The peer does not read, and WriteNow has not blocked.
				}
				written += n
			}
			require.Less(t, written, len(all))

			got := make(chan []byte, 1)
			go func() {
				b, _ := io.ReadAll(there)
				got <- b
			}()
			n, err := here.Write(all[written:])
			require.NoError(t, err)
			assert.Equal(t, len(all), written+n)
			require.NoError(t, here.Close())
			assert.True(t, bytes.Equal(all, <-got))
			_, err = raw.WriteNow(all)
			assert.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

// testRoom counts how often its room was taken and given back.
type testRoom struct {
	b             []byte
	taken, parked int
}

func (r *testRoom) Take() []byte { r.taken++; return r.b }
func (r *testRoom) Park()        { r.parked++ }

func TestNonBlockingRead(t *testing.T) {
	here, there := pair(t, "tcp", "127.0.0.1:0")
	raw := NonBlockingOf(here)
	buf := make([]byte, 10)
	room := &testRoom{b: buf}

	tries := 0
	n, err := raw.Read(room, func() bool {
		tries++
		if tries == 3 {
			_, err := there.Write([]byte("abc"))
			assert.NoError(t, err)
		}
		return true
	})
	require.NoError(t, err)
	assert.Equal(t, "abc", string(buf[:n]))
	assert.GreaterOrEqual(t, tries, 3)
	assert.Zero(t, room.parked)
	assert.Equal(t, 1, room.taken)

	// Without a retry it parks until there is data.
	n, err = raw.Read(room, func() bool {
		go func() { _, _ = there.Write([]byte("de")) }()
		return false
	})
	require.NoError(t, err)
	assert.Equal(t, "de", string(buf[:n]))
	assert.Equal(t, 1, room.parked)
	assert.Equal(t, 3, room.taken, "once more after it was parked")

	require.NoError(t, here.SetReadDeadline(time.Unix(1, 0)))
	_, err = raw.Read(room, nil)
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, here.SetReadDeadline(time.Time{}))

	_, err = there.Write([]byte("f"))
	require.NoError(t, err)
	require.NoError(t, there.Close())
	n, err = raw.Read(room, nil)
	require.NoError(t, err)
	assert.Equal(t, "f", string(buf[:n]))
	_, err = raw.Read(room, nil)
	assert.ErrorIs(t, err, io.EOF)
	require.NoError(t, here.Close())
	_, err = raw.Read(room, nil)
	assert.ErrorIs(t, err, net.ErrClosed)
}

func TestNonBlockingReset(t *testing.T) {
	here, there := pair(t, "tcp", "127.0.0.1:0")
	raw := NonBlockingOf(here)
	require.NoError(t, there.(*net.TCPConn).SetLinger(0))
	require.NoError(t, there.Close())
	_, err := raw.Read(&testRoom{b: make([]byte, 1)}, nil)
	assert.ErrorContains(t, err, "read: connection reset")
	_, err = raw.WriteNow([]byte("x"))
	assert.ErrorContains(t, err, "write: broken pipe")
}

// The Read and Write of a wrapper must not be bypassed: it may count, delay or encrypt.
func TestNonBlockingOfWrapper(t *testing.T) {
	here, _ := pair(t, "tcp", "127.0.0.1:0")
	assert.Nil(t, NonBlockingOf(struct{ *net.TCPConn }{here.(*net.TCPConn)}))
	assert.Nil(t, NonBlockingOf(tls.Client(here, &tls.Config{InsecureSkipVerify: true}))) //nolint:gosec // nothing is said
	a, b := net.Pipe()
	assert.Nil(t, NonBlockingOf(a))
	_ = a.Close()
	_ = b.Close()
}
