package systems

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/load"
)

// rawTCPPolled is rawTCP with readers that poll an empty socket for a while before they sleep, as a connection of ours
// does. Comparing it with ours shows the cost of the protocol; comparing rawTCP with it shows what polling saves.
func rawTCPPolled() System {
	return System{
		Name:      "rawtcp-polled",
		OneCaller: true,
		Serve:     func() (string, error) { return serveRaw(polled) },
		Dial:      func(ctx context.Context, addr string) (load.Client, error) { return dialRaw(ctx, addr, polled) },
	}
}

// pollLimit is how long a read polls. It is the default of ours.
const pollLimit = 100 * time.Microsecond

// polledConn is a net.Conn whose Read polls before it sleeps.
type polledConn struct {
	net.Conn
	raw syscall.RawConn
}

func polled(conn net.Conn) (net.Conn, error) {
	sock, ok := conn.(syscall.Conn)
	if !ok {
		return nil, errors.New("the connection has no socket to poll")
	}
	raw, err := sock.SyscallConn()
	return &polledConn{conn, raw}, err
}

// Read implements net.Conn.
func (c *polledConn) Read(p []byte) (n int, err error) {
	var since time.Time
	for {
		var errno error
		if err := c.raw.Read(func(fd uintptr) bool {
			n, errno = syscall.Read(int(fd), p)
			return true
		}); err != nil {
			return 0, err
		}
		switch {
		case errno == nil && n == 0 && len(p) > 0:
			return 0, io.EOF
		case errno == nil:
			return n, nil
		case !errors.Is(errno, syscall.EAGAIN) && !errors.Is(errno, syscall.EINTR):
			return 0, errno
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > pollLimit:
			return c.Conn.Read(p)
		}
		runtime.Gosched()
	}
}
