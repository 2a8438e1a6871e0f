package web_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/web"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rawRequest is a request as a front of any kind may send it.
type rawRequest struct {
	flavors.Copyable
	state map[string]any
}

func (*rawRequest) TypeToCopy() string { return "twisted.web.server.Request" }
func (r *rawRequest) StateToCopy() any { return r.state }

// recorder is the remote of a scripted front.
type recorder struct {
	flavors.Referenceable
	refuse string // a method that fails
	pause  bool   // registered producers are told to pause, and never to go on

	mu       sync.Mutex
	code     int64
	headers  map[string]string
	body     []byte
	calls    []string
	finished chan struct{}
}

func (c *recorder) HandleRemote(inv *flavors.Invocation) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, inv.Method)
	if inv.Method == "registerProducer" {
		defer inv.Args[0].(*flavors.RemoteReference).Release() // The test must not wait for a garbage collection.
	}
	if inv.Method == c.refuse {
		return nil, flavors.RuntimeError.New("refused")
	}
	switch inv.Method {
	case "setResponseCode":
		c.code = inv.Args[0].(int64)
	case "setHeader":
		c.headers[string(inv.Args[0].([]byte))] = string(inv.Args[1].([]byte))
	case "write":
		c.body = append(c.body, inv.Args[0].([]byte)...)
	case "registerProducer":
		producer := inv.Args[0].(*flavors.RemoteReference)
		if c.pause {
			return nil, producer.CallRemoteNoAnswer("pauseProducing")
		}
	case "finish":
		close(c.finished)
	case "abort":
		return nil, flavors.NoSuchMethod.New("stock fronts have no abort")
	}
	return nil, nil
}

// scriptedFront sends requests to a back.
type scriptedFront struct {
	t    *testing.T
	rt   *actor.Runtime
	conn *broker.Conn
}

func newScriptedFront(t *testing.T, handler http.Handler, opts ...web.PublishOption) *scriptedFront {
	t.Helper()
	rt := pbtest.NewRuntime(t)
	conn, err := broker.Dial(t.Context(), rt, listen(t, rt, handler, opts...).URL())
	require.NoError(t, err)
	return &scriptedFront{t, rt, conn}
}

// send sends a request that is valid except for what changes has.
func (f *scriptedFront) send(c *recorder, changes map[string]any) error {
	c.code, c.headers, c.finished = http.StatusOK, map[string]string{}, make(chan struct{})
	state := map[string]any{
		"method": []byte("GET"), "uri": []byte("/"), "path": []byte("/"), "clientproto": []byte("HTTP/1.1"),
		"content_data": []byte{}, "prepath": []any{}, "postpath": []any{[]byte("")}, "args": map[string]any{},
		"requestHeaders": []any{}, "client": jelly.Tuple{"INET", "127.0.0.1", 1}, "host": jelly.Tuple{"UNIX", nil},
		"remote": c, "responseHeaders": jelly.Unpersistable{Reason: "Headers"},
	}
	for name, v := range changes {
		state[name] = v
		if v == missing {
			delete(state, name)
		}
	}
	n, err := flavors.Call[int](f.t.Context(), f.conn.Root(), "request", &rawRequest{state: state})
	if err == nil {
		assert.Equal(f.t, 1, n)
	}
	return err
}

// missing stands for a key that is left out.
var missing any = new(int)

func pair(name string, values ...any) any { return jelly.Tuple{[]byte(name), values} }

