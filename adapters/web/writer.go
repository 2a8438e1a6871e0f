package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// writer is the http.ResponseWriter of a back. Its response goes through the methods of the front's remote. The
// handler's goroutine owns it, except for the fields that mu guards.
type writer struct {
	p      *Publisher
	ctx    context.Context         // of the request
	cancel context.CancelCauseFunc // of ctx
	remote *flavors.RemoteReference
	head   bool // no body is sent

	header   http.Header
	code     int   // zero until WriteHeader
	declared int64 // Content-Length; negative if there is none
	written  int64
	sent     bool // the header has been sent
	buf      []byte

	producer    producer
	registering sync.Mutex
	registered  bool // registerProducer was called
	closed      bool // the remote is not used any more

	mu       sync.Mutex
	changed  chan struct{} // has a token when something below has changed
	paused   bool
	inFlight int // bytes of writes without an answer
	err      error
}

var buffers = sync.Pool{New: func() any { return new([maxWrite]byte) }}

func newWriter(ctx context.Context, p *Publisher, q *incoming) *writer {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &writer{
		p: p, ctx: ctx, cancel: cancel, remote: q.remote, head: q.method == http.MethodHead,
		header: http.Header{}, declared: -1, changed: make(chan struct{}, 1),
	}
	w.producer.w = w
	return w
}

// producer is what the front tells to pause, resume and stop.
type producer struct {
	flavors.Referenceable
	w *writer
}

// HandleRemote implements flavors.Handler.
func (p *producer) HandleRemote(inv *flavors.Invocation) (any, error) {
	switch inv.Method {
	case "pauseProducing":
		p.w.change(func() { p.w.paused = true })
	case "resumeProducing":
		p.w.change(func() { p.w.paused = false })
	case "stopProducing":
		p.w.fail(ErrClientGone)
	default:
		return nil, flavors.NoSuchMethod.New("a producer has pauseProducing, resumeProducing and stopProducing")
	}
	return nil, nil
}

// change changes guarded fields and wakes the handler.
func (w *writer) change(f func()) {
	w.mu.Lock()
	f()
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// fail ends the request's context. Later writes fail.
func (w *writer) fail(cause error) {
	w.change(func() {
		if w.err == nil {
			w.err = cause
			w.cancel(cause)
		}
	})
}

// register registers the producer, once.
func (w *writer) register() {
	w.registering.Lock()
	defer w.registering.Unlock()
	if w.registered || w.closed {
		return
	}
	w.registered = true
	// A failure means that the client has gone, whatever its type.
	flavors.Start(w.ctx, w.remote, "registerProducer", &w.producer, true).OnComplete(func(_ any, err error) {
		if err != nil {
			w.fail(ErrClientGone)
		}
	})
}

// call calls a method of the remote. If it fails, so does the response, which would be incomplete.
func (w *writer) call(method string, args ...any) {
	flavors.Start(w.ctx, w.remote, method, args...).OnComplete(func(_ any, err error) {
		if err != nil {
			w.refused(method, err)
		}
	})
}

// refused ends the response because a call failed. A front takes its response back when the client has gone, so calls
// of an unknown object mean that, even if the answer overtakes stopProducing.
func (w *writer) refused(method string, err error) {
	var f *flavors.Failure
	if errors.As(err, &f) && f.Type == flavors.PBError.Name() {
		w.fail(ErrClientGone)
		return
	}
	w.fail(fmt.Errorf("web: the front has refused %s: %w", method, err))
}

// Header implements http.ResponseWriter.
func (w *writer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Informational responses are ignored.
func (w *writer) WriteHeader(code int) {
	if w.code != 0 || code >= 100 && code < 200 {
		return
	}
	if code < 200 || code > 999 {
		code = http.StatusInternalServerError
	}
	w.code = code
	if list := w.header["Content-Length"]; len(list) > 0 {
		n, err := strconv.ParseInt(list[0], 10, 64)
		if err != nil || n < 0 {
			delete(w.header, "Content-Length")
			return
		}
		w.declared = n
	}
}

func (w *writer) bodyAllowed() bool {
	return w.code != http.StatusNoContent && w.code != http.StatusNotModified
}

// Write implements http.ResponseWriter.
func (w *writer) Write(b []byte) (int, error) {
	return w.write(len(b), func(n int) []byte { return b[:n] })
}

// WriteString implements io.StringWriter.
func (w *writer) WriteString(s string) (int, error) {
	return w.write(len(s), func(n int) []byte { return []byte(s[:n]) })
}

func (w *writer) write(n int, part func(n int) []byte) (int, error) {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.bodyAllowed() {
		return 0, http.ErrBodyNotAllowed
	}
	if err := w.error(); err != nil {
		return 0, err
	}
	if w.declared >= 0 && w.written+int64(n) > w.declared {
		return 0, http.ErrContentLength
	}
	w.written += int64(n)
	b := part(n)
	if w.head {
		return n, nil
	}
	if len(w.buf)+n < smallBuffer {
		w.buf = append(w.buf, b...)
		return n, nil
	}
	if len(w.buf) > 0 {
		if err := w.FlushError(); err != nil {
			return 0, err
		}
	}
	if n < smallBuffer {
		w.buf = append(w.buf, b...)
		return n, nil
	}
	w.register()
	w.sendHeader(b)
	return n, w.send(b)
}

// smallBuffer is how many bytes are collected before they are sent.
const smallBuffer = 16 << 10

// error returns why the response has failed; nil if it has not.
func (w *writer) error() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	return w.err
}

// ReadFrom implements io.ReaderFrom with a large buffer.
func (w *writer) ReadFrom(src io.Reader) (total int64, err error) {
	buf := buffers.Get().(*[maxWrite]byte)
	defer buffers.Put(buf)
	for {
		n, readErr := src.Read(buf[:])
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return total, err
			}
			total += int64(n)
		}
		if readErr != nil {
			if errors.Is(readErr, io.EOF) {
				readErr = nil
			}
			return total, readErr
		}
	}
}

