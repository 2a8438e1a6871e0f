package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// mount is a front.
type mount struct {
	client          Client
	prefix          []string
	connectTimeout  time.Duration
	responseTimeout time.Duration
	buffer          int
}

// Mount returns a handler that passes requests to the back to which client connects: a
// twisted.web.distrib.ResourcePublisher or the object that [Publish] makes. The handler answers itself with
//
//	400  the path or the form is not valid
//	404  the path is not below the prefix
//	405  the back's resource does not have the method (twisted.web.error.UnsupportedMethod)
//	413  the body has more than [MaxBody] bytes
//	414  the URI has more than [MaxBody] bytes
//	431  a header has more than [MaxBody] bytes
//	500  the back has failed
//	502  there is no back, or it has gone
//	503  too many requests are in progress at the back
//	504  the back did not begin its response in time
//
// If the back fails or goes after its response has begun, the client's connection is ended by
// panic([http.ErrAbortHandler]), as net/http wants it.
//
// Each request exports an object until the back has released it. A connection for many requests at once needs a larger
// broker.Limits.Exports.
func Mount(client Client, opts ...MountOption) http.Handler {
	m := &mount{client: client, connectTimeout: time.Second, responseTimeout: time.Minute, buffer: 64 << 20}
	for _, opt := range opts {
		opt.applyMount(m)
	}
	return m
}

// ServeHTTP implements http.Handler.
func (m *mount) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, no := m.request(r)
	if no != nil {
		if no == tooLong {
			w.Header().Set("Connection", "close")
			drain(r)
		}
		http.Error(w, no.text, no.code)
		return
	}
	conn, err := m.connect(r.Context())
	if err != nil {
		http.Error(w, "The server behind this one cannot be reached.", http.StatusBadGateway)
		return
	}
	resp := newResponse(m, w, r, conn)
	defer resp.close()
	defer context.AfterFunc(conn.Context(), resp.lost)()
	req.Remote = resp
	flavors.Start(r.Context(), conn.Root(), "request", req).OnComplete(resp.answered)
	resp.serve()
}

// connect returns the connection to the back.
func (m *mount) connect(ctx context.Context) (*broker.Conn, error) {
	if m.client == nil {
		return nil, errors.New("web: Mount was given no client")
	}
	wait := &patientContext{Context: ctx, timeout: m.connectTimeout}
	defer wait.stop()
	ctx = wait
	for {
		conn, err := m.client.Conn(ctx)
		if err != nil {
			return nil, err
		}
		if conn.Context().Err() == nil {
			return conn, nil
		}
		// The client has not noticed the end of the connection yet, or has no other.
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// patientContext is a context with a timeout that begins when somebody waits for its end. A client that is connected
// does not wait, and needs no timer.
type patientContext struct {
	context.Context
	timeout time.Duration
	begin   sync.Once
	limited context.Context
	cancel  context.CancelFunc
}

func (c *patientContext) begun() context.Context {
	c.begin.Do(func() { c.limited, c.cancel = context.WithTimeout(c.Context, c.timeout) })
	return c.limited
}

// Done implements context.Context.
func (c *patientContext) Done() <-chan struct{} { return c.begun().Done() }

// Err implements context.Context.
func (c *patientContext) Err() error { return c.begun().Err() }

// Deadline implements context.Context.
func (c *patientContext) Deadline() (time.Time, bool) { return c.begun().Deadline() }

// endedContext has ended.
var endedContext = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// stop ends the context.
func (c *patientContext) stop() {
	c.begin.Do(func() { c.limited, c.cancel = endedContext, func() {} })
	c.cancel()
}

// refusal is how a front answers a request that it does not pass on.
type refusal struct {
	code int
	text string
}

var (
	badPath = &refusal{http.StatusBadRequest, "The path is not valid."}
	badBody = &refusal{http.StatusBadRequest, "The body cannot be read."}
	notHere = &refusal{http.StatusNotFound, "404 page not found"}
	tooLong = &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("The body has more than %d bytes.", MaxBody)}
	longURI = &refusal{http.StatusRequestURITooLong, fmt.Sprintf("The URI has more than %d bytes.", MaxBody)}

	longHeader = &refusal{
		http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("A header has more than %d bytes.", MaxBody),
	}
)

// request makes the copy of a request that the back gets.
func (m *mount) request(r *http.Request) (*outgoing, *refusal) {
	uri := r.RequestURI
	if !strings.HasPrefix(uri, "/") {
		uri = r.URL.RequestURI()
	}
	path, query, _ := strings.Cut(uri, "?")
	switch {
	case !strings.HasPrefix(path, "/"):
		return nil, badPath
	case len(uri) > MaxBody:
		return nil, longURI
	case hasLongHeader(r):
		return nil, longHeader
	}
	all := segments(path)
	if path == "/" {
		all = []string{""} // as in Twisted
	}
	if !slices.Equal(all[:min(len(m.prefix), len(all))], m.prefix) {
		return nil, notHere
	}
	if slices.ContainsFunc(all, func(s string) bool { return !isSafeSegment(s) }) {
		return nil, badPath
	}
	body, no := readBody(r)
	if no != nil {
		return nil, no
	}
	var args form
	args.addQuery(query)
	if r.Method == http.MethodPost {
		if err := args.replaceBody(r.Header.Get("Content-Type"), body); err != nil {
			return nil, &refusal{http.StatusBadRequest, "The body is not valid: " + err.Error()}
		}
	}
	network, host := "", ""
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		network, host = addr.Network(), addr.String()
	}
	return &outgoing{
		Method: []byte(r.Method), URI: []byte(uri), Path: []byte(path), Proto: []byte("HTTP/1.1"), Content: body,
		Prepath: all[:len(m.prefix)], Postpath: all[len(m.prefix):],
		Args: args.dict(), Cookies: receivedCookies(r.Header), Headers: headerList(r, len(body)),
		Client: addressTuple(network, r.RemoteAddr), Host: addressTuple(network, host), Adapters: jelly.NewDict(),
	}, nil
}