func TestHostileFronts(t *testing.T) {
	f := newScriptedFront(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, " ", r.ContentLength, " ", r.Header.Get("Content-Length"), " ", len(r.Header), " ", err)
	}))
	var many, huge []any
	for i := range 10_000 {
		many = append(many, pair("X-"+strconv.Itoa(i), []byte("v")))
	}
	for range 20 {
		huge = append(huge, pair("X", []byte(strings.Repeat("x", 60_000))))
	}
	headers := func(list ...any) map[string]any { return map[string]any{"requestHeaders": list} }
	for name, c := range map[string]struct {
		changes map[string]any
		code    int64
		body    string
	}{
		"length too large": {map[string]any{
			"requestHeaders": []any{pair("Content-Length", []byte("1000000"))}, "content_data": []byte("abc"),
		}, 200, "3 3 3 1 <nil>"},
		"length too small": {map[string]any{
			"requestHeaders": []any{pair("content-length", []byte("1"))}, "content_data": []byte("abc"),
		}, 200, "3 3 3 1 <nil>"},
		"length without body": {headers(pair("Content-Length", []byte("5"))), 200, "0 0 0 1 <nil>"},
		"many headers":        {headers(many...), 200, "0 0  10000 <nil>"},
		"huge headers":        {headers(huge...), 431, ""},
		"NUL in header":       {headers(pair("X", []byte("a\x00b"))), 400, ""},
		"newline in header":   {headers(pair("X", []byte("a\r\nY: b"))), 400, ""},
		"NUL in name":         {headers(pair("X\x00", []byte("a"))), 400, ""},
		"headers no pairs":    {headers([]byte("X")), 400, ""},
		"value no bytes":      {headers(pair("X", 5)), 400, ""},
		"dots":                {map[string]any{"postpath": []any{[]byte("a"), []byte(".."), []byte("b")}}, 400, ""},
		"dots in segment":     {map[string]any{"postpath": []any{[]byte(`a\..`)}}, 400, ""},
		"NUL in path":         {map[string]any{"postpath": []any{[]byte("a\x00")}}, 400, ""},
		"method":              {map[string]any{"method": []byte("GET /")}, 400, ""},
		"no method":           {map[string]any{"method": missing}, 400, ""},
		"uri":                 {map[string]any{"uri": []byte("/ x")}, 400, ""},
		"content":             {map[string]any{"content_data": []any{1}}, 400, ""},
		"postpath":            {map[string]any{"postpath": 5}, 400, ""},
		"proto":               {map[string]any{"clientproto": []byte("GOPHER")}, 200, "0 0  0 <nil>"},
		"text for bytes": {map[string]any{
			"method": "PUT", "uri": "/", "content_data": "ab", "postpath": []string{"a"}, "client": nil,
		}, 200, "2 2 2 1 <nil>"},
	} {
		front := &recorder{}
		require.NoError(t, f.send(front, c.changes), name)
		<-front.finished
		front.mu.Lock()
		assert.Equal(t, c.code, front.code, name)
		if c.body != "" {
			assert.Equal(t, c.body, string(front.body), name)
		}
		front.mu.Unlock()
	}

	assert.Error(t, f.send(&recorder{}, map[string]any{"remote": missing}))
	assert.Error(t, f.send(&recorder{}, map[string]any{"remote": []byte("remote")}))
	_, err := flavors.Call[any](t.Context(), f.conn.Root(), "request", 5)
	require.ErrorIs(t, err, flavors.TypeError)
	_, err = flavors.Call[any](t.Context(), f.conn.Root(), "render")
	require.ErrorIs(t, err, flavors.NoSuchMethod)
	f.wantNothingLeft()
}

// wantNothingLeft waits until neither side holds an object of the other.
func (f *scriptedFront) wantNothingLeft() {
	f.t.Helper()
	wantNothingLeft(f.t, f.rt)
}

func wantNothingLeft(t *testing.T, rt *actor.Runtime) {
	t.Helper()
	require.Eventually(t, func() bool {
		stats := broker.StatsOf(rt)
		return stats.Conns.Open > 0 && stats.Exports == 0 && stats.Imports == 0
	}, wire.Timeout, time.Millisecond)
}

// TestCallsOfResponses wants a response to take no more calls than it needs, and its type to be found.
func TestCallsOfResponses(t *testing.T) {
	block := []byte(strings.Repeat("0123456789abcdef", 4<<10))
	f := newScriptedFront(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		flush := w.(http.Flusher).Flush
		switch r.URL.Path {
		case "/short":
			fmt.Fprint(w, "short")
		case "/long":
			for range 3 {
				_, _ = w.Write(block)
			}
		case "/flushed":
			flush()
			flush()
			fmt.Fprint(w, "a")
			flush()
			flush()
			_, _ = w.Write(block)
			flush()
		}
	}))
	for path, want := range map[string]string{
		"short": "setHeader setHeader write finish",
		"long":  "setHeader write write write finish",
		// The empty write makes the front send its header.
		"flushed": "write write write finish",
	} {
		front := &recorder{}
		require.NoError(t, f.send(front, map[string]any{"postpath": []any{[]byte(path)}}))
		<-front.finished
		front.mu.Lock()
		// A handler that is held up for 5 ms has a producer.
		calls := slices.DeleteFunc(front.calls, func(name string) bool { return strings.HasSuffix(name, "Producer") })
		assert.Equal(t, want, strings.Join(calls, " "), path)
		if path != "flushed" {
			assert.Equal(t, "text/plain; charset=utf-8", front.headers["Content-Type"], path)
		}
		front.mu.Unlock()
	}
	f.wantNothingLeft()
}