// Flush implements http.Flusher.
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError sends what was written.
func (w *writer) FlushError() error {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.sent && len(w.buf) == 0 {
		return w.error()
	}
	w.register()
	w.sendHeader(w.buf)
	err := w.send(w.buf) // An empty one too: the front sends its header with the first write.
	w.buf = w.buf[:0]
	return err
}

// sendHeader sends the status and the headers, once. body is the beginning of the body.
func (w *writer) sendHeader(body []byte) {
	if w.sent {
		return
	}
	w.sent = true
	if w.code != http.StatusOK {
		w.call("setResponseCode", w.code)
	}
	if w.bodyAllowed() && len(w.header["Content-Type"]) == 0 && len(body) > 0 {
		w.header["Content-Type"] = []string{http.DetectContentType(body)}
	}
	names := make([]string, 0, len(w.header))
	for name, values := range w.header {
		if len(values) > 0 && isToken(name) && name != "Set-Cookie" && !hopByHop[canonical(name)] {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		if value := joinHeader(w.header[name]); isFieldValue(value) {
			w.call("setHeader", []byte(name), []byte(value))
		}
	}
	for _, line := range w.header["Set-Cookie"] {
		if c, ok := parseSetCookie(line); ok {
			w.call("addCookie", []byte(c.name), []byte(c.value), flavors.Kw(c.attributes))
		}
	}
}

// send sends a part of the body at the pace of the front.
func (w *writer) send(b []byte) error {
	if w.head {
		return w.error()
	}
	for first := true; len(b) > 0 || first; first = false {
		part := b[:min(len(b), maxWrite)]
		b = b[len(part):]
		if err := w.wait(); err != nil {
			return err
		}
		w.mu.Lock()
		w.inFlight += len(part)
		w.mu.Unlock()
		flavors.Start(w.ctx, w.remote, "write", part).OnComplete(func(_ any, err error) {
			w.change(func() { w.inFlight -= len(part) })
			if err != nil {
				w.refused("write", err)
			}
		})
	}
	return w.error()
}

// wait waits until the front takes more.
func (w *writer) wait() error {
	ready := func() (bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return !w.paused && w.inFlight < window, w.err
	}
	if ok, err := ready(); ok || err != nil {
		return err
	}
	timer := time.NewTimer(w.p.stall)
	defer timer.Stop()
	for {
		select {
		case <-w.changed:
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		case <-timer.C:
			w.fail(ErrStalled)
		}
		if ok, err := ready(); ok || err != nil {
			return err
		}
	}
}

// replace replaces a response of which nothing was sent. It reports false if it is too late.
func (w *writer) replace(code int) bool {
	if w.sent {
		return false
	}
	w.header, w.code, w.buf, w.written, w.declared = http.Header{}, 0, w.buf[:0], 0, -1
	http.Error(w, http.StatusText(code), code)
	return true
}

// end finishes the response.
func (w *writer) end() {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	short := w.declared >= 0 && w.written < w.declared && !w.head && w.bodyAllowed()
	if w.error() != nil || short {
		w.abort()
		return
	}
	if !w.sent && w.bodyAllowed() && w.declared < 0 && (w.written > 0 || !w.head) {
		w.header["Content-Length"] = []string{strconv.FormatInt(w.written, 10)}
	}
	w.sendHeader(w.buf)
	if len(w.buf) > 0 && w.send(w.buf) != nil {
		w.abort()
		return
	}
	w.close("finish")
}

// abort cuts the response off. A front that has no abort, which stock fronts do not have, finishes it.
func (w *writer) abort() {
	if errors.Is(w.error(), ErrClientGone) {
		w.close("")
		return
	}
	w.close("abort")
}

// close ends the use of the remote. last is the last call.
func (w *writer) close(last string) {
	w.registering.Lock()
	unregister := w.registered
	w.closed = true
	w.registering.Unlock()
	remote := w.remote
	defer remote.Release()
	conn, ok := remote.Conn().(*broker.Conn)
	if !ok {
		return
	}
	revoke := func(any, error) { _ = conn.Revoke(&w.producer) } // Stock fronts release producers late.
	ctx := conn.Context()                                       // The request's may have ended.
	switch {
	case !unregister:
	case last == "":
		revoke(nil, nil)
	default:
		// The front does not call the producer after its answer. A call that came before is carried out.
		flavors.Start(ctx, remote, "unregisterProducer").OnComplete(revoke)
	}
	if last == "" {
		return
	}
	d := flavors.Start(ctx, remote, last)
	if last == "abort" {
		if _, err := d.Await(ctx); err != nil && flavors.IsRemote(err) {
			_ = flavors.Start(ctx, remote, "finish")
		}
	}
}
