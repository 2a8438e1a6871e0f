package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/command"
)

// ErrClosed is the end of a connection that this side closed.
var ErrClosed = errors.New("the connection was closed on this side")

// ErrHungUp is the end of a connection that the peer closed.
var ErrHungUp = errors.New("the peer closed the connection")

// Conn is a connection after the negotiation. Its methods may be called from any goroutine.
type Conn struct {
	sock   net.Conn
	reader *bufio.Reader
	frames frames

	writing sync.Mutex

	mu      sync.Mutex
	next    int64
	pending map[int64]*Call
	caches  map[int64]*Updates // by luid; nil for caches whose updates are not kept
	follow  bool               // whether updates of the caches that arrive are kept
	err     error
	done    chan struct{}
}

// Open negotiates over a socket. It owns the socket, and closes it if the negotiation fails or ctx ends meanwhile.
func Open(ctx context.Context, sock net.Conn) (*Conn, error) {
	c := &Conn{
		sock: sock, reader: bufio.NewReaderSize(sock, 1<<16),
		pending: map[int64]*Call{}, caches: map[int64]*Updates{}, done: make(chan struct{}),
	}
	stop := context.AfterFunc(ctx, func() { _ = sock.SetDeadline(time.Unix(1, 0)) })
	err := c.negotiate()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		sock.Close()
		return nil, err
	}
	go c.read()
	return c, nil
}

// Dial connects to a target and negotiates.
func Dial(ctx context.Context, t Target, o Options) (*Conn, error) {
	sock, err := t.Socket(ctx, o.TLS)
	if err != nil {
		return nil, err
	}
	return Open(ctx, sock)
}

func (c *Conn) negotiate() error {
	c.frames.init(banana.ProfileNone, banana.Limits{Frame: banana.HandshakeFrame})
	offer, err := c.frames.next(c.reader)
	if err != nil {
		return fmt.Errorf("the peer makes no offer of Perspective Broker: %w", ended(err))
	}
	profile, err := banana.ChooseProfile(offer)
	if err != nil {
		return err
	}
	c.frames.init(profile, banana.Limits{})
	hello := command.AppendVersion(banana.AppendChoice(nil, profile), profile, command.ProtocolVersion)
	if err := c.write(hello); err != nil {
		return err
	}
	frame, err := c.frames.next(c.reader)
	if err != nil {
		return fmt.Errorf("the peer did not complete the negotiation: %w", ended(err))
	}
	e, _, err := banana.DecodeExpr(frame, profile, banana.Limits{})
	if err != nil {
		return err
	}
	if v, ok := e.([]banana.Expr); ok && len(v) == 2 && isWord(v[0], "version") {
		if v[1] == banana.Expr(int64(command.ProtocolVersion)) {
			return nil
		}
		return fmt.Errorf("the peer speaks version %s of the protocol, not %d", banana.Format(v[1]), command.ProtocolVersion)
	}
	return fmt.Errorf("the peer sent %s instead of its version", clipText(banana.Format(e)))
}

func isWord(e banana.Expr, word string) bool {
	b, ok := e.([]byte)
	return ok && string(b) == word
}