// TestFrontThatStops has fronts that never tell the back to go on, and that refuse what they are sent.
func TestFrontThatStops(t *testing.T) {
	cause := make(chan error, 1)
	write := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				cause <- context.Cause(r.Context())
				return
			}
		}
	})
	f := newScriptedFront(t, write, web.WithStallTimeout(50*time.Millisecond))
	front := &recorder{pause: true}
	require.NoError(t, f.send(front, nil))
	assert.ErrorIs(t, <-cause, web.ErrStalled)
	<-front.finished // It has no abort.
	assert.Contains(t, front.calls, "abort")
	assert.Contains(t, front.calls, "unregisterProducer")
	f.wantNothingLeft()

	f = newScriptedFront(t, write) // A refusal may take longer than the time above.
	require.NoError(t, f.send(&recorder{refuse: "write"}, nil))
	assert.ErrorContains(t, <-cause, "refused")
	require.NoError(t, f.send(&recorder{refuse: "registerProducer"}, nil))
	assert.ErrorIs(t, <-cause, web.ErrClientGone)
	f.wantNothingLeft()
}

// scriptedBack is a publisher that answers as the script for the path says.
type scriptedBack struct {
	flavors.Root
	scripts map[string]func(remote *flavors.RemoteReference) any
	mu      sync.Mutex
	paths   map[*flavors.RemoteReference]string // of the requests
	errs    map[string][]error                  // of the calls of scripts, by path
}

func (b *scriptedBack) HandleRemote(inv *flavors.Invocation) (any, error) {
	state := inv.Args[0].(*backRequest)
	script := b.scripts[state.path]
	b.mu.Lock()
	b.paths[state.remote] = state.path
	b.mu.Unlock()
	if script == nil {
		state.remote.Release()
		return nil, flavors.KeyError.New(state.path)
	}
	return script(state.remote), nil
}

// try calls a method of a remote and notes its error. It waits for room, so that the connection refuses none.
func (b *scriptedBack) try(remote *flavors.RemoteReference, method string, args ...any) {
	b.mu.Lock()
	path := b.paths[remote]
	b.mu.Unlock()
	flavors.Start(context.Background(), remote, method, args...).OnComplete(func(_ any, err error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.errs[path] = append(b.errs[path], err)
	})
}

// backRequest is the request at a scripted back.
type backRequest struct {
	path   string
	remote *flavors.RemoteReference
}

func (r *backRequest) SetCopyableState(state any) error {
	d := state.(*jelly.Dict)
	path, _ := d.GetName("path")
	remote, _ := d.GetName("remote")
	r.path, r.remote = string(path.([]byte)), remote.(*flavors.RemoteReference)
	return nil
}

