package fault

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// End is how a connection fails.
type End uint8

// The ways in which a connection fails.
const (
	Whole     End = iota // it does not fail
	Drop                 // closed in both directions, possibly in the middle of a write
	Reset                // closed with a TCP reset where the socket supports it; data in flight is lost
	HalfClose            // the write side is closed; later writes are discarded, reading continues
	Blackhole            // everything is discarded in both directions; neither side gets an error
	ends
)

func (e End) String() string {
	if e < ends {
		return [ends]string{"whole", "drop", "reset", "half-close", "blackhole"}[e]
	}
	return fmt.Sprintf("end %d", uint8(e))
}

// Plan says how one connection behaves.
type Plan struct {
	Seed  uint64        // seeds the piece sizes and the delays
	Piece int           // maximum bytes per read or write of the wrapped connection; 0 means no limit
	Delay time.Duration // maximum pause before a read or write, for the first 500 in each direction; 0 means none
	End   End           // how the connection fails
	After int64         // End happens after this many bytes, reads and writes together
}

// String describes the plan for failure messages.
func (p Plan) String() string {
	return fmt.Sprintf("pieces of %d, delays of %v, %v after %d bytes (seed %d)",
		p.Piece, p.Delay, p.End, p.After, p.Seed)
}

// Draw draws a plan from r with delays up to delay. One in three plans is [Whole]. The others fail within the first
// 64 KiB, most of them within the first 1 KiB, where the negotiation and the first calls are.
func Draw(r *rand.Rand, delay time.Duration) Plan {
	p := Plan{Seed: r.Uint64()}
	if r.IntN(2) == 0 {
		p.Piece = 1 + r.IntN(200)
	}
	if delay > 0 && r.IntN(2) == 0 {
		p.Delay = time.Duration(1 + r.Int64N(int64(delay)))
	}
	if r.IntN(3) > 0 {
		p.End = Drop + End(r.IntN(int(ends-Drop)))
		p.After = r.Int64N(64 << (10 * r.IntN(2)))
		if r.IntN(2) == 0 {
			p.After = r.Int64N(1 << 10)
		}
	}
	return p
}

// Conn wraps a connection and fails it according to a [Plan]. Deadlines and addresses are those of the wrapped
// connection.
type Conn struct {
	net.Conn
	plan Plan

	passed  atomic.Int64 // bytes read and written
	failing sync.Once
	failed  atomic.Bool

	// One for each direction: concurrent reads and writes must not disturb each other's random sequence.
	reading, writing pacer
}

// pacer draws the piece sizes and pauses of one direction.
type pacer struct {
	mu     sync.Mutex
	r      *rand.Rand
	pauses int // made so far
}

// maxPauses bounds the pauses in one direction. A pause takes at least a millisecond, so a page sent in pieces of one
// byte would otherwise take minutes.
const maxPauses = 500

// New wraps sock so that it behaves according to plan.
func New(sock net.Conn, plan Plan) *Conn {
	c := &Conn{Conn: sock, plan: plan}
	c.reading.r = rand.New(rand.NewPCG(plan.Seed, 1)) //nolint:gosec // must be reproducible, not secret
	c.writing.r = rand.New(rand.NewPCG(plan.Seed, 2)) //nolint:gosec // must be reproducible, not secret
	return c
}

// next pauses if the plan says so, then returns the size of the next piece, at most n bytes.
func (c *Conn) next(p *pacer, n int) int {
	p.mu.Lock()
	var pause time.Duration
	if c.plan.Piece > 0 {
		n = min(n, 1+p.r.IntN(c.plan.Piece))
	}
	if c.plan.Delay > 0 && p.pauses < maxPauses {
		p.pauses++
		pause = time.Duration(p.r.Int64N(int64(c.plan.Delay)))
	}
	p.mu.Unlock()
	if pause > 0 {
		time.Sleep(pause)
	}
	return n
}

// left returns how many bytes may pass before the connection fails, or -1 if it never fails.
func (c *Conn) left() int64 {
	if c.plan.End == Whole {
		return -1
	}
	return max(0, c.plan.After-c.passed.Load())
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return c.Conn.Read(b)
	}
	n := c.next(&c.reading, len(b))
	if left := c.left(); left == 0 {
		c.fail()
		return c.readFailed(b[:n])
	} else if left > 0 {
		n = int(min(int64(n), left))
	}
	n, err := c.Conn.Read(b[:n])
	c.passed.Add(int64(n))
	return n, err
}

// readFailed is Read after the connection has failed.
func (c *Conn) readFailed(b []byte) (int, error) {
	if c.plan.End != Blackhole {
		return c.Conn.Read(b)
	}
	for {
		if _, err := c.Conn.Read(b); err != nil {
			if err == io.EOF {
				return c.hideEOF()
			}
			return 0, err
		}
	}
}

// hideEOF blocks until a deadline passes or Close is called: a blackhole also swallows the end of the stream.
func (c *Conn) hideEOF() (int, error) {
	for {
		if _, err := c.Conn.Read(make([]byte, 1)); err != io.EOF {
			return 0, err
		}
		time.Sleep(eofPoll)
	}
}

// eofPoll is the interval at which hideEOF checks for Close and deadlines.
const eofPoll = 5 * time.Millisecond

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	written := 0
	for {
		if c.left() == 0 {
			c.fail()
			return c.writeFailed(b, written)
		}
		n := c.next(&c.writing, len(b)-written)
		if left := c.left(); left >= 0 {
			n = int(min(int64(n), left))
		}
		n, err := c.Conn.Write(b[written : written+n])
		c.passed.Add(int64(n))
		written += n
		if err != nil || written == len(b) {
			return written, err
		}
	}
}

// writeFailed is Write after the connection has failed. With Blackhole and HalfClose it appears to succeed.
func (c *Conn) writeFailed(b []byte, written int) (int, error) {
	switch c.plan.End {
	case Blackhole, HalfClose:
		return len(b), nil
	default:
		return written, &net.OpError{Op: "write", Net: "fault", Err: os.ErrClosed}
	}
}

// CloseWrite closes the write side, or the whole connection if the wrapped one cannot be half-closed.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// fail carries out the planned failure, once.
func (c *Conn) fail() {
	c.failing.Do(func() {
		c.failed.Store(true)
		switch c.plan.End {
		case Reset:
			if tcp, ok := c.Conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		case Drop:
			_ = c.Close()
		case HalfClose:
			_ = c.CloseWrite()
		}
	})
}

// Failed reports whether the planned failure has happened.
func (c *Conn) Failed() bool { return c.failed.Load() }

// Listener wraps each connection that it accepts in a [Conn].
type Listener struct {
	net.Listener
	// Plan returns the plan of the next connection. It is called by one Accept at a time.
	Plan func() Plan
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	sock, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return New(sock, l.Plan()), nil
}
