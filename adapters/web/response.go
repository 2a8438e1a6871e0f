package web

import (
	"errors"
	"math"
	"net/http"
	"net/textproto"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// response is the remote of a request: what the back answers through. Its methods only change the fields; the goroutine
// of the HTTP handler writes to the client.
type response struct {
	flavors.Referenceable

	m    *mount
	w    http.ResponseWriter
	r    *http.Request
	conn *broker.Conn
	wake chan struct{} // has a token when something below has changed

	mu           sync.Mutex
	code         int
	header       http.Header
	cookies      []string
	headerSize   int
	etag         string
	lastModified time.Time
	begun        bool // write or finish was called
	body         [][]byte
	size         int // of body
	received     int64
	finished     bool
	gone         bool  // nobody writes to the client any more
	err          error // why the response has failed

	producer *flavors.RemoteReference
	push     bool // the producer is told to pause, not when to go on
	paused   bool
	pulling  bool          // resumeProducing of a pull producer is unanswered
	pulledAt int64         // received at the last pull
	idle     time.Duration // how long the front waits after a pull that brought nothing
	nextPull time.Time     // when that is over
}

func newResponse(m *mount, w http.ResponseWriter, r *http.Request, conn *broker.Conn) *response {
	return &response{
		m: m, w: w, r: r, conn: conn, wake: make(chan struct{}, 1), code: http.StatusOK, header: http.Header{}, pulledAt: -1,
	}
}

// HandleRemote implements flavors.Handler. The methods are those that twisted.web.server.Request has for backs, and
// abort.
func (p *response) HandleRemote(inv *flavors.Invocation) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch inv.Method {
	case "write", "finish", "registerProducer", "unregisterProducer", "abort":
		defer p.notify() // The others change nothing for the goroutine of the HTTP handler.
	}
	switch inv.Method {
	case "write":
		return nil, p.write(inv)
	case "finish":
		return nil, p.finish()
	case "setHeader":
		return nil, p.setHeader(inv)
	case "setResponseCode":
		return nil, p.setResponseCode(inv)
	case "addCookie":
		return nil, p.addCookie(inv)
	case "setETag":
		return nil, p.setETag(inv)
	case "setLastModified":
		return nil, p.setLastModified(inv)
	case "registerProducer":
		return nil, p.registerProducer(inv)
	case "unregisterProducer":
		p.dropProducer()
		return nil, nil
	case "abort":
		p.failLocked(errAborted)
		return nil, nil
	}
	return nil, flavors.NoSuchMethod.Errorf("a request has no method %s", jelly.Format(inv.Method))
}

// notify wakes the goroutine of the HTTP handler.
func (p *response) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *response) write(inv *flavors.Invocation) error {
	var data []byte
	switch v := arg(inv, 0, "data").(type) {
	case []byte:
		data = v
	case string:
		data = []byte(v)
	default:
		return flavors.TypeError.Errorf("write() wants bytes, not %s", jelly.TypeName(v))
	}
	switch {
	case p.finished:
		return flavors.RuntimeError.New("Request.write called on a request after Request.finish was called.")
	case p.isOver():
		return nil // as in Twisted; finish fails
	}
	p.begun = true
	if len(data) == 0 {
		return nil
	}
	if p.size+len(data) > p.m.buffer {
		p.failLocked(errBadResponse)
		return flavors.RuntimeError.Errorf("more than %d bytes wait for the client: register a producer", p.m.buffer)
	}
	p.body = append(p.body, data)
	p.size += len(data)
	p.received += int64(len(data))
	p.pause()
	return nil
}

// isOver reports whether nothing more reaches the client.
func (p *response) isOver() bool { return p.gone || p.err != nil }

// pause tells a push producer to pause if too much waits.
func (p *response) pause() {
	if p.push && !p.paused && p.size > pauseAt && p.producer != nil {
		p.paused = p.producer.CallRemoteNoAnswer("pauseProducing") == nil
	}
}

func (p *response) finish() error {
	if p.finished {
		return nil // as in Twisted, which warns
	}
	if p.isOver() {
		return flavors.RuntimeError.New("Request.finish called on a request after its connection was lost; " +
			"use Request.notifyFinish to keep track of this.")
	}
	p.begun, p.finished = true, true
	return nil
}

