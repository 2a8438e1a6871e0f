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

// Timeout is the timeout of one read or write, after which the test fails. No test measures time with it.
const Timeout = 60 * time.Second

// Peer is one end of a connection. Its methods fail the test on error and must be called on the test's goroutine.
type Peer struct {
	t       testing.TB
	conn    net.Conn
	profile banana.Profile
	scanner banana.Scanner
	buf     []byte
	vars    map[string]banana.Expr
	ignored []banana.Expr
	idle    int64 // last request id of WantIdle; starts far above the ids that tests write
}

// New returns a peer on conn. It closes conn when the test ends.
func New(t testing.TB, conn net.Conn) *Peer {
	t.Helper()
	p := &Peer{t: t, conn: conn, vars: map[string]banana.Expr{}, idle: 1 << 30}
	p.scanner.Init(banana.ProfileNone, banana.Limits{})
	t.Cleanup(func() { conn.Close() })
	return p
}

// Connect dials the TCP address addr and returns a peer on the connection.
func Connect(t testing.TB, addr string) *Peer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, Timeout)
	if err != nil {
		t.Fatalf("wire: %v", err)
	}
	return New(t, conn)
}

// Listen listens on a free loopback port until the test ends.
func Listen(t testing.TB) *net.TCPListener {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatalf("wire: %v", err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// Accept waits for a client and returns a peer on its connection.
func Accept(t testing.TB, listener *net.TCPListener) *Peer {
	t.Helper()
	if err := listener.SetDeadline(time.Now().Add(Timeout)); err != nil {
		t.Fatalf("wire: %v", err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatalf("wire: no client connected: %v", err)
	}
	return New(t, conn)
}

// Speak sets the Banana profile for everything that follows, in both directions.
func (p *Peer) Speak(profile banana.Profile) {
	p.profile = profile
	p.scanner.Init(profile, banana.Limits{})
}

// Join performs the negotiation and the version exchange as a client that selects the profile pb.
func (p *Peer) Join() {
	p.t.Helper()
	p.JoinAs(banana.ProfilePB)
}

// JoinAs is Join with another profile. The server must offer what a stock one does, and may offer pb+1 in front of it.
func (p *Peer) JoinAs(profile banana.Profile) {
	p.t.Helper()
	if !p.WantOffer() && profile.IsExtended() {
		p.t.Fatalf("wire: the server does not offer %s", profile)
	}
	p.Write(profile.String())
	p.Speak(profile)
	p.exchangeVersions()
}

// WantOffer requires the next expression to be the offer of a server: [pb none], as of stock ones, or [pb+1 pb none].
// It reports which one it is.
func (p *Peer) WantOffer() (extended bool) {
	p.t.Helper()
	const ours, stock = `["pb+1" "pb" "none"]`, `["pb" "none"]`
	switch got := banana.Format(p.next(ours)); got {
	case ours:
		return true
	case stock:
		return false
	default:
		p.t.Fatalf("wire: got the offer %s, want %s or %s", got, ours, stock)
		return false
	}
}

// Host performs the negotiation and the version exchange as a server. The client must select the profile pb.
func (p *Peer) Host() {
	p.t.Helper()
	p.HostAs(banana.ProfilePB)
}

// HostAs is Host with another profile. It offers no other profile that a client knows.
func (p *Peer) HostAs(profile banana.Profile) {
	p.t.Helper()
	offer := `[pb none]`
	switch profile {
	case banana.ProfileNone:
		offer = `[esperanto none]`
	case banana.ProfilePB1:
		offer = `[pb+1 pb none]`
	}
	p.Write(offer)
	p.Want(profile.String())
	p.Speak(profile)
	p.exchangeVersions()
}

// exchangeVersions writes while it reads: a pipe has no buffer, and the other end may also write first.
func (p *Peer) exchangeVersions() {
	p.t.Helper()
	version, err := banana.AppendExpr(nil, p.profile, []banana.Expr{[]byte("version"), int64(6)}, banana.Limits{})
	if err != nil {
		p.t.Fatalf("wire: %v", err)
	}
	written := make(chan error, 1)
	go func() {
		_, err := p.conn.Write(version)
		written <- err
	}()
	p.Want(`[version 6]`)
	if err := <-written; err != nil {
		p.t.Fatalf("wire: cannot write the version: %v", err)
	}
}

// Write sends the expressions in one write to the connection. Each text is one expression.
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

// WriteBytes sends b unchanged.
func (p *Peer) WriteBytes(b []byte) {
	p.t.Helper()
	if err := p.conn.SetWriteDeadline(time.Now().Add(Timeout)); err != nil {
		p.t.Fatalf("wire: %v", err)
	}
	// A test may also use the connection directly; do not leave a deadline behind.
	defer func() { _ = p.conn.SetWriteDeadline(time.Time{}) }()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatalf("wire: cannot write % x: %v", b, err)
	}
}

// Want reads one expression for each text and requires them to match in order.
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

// next reads the next expression that is not ignored.
func (p *Peer) next(wanted string) banana.Expr {
	p.t.Helper()
	for {
		frame, err := p.read()
		if err != nil {
			p.t.Fatalf("wire: %v, want %s", err, wanted)
		}
		got, _, err := banana.DecodeExpr(frame, p.profile, banana.Limits{})
		if err != nil {
			p.t.Fatalf("wire: got % x (%v), want %s", frame, err, wanted)
		}
		if !slices.ContainsFunc(p.ignored, func(e banana.Expr) bool { return match(e, got, p.vars) == nil }) {
			return got
		}
	}
}

// Ignore makes Want skip every expression that matches text from now on. Use it for expressions whose time of arrival
// is not defined.
func (p *Peer) Ignore(text string) {
	p.t.Helper()
	e, err := Parse(text)
	if err != nil {
		p.t.Fatal(err)
	}
	p.ignored = append(p.ignored, e)
}

// Fatalf fails the test. It is for callers that check a variable themselves.
func (p *Peer) Fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf(format, args...)
}

// WantBytes requires the next bytes to be exactly want.
func (p *Peer) WantBytes(want []byte) {
	p.t.Helper()
	for len(p.buf) < len(want) {
		if err := p.fill(); err != nil {
			p.t.Fatalf("wire: %v after % x, want % x", err, p.buf, want)
		}
	}
	if got := p.buf[:len(want)]; string(got) != string(want) {
		p.t.Fatalf("wire: got  % x\n      want % x", got, want)
	}
	p.buf = p.buf[len(want):]
	p.scanner.Init(p.profile, banana.Limits{})
}

// WantClosed requires the other end to close the connection without sending anything else.
func (p *Peer) WantClosed() {
	p.t.Helper()
	frame, err := p.read()
	if err == nil {
		p.t.Fatalf("wire: got %s, want end of stream", banana.FormatFrame(frame, p.profile, 400))
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Fatalf("wire: the connection is still open after %v", Timeout)
	}
}

// Drain discards everything that arrives and requires the other end to close the connection.
func (p *Peer) Drain() {
	p.t.Helper()
	p.buf = nil
	for {
		err := p.fill()
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			p.t.Fatalf("wire: the connection is still open after %v", Timeout)
		}
		if err != nil {
			return
		}
		p.buf = nil
	}
}

