package wire

import (
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Patience is how long the peer waits for what it wants before the test has failed; nothing is timed by it.
const Patience = 60 * time.Second

// Peer is one end of a connection. It fails its test by itself and belongs to the test's goroutine.
type Peer struct {
	t       testing.TB
	conn    net.Conn
	profile banana.Profile
	scanner banana.Scanner
	buf     []byte
	vars    map[string]banana.Expr
	ignored []banana.Expr
	idle    int64 // request ids of WantIdle, far above any that a test would write
}

// New takes over a connection and closes it when the test ends.
func New(t testing.TB, conn net.Conn) *Peer {
	t.Helper()
	p := &Peer{t: t, conn: conn, vars: map[string]banana.Expr{}, idle: 1 << 30}
	p.scanner.Init(banana.ProfileNone, banana.Limits{})
	t.Cleanup(func() { conn.Close() })
	return p
}

// Connect dials a server on TCP.
func Connect(t testing.TB, addr string) *Peer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, Patience)
	if err != nil {
		t.Fatalf("wire: %v", err)
	}
	return New(t, conn)
}

// Listen opens a port on the loopback, closed when the test ends.
func Listen(t testing.TB) *net.TCPListener {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatalf("wire: %v", err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// Accept waits for a client.
func Accept(t testing.TB, listener *net.TCPListener) *Peer {
	t.Helper()
	if err := listener.SetDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatalf("wire: %v", err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatalf("wire: nobody connects: %v", err)
	}
	return New(t, conn)
}

// Speak changes the profile of what follows, in both directions.
func (p *Peer) Speak(profile banana.Profile) {
	p.profile = profile
	p.scanner.SetProfile(profile)
}

// Join goes through the opening as a client that chooses the profile pb.
func (p *Peer) Join() {
	p.t.Helper()
	p.Want(`[pb none]`)
	p.Write(`pb`)
	p.Speak(banana.ProfilePB)
	p.Write(`[version 6]`)
	p.Want(`[version 6]`)
}

// Host goes through the opening as a server, with a client that chooses the profile pb.
func (p *Peer) Host() {
	p.t.Helper()
	p.Write(`[pb none]`)
	p.Want(`pb`)
	p.Speak(banana.ProfilePB)
	p.Write(`[version 6]`)
	p.Want(`[version 6]`)
}

// Write sends expressions, each its own argument, in one go.
func (p *Peer) Write(texts ...string) {
	p.t.Helper()
	var b []byte
	for _, text := range texts {
		e, err := Parse(text)
		if err == nil {
			e, err = fill(e, p.vars)
		}
		if err == nil {
			b, err = banana.AppendExpr(b, p.profile, e, banana.Limits{Depth: 100000})
		}
		if err != nil {
			p.t.Fatalf("wire: cannot write %s: %v", text, err)
		}
	}
	p.WriteBytes(b)
}

// WriteBytes sends bytes as they are.
func (p *Peer) WriteBytes(b []byte) {
	p.t.Helper()
	if err := p.conn.SetWriteDeadline(time.Now().Add(Patience)); err != nil {
		p.t.Fatalf("wire: %v", err)
	}
	// For whoever uses the connection beside the peer.
	defer func() { _ = p.conn.SetWriteDeadline(time.Time{}) }()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatalf("wire: cannot write % x: %v", b, err)
	}
}

// Want wants these expressions to be the next ones to arrive.
func (p *Peer) Want(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		want, err := Parse(text)
		if err != nil {
			p.t.Fatal(err)
		}
		got := p.next(text)
		if err := match(want, got, p.vars); err != nil {
			p.t.Fatalf("wire: got  %s\n      want %s\n      %v", banana.Format(got), text, err)
		}
	}
}

// next is the next expression that is not ignored.
func (p *Peer) next(wanted string) banana.Expr {
	p.t.Helper()
	for {
		frame, err := p.read()
		if err != nil {
			p.t.Fatalf("wire: %v where %s was wanted", err, wanted)
		}
		got, _, err := banana.DecodeExpr(frame, p.profile, banana.Limits{})
		if err != nil {
			p.t.Fatalf("wire: where %s was wanted there came % x: %v", wanted, frame, err)
		}
		if !slices.ContainsFunc(p.ignored, func(e banana.Expr) bool { return match(e, got, p.vars) == nil }) {
			return got
		}
	}
}

// Ignore lets Want pass over whatever matches, from now on: what may come, but at a time that nobody promised.
func (p *Peer) Ignore(text string) {
	p.t.Helper()
	e, err := Parse(text)
	if err != nil {
		p.t.Fatal(err)
	}
	p.ignored = append(p.ignored, e)
}

// Fatalf fails the test: for those who look at what a variable stands for.
func (p *Peer) Fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf(format, args...)
}

// WantBytes wants exactly these bytes next.
func (p *Peer) WantBytes(want []byte) {
	p.t.Helper()
	for len(p.buf) < len(want) {
		if err := p.fill(); err != nil {
			p.t.Fatalf("wire: %v after % x where % x were wanted", err, p.buf, want)
		}
	}
	if got := p.buf[:len(want)]; string(got) != string(want) {
		p.t.Fatalf("wire: got  % x\n      want % x", got, want)
	}
	p.buf = p.buf[len(want):]
	p.scanner.Reset()
}

// WantClosed wants the other end to close the connection without another word.
func (p *Peer) WantClosed() {
	p.t.Helper()
	frame, err := p.read()
	if err == nil {
		p.t.Fatalf("wire: the end was wanted and there came %s", banana.FormatFrame(frame, p.profile, 400))
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Fatalf("wire: the connection is still open after %v", Patience)
	}
}

// Drain wants the other end to close the connection, after whatever it still has to say.
func (p *Peer) Drain() {
	p.t.Helper()
	p.buf = nil
	for {
		err := p.fill()
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			p.t.Fatalf("wire: the connection is still open after %v", Patience)
		}
		if err != nil {
			return
		}
		p.buf = nil
	}
}

// WantIdle wants that nothing more comes for what was written so far: it calls root.echo itself, and the answer
// must be the next thing to arrive.
func (p *Peer) WantIdle() {
	p.t.Helper()
	p.idle++
	p.vars["idle"] = p.idle
	p.Write(`[message $idle root echo 1 [tuple $idle] [dictionary]]`)
	p.Want(`[answer $idle $idle]`)
}

// Var returns what a variable stands for.
func (p *Peer) Var(name string) banana.Expr { return p.vars[name] }

// Forget lets a variable stand for something new.
func (p *Peer) Forget(name string) { delete(p.vars, name) }

// Close closes this end.
func (p *Peer) Close() { p.conn.Close() }

// read returns the next whole frame; it is valid until the next read.
func (p *Peer) read() ([]byte, error) {
	for {
		n, err := p.scanner.Next(p.buf)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			frame := p.buf[:n]
			p.buf = p.buf[n:]
			return frame, nil
		}
		if err := p.fill(); err != nil {
			return nil, err
		}
	}
}

func (p *Peer) fill() error {
	// A pipe whose other end was closed takes no deadline; reading says what there is to say of it.
	_ = p.conn.SetReadDeadline(time.Now().Add(Patience))
	defer func() { _ = p.conn.SetReadDeadline(time.Time{}) }()
	chunk := make([]byte, 64<<10)
	n, err := p.conn.Read(chunk)
	p.buf = append(p.buf, chunk[:n]...)
	if errors.Is(err, io.EOF) && n > 0 {
		return nil
	}
	return err
}