func (p *response) setHeader(inv *flavors.Invocation) error {
	name, err := wantText(inv, 0, "name")
	if err != nil {
		return err
	}
	value, err := wantText(inv, 1, "value")
	if err != nil {
		return err
	}
	value = oneLine.Replace(value)
	if !isToken(name) || !isFieldValue(value) {
		return flavors.ValueError.Errorf("the header %s is not valid", jelly.Format(name))
	}
	name = canonical(name)
	if hopByHop[name] || p.begun {
		return nil
	}
	if name == "Content-Length" {
		if _, ok := fixedLength(value); !ok {
			return flavors.ValueError.Errorf("the length %s is not valid", jelly.Format(value))
		}
	}
	if err := p.grow(len(name) + len(value)); err != nil {
		return err
	}
	p.header[name] = []string{value}
	return nil
}

// grow counts bytes of the response's header.
func (p *response) grow(n int) error {
	if p.headerSize += n + 4; p.headerSize > maxHeader {
		p.failLocked(errBadResponse)
		return flavors.ValueError.Errorf("the headers have more than %d bytes", maxHeader)
	}
	return nil
}

func (p *response) setResponseCode(inv *flavors.Invocation) error {
	code, ok := arg(inv, 0, "code").(int64)
	if !ok {
		return flavors.TypeError.New("HTTP response code must be int or long")
	}
	if code < 200 || code > 999 {
		return flavors.ValueError.Errorf("%d is not the code of a final response", code)
	}
	p.code = int(code)
	return nil
}

func (p *response) addCookie(inv *flavors.Invocation) error {
	text := func(i int, name string) string {
		s, _ := textOf(arg(inv, i, name))
		return strings.ReplaceAll(oneLine.Replace(s), ";", " ")
	}
	name, err := wantText(inv, 0, "k")
	if err != nil {
		return err
	}
	if _, err := wantText(inv, 1, "v"); err != nil {
		return err
	}
	line := text(0, "k") + "=" + text(1, "v")
	if !isToken(name) {
		return flavors.ValueError.Errorf("the cookie %s has no valid name", jelly.Format(name))
	}
	for i, a := range []struct{ keyword, attribute string }{
		{"expires", "Expires"}, {"domain", "Domain"}, {"path", "Path"}, {"max_age", "Max-Age"}, {"comment", "Comment"},
	} {
		v := arg(inv, i+2, a.keyword)
		if n, ok := v.(int64); ok {
			line += "; " + a.attribute + "=" + strconv.FormatInt(n, 10)
		} else if _, ok := textOf(v); ok {
			line += "; " + a.attribute + "=" + text(i+2, a.keyword)
		}
	}
	if truthOf(arg(inv, 7, "secure")) {
		line += "; Secure"
	}
	if truthOf(arg(inv, 8, "httpOnly")) {
		line += "; HttpOnly"
	}
	if s := strings.ToLower(text(9, "sameSite")); s == "lax" || s == "strict" {
		line += "; SameSite=" + s
	} else if s != "" {
		return flavors.ValueError.Errorf("Invalid value for sameSite: %s", jelly.Format(s))
	}
	if !isFieldValue(line) {
		return flavors.ValueError.Errorf("the cookie %s is not valid", jelly.Format(name))
	}
	if p.begun {
		return nil
	}
	p.cookies = append(p.cookies, line)
	return p.grow(len(line))
}

// setETag sets the entity tag, and the code if the request is conditional.
func (p *response) setETag(inv *flavors.Invocation) error {
	tag, err := wantText(inv, 0, "tag")
	if err != nil {
		return err
	}
	if tag != "" {
		if !isFieldValue(tag) {
			return flavors.ValueError.New("the entity tag is not valid")
		}
		p.etag = tag
	}
	for _, known := range strings.Fields(p.r.Header.Get("If-None-Match")) {
		if known == tag || known == "*" || known == tag+"," {
			p.code = http.StatusPreconditionFailed
			if p.r.Method == http.MethodGet || p.r.Method == http.MethodHead {
				p.code = http.StatusNotModified
			}
			break
		}
	}
	return nil
}