// WantIdle requires that nothing more arrives in response to what was written so far. It calls root.echo, whose answer
// must be the next expression.
func (p *Peer) WantIdle() {
	p.t.Helper()
	p.idle++
	p.vars["idle"] = p.idle
	p.Write(`[message $idle root echo 1 [tuple $idle] [dictionary]]`)
	p.Want(`[answer $idle $idle]`)
}

// Var returns the value bound to $name, or nil.
func (p *Peer) Var(name string) banana.Expr { return p.vars[name] }

// SetVar binds $name to e.
func (p *Peer) SetVar(name string, e banana.Expr) { p.vars[name] = e }

// Forget unbinds $name.
func (p *Peer) Forget(name string) { delete(p.vars, name) }

// Close closes this end.
func (p *Peer) Close() { p.conn.Close() }

// read returns the next complete frame. It is valid until the next read.
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
	// Setting a deadline fails on a pipe whose other end is closed. The read below reports that error.
	_ = p.conn.SetReadDeadline(time.Now().Add(Timeout))
	defer func() { _ = p.conn.SetReadDeadline(time.Time{}) }()
	chunk := make([]byte, 64<<10)
	n, err := p.conn.Read(chunk)
	p.buf = append(p.buf, chunk[:n]...)
	if errors.Is(err, io.EOF) && n > 0 {
		return nil
	}
	return err
}