// readBody reads a body of up to MaxBody bytes.
func readBody(r *http.Request) ([]byte, *refusal) {
	switch {
	case r.ContentLength > MaxBody:
		return nil, tooLong
	case r.ContentLength == 0 || r.Body == nil:
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	switch {
	case len(body) > MaxBody:
		return nil, tooLong
	case err != nil:
		return nil, badBody
	}
	return body, nil
}

// drain reads the rest of a body that is too long, up to MaxBody bytes. Closing the connection while the client still
// sends resets it, and the client may lose the answer. A client that waits for 100 Continue has sent nothing.
func drain(r *http.Request) {
	if r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, MaxBody)
	}
}

// unsupportedMethod is the failure of a resource that does not have a method.
const unsupportedMethod = "twisted.web.error.UnsupportedMethod"

// failureCode returns the code with which a request is answered that failed before the response began, and headers.
func failureCode(err error) (code int, header map[string]string) {
	var f *flavors.Failure
	switch {
	case errors.As(err, &f) && f.Check(unsupportedMethod) != "":
		return http.StatusMethodNotAllowed, map[string]string{"Allow": strings.Join(allowedMethods(f.Value), ", ")}
	case errors.Is(err, broker.Busy), errors.Is(err, broker.ErrTooManyReferences), errors.Is(err, broker.ErrTooManyCalls),
		errors.Is(err, broker.ErrTooManyImports), errors.Is(err, broker.ErrNoRoom):
		return http.StatusServiceUnavailable, map[string]string{"Retry-After": "1"}
	case errors.Is(err, errTimeout):
		return http.StatusGatewayTimeout, nil
	case flavors.IsRemote(err):
		return http.StatusInternalServerError, nil
	case errors.Is(err, errBadResponse), errors.Is(err, flavors.DeadReference), errors.Is(err, flavors.ConnectionLost):
		return http.StatusBadGateway, nil
	}
	return http.StatusInternalServerError, nil
}

var (
	errTimeout     = errors.New("web: the back did not begin its response in time")
	errBadResponse = errors.New("web: the back's response is not valid")
	errAborted     = errors.New("web: the back has cut off its response")
	errBackLost    = flavors.ConnectionLost.New("web: the back has gone")
)

// fixedLength returns the value of a Content-Length header.
func fixedLength(value string) (int64, bool) {
	n, err := strconv.ParseInt(value, 10, 64)
	return n, err == nil && n >= 0 && value[0] != '+'
}