// setLastModified sets the time of the last change, and the code if the request is conditional.
func (p *response) setLastModified(inv *flavors.Invocation) error {
	var seconds float64
	switch when := arg(inv, 0, "when").(type) {
	case float64:
		seconds = math.Ceil(when)
	case int64:
		seconds = float64(when)
	default:
		return flavors.TypeError.Errorf("setLastModified() wants a number, not %s", jelly.TypeName(when))
	}
	if math.IsNaN(seconds) || seconds < 0 || seconds > 253402300799 { // the year 9999
		return flavors.ValueError.New("the time is out of range")
	}
	if t := time.Unix(int64(seconds), 0).UTC(); t.After(p.lastModified) {
		p.lastModified = t
	}
	since, _, _ := strings.Cut(p.r.Header.Get("If-Modified-Since"), ";")
	if t, err := http.ParseTime(textproto.TrimString(since)); err == nil && !t.Before(p.lastModified) {
		p.code = http.StatusNotModified
	}
	return nil
}

func (p *response) registerProducer(inv *flavors.Invocation) error {
	producer, ok := arg(inv, 0, "producer").(*flavors.RemoteReference)
	if !ok {
		return flavors.TypeError.New("registerProducer() wants a reference to a producer")
	}
	switch {
	case p.isOver() || p.finished:
		producer.Release()
		return flavors.AttributeError.New("'NoneType' object has no attribute 'registerProducer'")
	case p.producer != nil:
		producer.Release()
		return flavors.ValueError.New("registering producer before previous one was unregistered")
	}
	p.producer, p.push, p.paused = producer, truthOf(arg(inv, 1, "streaming")), false
	p.pause()
	return nil
}

// dropProducer lets go of the producer.
func (p *response) dropProducer() {
	if p.producer != nil {
		p.producer.Release()
		p.producer = nil
	}
}

// answered takes the answer to the request. Old publishers answer with the body instead of NOT_DONE_YET.
func (p *response) answered(v any, err error) {
	text, isText := textOf(v)
	switch {
	case err == nil && !isText:
		return
	case err != nil && !flavors.IsRemote(err):
		p.conclude("", err)
		return
	}
	go func() {
		// The back's calls that came before the answer may still wait for their turn.
		if p.conn.Settled(p.r.Context()) == nil {
			p.conclude(text, err)
		}
	}()
}

// conclude ends the response with an answer or a failure, unless it has ended.
func (p *response) conclude(text string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.notify()
	switch {
	case err != nil:
		p.failLocked(err)
	case !p.begun && !p.isOver():
		p.begun, p.finished = true, true
		p.body, p.size = [][]byte{[]byte(text)}, len(text)
	}
}

// lost ends the response when the connection to the back has ended.
func (p *response) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failLocked(errBackLost)
}

// failLocked ends the response. If it has begun, a write to the client that is in progress is ended too.
func (p *response) failLocked(err error) {
	if p.err != nil || p.finished || p.gone {
		return
	}
	p.err, p.body, p.size = err, nil, 0
	if p.begun {
		_ = http.NewResponseController(p.w).SetWriteDeadline(time.Now())
	}
	p.notify()
}

// close ends the use of the client's connection, and takes the response back from the back: stock peers release
// references late. Calls that came before are carried out.
func (p *response) close() {
	_ = p.conn.Revoke(p) // It fails for cached objects only.
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone, p.body = true, nil
	if p.producer == nil {
		return
	}
	producer := p.producer
	p.producer = nil
	if p.finished {
		producer.Release()
		return
	}
	// The back learns of the lost client by this only, so it must not be lost.
	go func() {
		_ = flavors.Start(p.conn.Context(), producer, "stopProducing")
		producer.Release()
	}()
}

// serve writes the response to the client.
func (p *response) serve() {
	timer := time.NewTimer(p.m.responseTimeout)
	defer timer.Stop()
	sent := false
	for {
		body, finished, begun, err := p.take()
		if err == nil && begun && !finished && !sent {
			// Often the rest of a short response is being read, and no chunked body is needed.
			runtime.Gosched()
			more, last, _, failure := p.take()
			body, finished, err = append(body, more...), last, failure
		}
		switch {
		case err != nil:
			p.refuse(err, sent)
			return
		case begun:
			if !sent {
				sent = true
				p.begin(body, finished)
			}
			if !p.send(body, finished) || finished {
				return
			}
		}
		idle := p.flow()
		select {
		case <-p.wake:
		case <-idle:
		case <-p.r.Context().Done():
			return
		case <-timer.C:
			if !sent {
				p.mu.Lock()
				if !p.begun {
					p.failLocked(errTimeout)
				}
				p.mu.Unlock()
			}
		}
	}
}