func clipText(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection has ended, nil if it has not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection.
func (c *Conn) Close() { c.end(ErrClosed) }

// Finish writes what was sent, and waits a little for the peer to read it and close.
func (c *Conn) Finish(ctx context.Context) {
	half, ok := c.sock.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil {
		timer := time.NewTimer(2 * time.Second)
		defer timer.Stop()
		select {
		case <-c.done:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	c.Close()
}

func (c *Conn) end(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	pending, caches := c.pending, c.caches
	c.pending, c.caches = nil, nil
	close(c.done)
	c.mu.Unlock()
	c.sock.Close()
	for _, call := range pending {
		call.complete(nil, &LostError{err})
	}
	for _, u := range caches {
		if u != nil {
			u.end()
		}
	}
}

func (c *Conn) write(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.sock.Write(b)
	return err
}

// send writes a frame; a failure ends the connection.
func (c *Conn) send(b []byte) error {
	if err := c.write(b); err != nil {
		c.end(ended(err))
		return &LostError{c.Err()}
	}
	return nil
}

// ended replaces the errors of a stream that has ended.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrHungUp
	}
	return err
}

func (c *Conn) read() {
	for {
		frame, err := c.frames.next(c.reader)
		if err == nil {
			err = c.command(frame)
		}
		if err != nil {
			c.end(ended(err))
			return
		}
	}
}

// frames cuts a stream into expressions.
type frames struct {
	scanner banana.Scanner
	buf     []byte
	used    int // the length of the frame that was returned last
}

func (f *frames) init(p banana.Profile, l banana.Limits) { f.scanner.Init(p, l) }

// next returns the next expression, which is valid until the next call.
func (f *frames) next(r io.Reader) ([]byte, error) {
	f.buf = append(f.buf[:0], f.buf[f.used:]...)
	f.used = 0
	for {
		if len(f.buf) > 0 {
			n, err := f.scanner.Next(f.buf)
			if err != nil {
				return nil, err
			}
			if n > 0 {
				f.used = n
				return f.buf[:n], nil
			}
		}
		if cap(f.buf)-len(f.buf) < 4096 {
			f.buf = append(make([]byte, 0, 2*cap(f.buf)+8192), f.buf...)
		}
		n, err := r.Read(f.buf[len(f.buf):cap(f.buf)])
		f.buf = f.buf[:len(f.buf)+n]
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

// Call is a call under way.
type Call struct {
	conn   *Conn
	id     int64
	done   chan struct{}
	then   func(*Answer) // called in the reading goroutine instead of closing done; may be nil
	answer Answer
}

// Answer is how a call ended.
type Answer struct {
	Value any
	// Err is a *Failure if the method failed, a *LostError if the connection ended.
	Err error
	// Mentions are the peer's objects in the answer, which the peer keeps until they are released.
	Mentions []jelly.Mention
}

func (k *Call) complete(v any, err error) {
	k.answer.Value, k.answer.Err = v, err
	if k.then != nil {
		k.then(&k.answer)
		return
	}
	close(k.done)
}

// LostError reports a call whose connection ended.
type LostError struct{ Cause error }

// Error gives the cause.
func (e *LostError) Error() string { return "the connection was lost: " + e.Cause.Error() }

// Unwrap returns the cause.
func (e *LostError) Unwrap() error { return e.Cause }

// Args are the arguments of a call.
type Args struct {
	Values []any
	Names  []string // of the keyword arguments
	Kw     []any    // their values
}

// Call makes a call and waits for its answer. If ctx ends first, the answer is dropped when it comes.
func (c *Conn) Call(ctx context.Context, object any, method string, args Args) Answer {
	k, err := c.Start(object, method, args, nil)
	if err != nil {
		return Answer{Err: err}
	}
	select {
	case <-k.done:
		return k.answer
	case <-ctx.Done():
		return Answer{Err: context.Cause(ctx)}
	}
}

// Start makes a call. Then, if it is not nil, is called with the answer by the goroutine that reads; it must not block.
func (c *Conn) Start(object any, method string, args Args, then func(*Answer)) (*Call, error) {
	k := &Call{conn: c, done: make(chan struct{}), then: then}
	body, err := Encode(c.frames.scanner.Profile(), args)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, &LostError{c.err}
	}
	c.next++
	k.id = c.next
	c.pending[k.id] = k
	c.mu.Unlock()
	_ = c.send(c.message(k.id, object, method, true, body)) // A failure completes the call.
	return k, nil
}

// SendNoAnswer makes a call that is not answered.
func (c *Conn) SendNoAnswer(object any, method string, args Args) error {
	body, err := Encode(c.frames.scanner.Profile(), args)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.next++
	id := c.next
	c.mu.Unlock()
	return c.send(c.message(id, object, method, false, body))
}

// EncodeError reports arguments that cannot be sent.
type EncodeError struct{ Err error }

// Error gives the cause.
func (e *EncodeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *EncodeError) Unwrap() error { return e.Err }

// Encode encodes the arguments of a call. The error is an *EncodeError.
func Encode(p banana.Profile, args Args) ([]byte, error) {
	f := jelly.NewFragment(jelly.Context{Profile: p})
	defer f.Free()
	if err := f.JellyTuple(args.Values); err != nil {
		return nil, &EncodeError{err}
	}
	if err := f.JellyKw(args.Names, args.Kw); err != nil {
		return nil, &EncodeError{err}
	}
	b, err := f.Append(nil, nil)
	if err != nil {
		return nil, &EncodeError{err}
	}
	return b, nil
}

func (c *Conn) message(id int64, object any, method string, answer bool, body []byte) []byte {
	var o command.Object
	switch object := object.(type) {
	case *value.Ref:
		o.ID.Int = object.ID
	case string:
		o.Name = object
	}
	b := make([]byte, 0, len(body)+64)
	b = command.AppendMessage(b, c.frames.scanner.Profile(), command.Number{Int: id}, o, method, answer)
	return append(b, body...)
}

// Release gives mentions back to the peer.
func (c *Conn) Release(mentions []jelly.Mention) error {
	p := c.frames.scanner.Profile()
	var b []byte
	for _, m := range mentions {
		if m.Tag == "remote" {
			b = command.AppendDecref(b, p, m.ID)
		} else {
			b = command.AppendDecache(b, p, m.ID)
		}
	}
	if b == nil {
		return nil
	}
	return c.send(b)
}