func TestHostileBacks(t *testing.T) {
	b := &scriptedBack{paths: map[*flavors.RemoteReference]string{}, errs: map[string][]error{}}
	header := func(name, value string) func(*flavors.RemoteReference) any {
		return func(remote *flavors.RemoteReference) any {
			b.try(remote, "setHeader", []byte(name), []byte(value))
			b.try(remote, "write", []byte("body"))
			b.try(remote, "finish")
			remote.Release()
			return 1
		}
	}
	b.scripts = map[string]func(*flavors.RemoteReference) any{
		"/never": func(remote *flavors.RemoteReference) any { remote.Release(); return 1 },
		"/text":  func(remote *flavors.RemoteReference) any { remote.Release(); return "old publishers answer so" },
		"/twice": func(remote *flavors.RemoteReference) any {
			for range 2 {
				b.try(remote, "write", []byte("body"))
				b.try(remote, "finish")
			}
			remote.Release()
			return []byte("and again")
		},
		"/nul":      header("X", "a\x00b"),
		"/name":     header("X Y", "a"),
		"/newline":  header("X", "a\r\nY: b"),
		"/length":   header("Content-Length", "-4"),
		"/plus":     header("Content-Length", "+4"),
		"/encoding": header("Transfer-Encoding", "gzip, chunked"),
		"/long":     header("Content-Length", "2"),
		"/short":    header("Content-Length", "200"),
		"/huge":     header("X", strings.Repeat("x", 600_000)),
		"/many": func(remote *flavors.RemoteReference) any {
			for i := range 10_000 {
				b.try(remote, "setHeader", []byte(fmt.Sprint("X-", i)), []byte("v"))
			}
			b.try(remote, "finish")
			remote.Release()
			return 1
		},
		"/toomuch": func(remote *flavors.RemoteReference) any {
			for i := range 3 {
				b.try(remote, "setHeader", []byte(fmt.Sprint("X-", i)), []byte(strings.Repeat("x", 600_000)))
			}
			remote.Release()
			return 1
		},
		"/types": func(remote *flavors.RemoteReference) any {
			for _, method := range []string{
				"write", "setHeader", "setResponseCode", "addCookie", "setETag", "setLastModified",
				"registerProducer", "nothing",
			} {
				b.try(remote, method, []any{5})
			}
			b.try(remote, "setResponseCode", 99)
			b.try(remote, "setResponseCode", 1000)
			b.try(remote, "setLastModified", -1.0)
			b.try(remote, "addCookie", []byte("a b"), []byte("c"))
			b.try(remote, "addCookie", []byte("a"), []byte("b\x00"))
			b.try(remote, "addCookie", []byte("a"), []byte("b"), flavors.Kw{"sameSite": []byte("none")})
			b.try(remote, "addCookie", "a", "b\nc;d", flavors.Kw{"max_age": 5, "secure": 1, "httpOnly": 0})
			b.try(remote, "finish")
			remote.Release()
			return 1
		},
		"/producers": func(remote *flavors.RemoteReference) any {
			b.try(remote, "registerProducer", &recorder{finished: make(chan struct{})}, 1)
			b.try(remote, "registerProducer", &recorder{finished: make(chan struct{})}, 0)
			b.try(remote, "finish")
			b.try(remote, "registerProducer", &recorder{finished: make(chan struct{})}, true)
			remote.Release()
			return 1
		},
	}
	rt := pbtest.NewRuntime(t)
	known := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCopy[backRequest](known, "twisted.web.server.Request"))
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", b, broker.WithRegistry(known))
	require.NoError(t, err)
	url := strings.TrimSuffix(mount(t, rt, ln.URL(), web.WithPrefix("/")), "/site")
	// Only /never is to run into the timeout: ten thousand headers take their time.
	hasty := mount(t, rt, ln.URL(), web.WithPrefix("/"), web.WithResponseTimeout(time.Second))
	hasty = strings.TrimSuffix(hasty, "/site")

	for path, want := range map[string]struct {
		code   int
		body   string
		errors int // of the back's calls
	}{
		"/never":     {504, "", 0},
		"/text":      {200, "old publishers answer so", 0},
		"/twice":     {200, "body", 1}, // Twisted only warns of a second finish.
		"/nul":       {200, "body", 1},
		"/name":      {200, "body", 1},
		"/newline":   {200, "body", 0},
		"/length":    {200, "body", 1},
		"/plus":      {200, "body", 1},
		"/encoding":  {200, "body", 0},
		"/huge":      {200, "body", 0},
		"/many":      {200, "", 0},
		"/toomuch":   {502, "", 2},
		"/types":     {200, "", 14},
		"/producers": {200, "", 2},
		"/unknown":   {500, "", 0},
	} {
		front := url
		if path == "/never" {
			front = hasty
		}
		resp, body := get(t, front+path)
		assert.Equal(t, want.code, resp.StatusCode, path)
		if want.body != "" {
			assert.Equal(t, want.body, body, path)
		}
		assert.Empty(t, resp.Header.Get("Y"), path)
		switch path {
		case "/newline":
			assert.Equal(t, "a Y: b", resp.Header.Get("X"))
		case "/many":
			assert.Equal(t, "v", resp.Header.Get("X-9999"))
		case "/types":
			assert.Equal(t, []string{"a=b c d; Max-Age=5; Secure"}, resp.Header["Set-Cookie"])
		}
		var errs []error
		require.Eventually(t, func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			errs = b.errs[path]
			n := 0
			for _, err := range errs {
				if err != nil {
					n++
				}
			}
			// A front revokes a response that is finished, before or after a second finish.
			return n == want.errors || path == "/twice" && n == want.errors+1
		}, wire.Timeout, time.Millisecond, "%s: %v", path, &errs)
	}
	for _, path := range []string{"/long", "/short"} {
		r := request(t, http.MethodGet, url+path, nil)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		assert.Error(t, err, path)
	}
	wantNothingLeft(t, rt)
}
