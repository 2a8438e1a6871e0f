package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// closedInOrder is the application error code of a connection that was closed on purpose.
const closedInOrder quic.ApplicationErrorCode = 0

// closeTime is how long a closed connection waits for the peer to take what was written and to close too.
const closeTime = 3 * time.Second

// conn is a QUIC connection with one stream, as a net.Conn.
type conn struct {
	quic   *quic.Conn
	verify bool // begin waits for the handshake
	// release is called once when the QUIC connection has ended; it may be nil.
	release func()

	once     sync.Once // for begin
	stream   *quic.Stream
	beginErr error

	mu      sync.Mutex
	ended   bool // our direction has ended
	eof     bool // the peer's direction has ended
	eofLast bool // … after ours
	closed  bool

	// Guarded by deadlines: the stream while it is being opened, and the deadlines that it will have.
	deadlines                   sync.Mutex
	readDeadline, writeDeadline time.Time
}

// newConn returns a connection over a stream, or over one that it opens with its first use.
func newConn(qc *quic.Conn, stream *quic.Stream, release func()) *conn {
	c := &conn{quic: qc, release: release}
	if stream != nil {
		c.once.Do(func() { c.stream = stream })
	}
	if release != nil {
		context.AfterFunc(qc.Context(), release)
	}
	return c
}

// begin waits until the connection can be used.
func (c *conn) begin() error {
	c.once.Do(func() {
		if c.verify {
			select {
			case <-c.quic.HandshakeComplete():
			case <-c.quic.Context().Done():
				c.beginErr = errorOf(context.Cause(c.quic.Context()))
				return
			}
		}
		stream, err := c.quic.OpenStream()
		if err != nil {
			c.beginErr = errorOf(err)
			return
		}
		c.deadlines.Lock()
		defer c.deadlines.Unlock()
		c.stream = stream
		_ = stream.SetReadDeadline(c.readDeadline)
		_ = stream.SetWriteDeadline(c.writeDeadline)
	})
	return c.beginErr
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	n, err := c.stream.Read(p)
	if err != nil {
		if err = errorOf(err); errors.Is(err, io.EOF) {
			c.readToEnd()
		}
	}
	return n, err
}

// readToEnd notes that the peer's direction has ended.
func (c *conn) readToEnd() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.eof {
		c.eof, c.eofLast = true, c.ended
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	n, err := c.stream.Write(p)
	return n, errorOf(err)
}

// CloseWrite ends our direction behind what was written.
func (c *conn) CloseWrite() error {
	if err := c.begin(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil
	}
	c.ended = true
	return errorOf(c.stream.Close())
}

// Close implements net.Conn. What was written reaches the peer if it is there: the QUIC connection, which would drop
// it, is closed when both directions have ended, by the side that learns of it last, or after closeTime.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	c.mu.Unlock()
	if !c.isOpen() || c.CloseWrite() != nil {
		return errorOf(c.quic.CloseWithError(closedInOrder, ""))
	}
	c.mu.Lock()
	last, eof := c.eofLast, c.eof
	c.mu.Unlock()
	if last {
		return errorOf(c.quic.CloseWithError(closedInOrder, ""))
	}
	_ = c.stream.SetReadDeadline(time.Now()) // for a Read that is under way
	go c.closeLater(eof)
	return nil
}

// isOpen reports whether the connection has its stream. One that waits for a handshake has not.
func (c *conn) isOpen() bool {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	return c.stream != nil
}

// closeLater closes the QUIC connection when the peer has ended its direction too. If it had done so before, it is the
// peer that learns of the end last and closes.
func (c *conn) closeLater(eof bool) {
	timer := time.NewTimer(closeTime)
	defer timer.Stop()
	if !eof {
		_ = c.stream.SetReadDeadline(time.Now().Add(closeTime))
		if _, err := io.Copy(io.Discard, c.stream); err == nil {
			timer.Reset(0)
		}
	}
	select {
	case <-c.quic.Context().Done():
	case <-timer.C:
	}
	_ = c.quic.CloseWithError(closedInOrder, "")
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.quic.LocalAddr() }

// RemoteAddr implements net.Conn. It follows the peer when its address changes.
func (c *conn) RemoteAddr() net.Addr { return c.quic.RemoteAddr() }

// ConnectionState returns the state of the TLS handshake.
func (c *conn) ConnectionState() tls.ConnectionState { return c.quic.ConnectionState().TLS }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if c.stream == nil {
		c.readDeadline = t
		return nil
	}
	return c.stream.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if c.stream == nil {
		c.writeDeadline = t
		return nil
	}
	return c.stream.SetWriteDeadline(t)
}

// errorOf returns err as other network connections would have it: io.EOF if the peer has closed in order, and
// net.ErrClosed if this side has.
func errorOf(err error) error {
	var application *quic.ApplicationError
	if errors.As(err, &application) && application.ErrorCode == closedInOrder {
		if application.Remote {
			return io.EOF
		}
		return net.ErrClosed
	}
	return err
}