// take takes what can be written.
func (p *response) take() (body [][]byte, finished, begun bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	body, p.body, p.size = p.body, nil, 0
	return body, p.finished, p.begun, p.err
}

// refuse answers a request that has failed, or ends the client's connection.
func (p *response) refuse(err error, sent bool) {
	p.conn.Logger().Warn().Err(err).Str("method", p.r.Method).Str("path", p.r.URL.Path).Msg("a request to the back failed")
	if sent {
		panic(http.ErrAbortHandler) //nolint:forbidigo // how net/http lets a handler end its client's connection
	}
	code, header := failureCode(err)
	_ = http.NewResponseController(p.w).SetWriteDeadline(time.Time{})
	for name, value := range header {
		p.w.Header().Set(name, value)
	}
	http.Error(p.w, http.StatusText(code), code)
}

// begin writes the header.
func (p *response) begin(body [][]byte, finished bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.w.Header()
	for name, values := range p.header {
		h[name] = values
	}
	if p.etag != "" {
		h["Etag"] = []string{p.etag}
	}
	if _, ok := h["Last-Modified"]; !ok && !p.lastModified.IsZero() {
		h["Last-Modified"] = []string{p.lastModified.Format(http.TimeFormat)}
	}
	if len(p.cookies) > 0 {
		h["Set-Cookie"] = p.cookies
	}
	hasBody := p.code != http.StatusNoContent && p.code != http.StatusNotModified
	length := h.Get("Content-Length")
	if _, ok := h["Content-Type"]; !ok && hasBody && length != "0" {
		h["Content-Type"] = []string{"text/html"}
	}
	switch {
	case !hasBody:
		delete(h, "Content-Length")
	case length == "" && finished && p.r.Method != http.MethodHead:
		n := 0
		for _, b := range body {
			n += len(b)
		}
		h["Content-Length"] = []string{strconv.Itoa(n)}
	}
	p.w.WriteHeader(p.code)
}

// send writes parts of the body. It reports false if the client has gone.
func (p *response) send(body [][]byte, finished bool) bool {
	for _, b := range body {
		if _, err := p.w.Write(b); err != nil {
			switch {
			case errors.Is(err, http.ErrBodyNotAllowed):
				continue
			case p.r.Context().Err() == nil:
				// The back wrote more than it had declared, or the response has failed.
				p.refuse(err, true)
			}
			return false
		}
	}
	if finished {
		return true
	}
	return http.NewResponseController(p.w).Flush() == nil || p.r.Context().Err() == nil
}

// Waits of a front for a pull producer that produces nothing.
const minIdle, maxIdle = time.Millisecond, 100 * time.Millisecond

// flow tells the producer to go on if little waits for the client. The channel that it returns, which may be nil, says
// when to look again.
func (p *response) flow() (again <-chan time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.producer == nil || p.finished || p.err != nil || p.size > resumeAt {
		return nil
	}
	switch {
	case p.push:
		if p.paused {
			p.paused = false
			p.resume(func(error) {})
		}
		return nil
	case p.pulling:
		return nil
	case p.received == p.pulledAt && time.Until(p.nextPull) > 0:
		return time.After(time.Until(p.nextPull))
	}
	p.pulling, p.pulledAt = true, p.received
	p.resume(p.pulled)
	return nil
}

// resume calls resumeProducing. It waits for room, so the lock is released meanwhile.
func (p *response) resume(done func(err error)) {
	producer := p.producer
	p.mu.Unlock()
	defer p.mu.Lock()
	flavors.Start(p.r.Context(), producer, "resumeProducing").OnComplete(func(_ any, err error) { done(err) })
}

// pulled takes the answer of a pull producer. What it wrote may still be on its way to write.
func (p *response) pulled(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.notify()
	p.pulling = false
	if err != nil && p.producer != nil {
		p.failLocked(err)
		return
	}
	if p.received != p.pulledAt {
		p.idle = 0
		return
	}
	p.idle = min(max(2*p.idle, minIdle), maxIdle)
	p.nextPull = time.Now().Add(p.idle)
}
