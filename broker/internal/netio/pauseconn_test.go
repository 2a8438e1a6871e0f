package netio

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lateConn reports the first missed deadline an hour late.
type lateConn struct {
	net.Conn
	noticed chan struct{}
}

func (c *lateConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && c.noticed != nil {
		time.Sleep(time.Hour)
		close(c.noticed)
		c.noticed = nil
	}
	return n, err
}

func TestPausedWriteDeadline(t *testing.T) {
	for _, set := range []func(net.Conn, time.Time) error{net.Conn.SetDeadline, net.Conn.SetWriteDeadline} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			noticed := make(chan struct{})
			sock := DiscountPauses(&lateConn{here, noticed})
			defer here.Close()
			require.NoError(t, set(sock, time.Now().Add(20*time.Second)))
			ended := make(chan error, 1)
			go func() {
				_, err := sock.Write([]byte("all"))
				ended <- err
			}()
			one := make([]byte, 1)
			_, err := there.Read(one)
			require.NoError(t, err)
			<-noticed
			rest := make([]byte, 2)
			_, err = there.Read(rest)
			require.NoError(t, err)
			assert.Equal(t, "all", string(one)+string(rest))
			require.NoError(t, <-ended)

			// Without a pause the deadline is exact.
			start := time.Now()
			require.NoError(t, set(sock, start.Add(20*time.Second)))
			_, err = sock.Write([]byte("more"))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			assert.Equal(t, 20*time.Second, time.Since(start))
			for _, over := range []time.Time{start, time.Unix(1, 0)} {
				require.NoError(t, set(sock, over))
				_, err = sock.Write([]byte("more"))
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			}
		})
	}
}
