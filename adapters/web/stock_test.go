package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/adapters/web"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// behindStock serves a handler below a stock front and returns its URL.
func behindStock(t *testing.T, handler http.Handler) string {
	t.Helper()
	stock.Require(t)
	ln := listen(t, pbtest.NewRuntime(t), handler)
	host, port, _ := strings.Cut(ln.Addr().String(), ":")
	front := stock.Start(t, "testdata/peer.py", "front", host, port)
	return "http://" + front.Addr() + "/site"
}

func TestStockFront(t *testing.T) {
	content := strings.Repeat("0123456789", 200_000)
	mux := http.NewServeMux()
	mux.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseMultipartForm(1<<20))
		files := len(r.MultipartForm.File["file"])
		fmt.Fprint(w, r.Method, " ", r.URL.Path, " ", r.Form.Encode(), " ", r.Host == "", " ", files)
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "file.txt", time.Unix(1e9, 0), strings.NewReader(content))
	})
	mux.HandleFunc("/cookies", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("in")
		assert.NoError(t, err)
		out := &http.Cookie{Name: "out", Value: c.Value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
		http.SetCookie(w, out)
		w.Header().Add("Set-Cookie", "evil=1\r\nX-Evil: 1")
	})
	mux.HandleFunc("/teapot", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Vary"] = []string{"A", "B"}
		http.Error(w, "short and stout", http.StatusTeapot)
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("oops") })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	url := behindStock(t, mux)

	contentType, form := multipartForm(t)
	r := request(t, http.MethodPost, url+"/form?q=a+b", form)
	r.Header.Set("Content-Type", contentType)
	_, body := do(t, r)
	assert.Equal(t, "POST /form field=value&q=a+b false 1", body)

	resp, body := get(t, url+"/file")
	assert.Equal(t, content, body)
	assert.Equal(t, int64(len(content)), resp.ContentLength)
	resp, body = do(t, request(t, http.MethodHead, url+"/file", nil))
	assert.Equal(t, int64(len(content)), resp.ContentLength)
	assert.Empty(t, body)
	r = request(t, http.MethodGet, url+"/file", nil)
	r.Header.Set("Range", "bytes=5-14")
	resp, body = do(t, r)
	assert.Equal(t, http.StatusPartialContent, resp.StatusCode)
	assert.Equal(t, "5678901234", body)
	r.Header.Del("Range")
	r.Header.Set("If-Modified-Since", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
	resp, _ = do(t, r)
	assert.Equal(t, http.StatusNotModified, resp.StatusCode)

	r = request(t, http.MethodGet, url+"/cookies", nil)
	r.AddCookie(&http.Cookie{Name: "in", Value: "v"})
	resp, _ = do(t, r)
	assert.Equal(t, []string{"out=v; Path=/; HttpOnly; SameSite=lax", "evil=1 X-Evil: 1"}, resp.Header["Set-Cookie"])
	resp, body = get(t, url+"/teapot")
	assert.Equal(t, http.StatusTeapot, resp.StatusCode)
	assert.Equal(t, "A, B", resp.Header.Get("Vary"))
	assert.Equal(t, "short and stout\n", body)
	resp, _ = get(t, url+"/panic")
	assert.Equal(t, http.StatusInternalServerError, resp.StatusCode)
	resp, _ = get(t, url+"/empty")
	assert.Equal(t, http.StatusNoContent, resp.StatusCode)
}

// TestStockFrontFlow has a client of a stock front that reads nothing and then goes.
func TestStockFrontFlow(t *testing.T) {
	written := make(chan int, 100_000)
	gone := make(chan error, 1)
	url := behindStock(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			return
		}
		defer close(written)
		for {
			n, err := w.Write(make([]byte, 64<<10))
			if err != nil {
				gone <- context.Cause(r.Context())
				return
			}
			written <- n
		}
	}))
	resp, err := http.DefaultClient.Do(request(t, http.MethodGet, url, nil))
	require.NoError(t, err)
	total := writtenUntilHeldUp(written, func() { get(t, url+"/quick") })
	assert.Less(t, total, 32<<20, "the handler is held up")
	_, err = io.CopyN(io.Discard, resp.Body, int64(total)+1<<20)
	require.NoError(t, err, "it goes on when the client reads")
	resp.Body.Close()
	for range written {
	}
	assert.ErrorIs(t, <-gone, web.ErrClientGone)
}

// stockBack is a front of ours before a stock back.
func stockBack(t *testing.T, opts ...web.MountOption) (url string, back *stock.Process) {
	t.Helper()
	stock.Require(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file.txt"), []byte(strings.Repeat("0123456789", 500_000)), 0o600))
	back = stock.Start(t, "testdata/peer.py", "back", dir)
	return mount(t, pbtest.NewRuntime(t), "pb://"+back.Addr(), opts...), back
}

func TestStockBack(t *testing.T) {
	url, back := stockBack(t)
	contentType, form := multipartForm(t)
	r := request(t, http.MethodPost, url+"/echo/a%20b/?q=a+b;q=%zz&none&e=", form)
	r.Header.Set("Content-Type", contentType)
	r.AddCookie(&http.Cookie{Name: "in", Value: "v"})
	resp, body := do(t, r)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	var echo struct {
		Method, Path, URI string
		Prepath, Postpath []string
		Args, Headers     map[string][]string
		Cookies           map[string]string
		Client            []any
		Length            int
	}
	require.NoError(t, json.Unmarshal([]byte(body), &echo))
	assert.Equal(t, "POST", echo.Method)
	assert.Equal(t, "/site/echo/a%20b/", echo.Path)
	assert.Equal(t, []string{"site", "echo"}, echo.Prepath)
	assert.Equal(t, []string{"a b", ""}, echo.Postpath)
	assert.Equal(t, map[string][]string{
		"q": {"a b", "%zz"}, "e": {""}, "field": {"value"}, "file": {"\x00\x01\u00fe\u00ff"},
	}, echo.Args)
	assert.Equal(t, map[string]string{"in": "v"}, echo.Cookies)
	assert.Equal(t, []string{contentType}, echo.Headers["Content-Type"])
	assert.NotEmpty(t, echo.Headers["Host"])
	assert.Equal(t, "TCP", echo.Client[0])
	assert.Positive(t, echo.Length)

	resp, body = get(t, url+"/files/file.txt")
	assert.Equal(t, "text/plain", resp.Header.Get("Content-Type"))
	assert.Len(t, body, 5_000_000)
	resp, body = do(t, request(t, http.MethodHead, url+"/files/file.txt", nil))
	assert.Equal(t, int64(5_000_000), resp.ContentLength)
	assert.Empty(t, body)
	r = request(t, http.MethodGet, url+"/files/file.txt", nil)
	r.Header.Set("Range", "bytes=3-7")
	resp, body = do(t, r)
	assert.Equal(t, http.StatusPartialContent, resp.StatusCode)
	assert.Equal(t, "34567", body)
	resp, _ = get(t, url+"/files/nothing")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)

	resp, _ = get(t, url+"/cookies")
	assert.Equal(t, []string{"a=1 X-Evil: 1  b; Path=/; Max-Age=60; HttpOnly; SameSite=lax", "c=2; Secure"},
		resp.Header["Set-Cookie"])
	assert.Equal(t, "text/html", resp.Header.Get("Content-Type"))
	resp, body = get(t, url+"/tagged")
	assert.Equal(t, `"v1"`, resp.Header.Get("Etag"))
	assert.Equal(t, time.Unix(1000000001, 0).UTC().Format(http.TimeFormat), resp.Header.Get("Last-Modified"))
	assert.Equal(t, "tagged", body)
	r = request(t, http.MethodGet, url+"/tagged", nil)
	r.Header.Set("If-None-Match", `"v1"`)
	resp, body = do(t, r)
	assert.Equal(t, http.StatusNotModified, resp.StatusCode)
	assert.Empty(t, body)

	resp, _ = get(t, url+"/boom")
	assert.Equal(t, http.StatusInternalServerError, resp.StatusCode)
	resp, _ = do(t, request(t, http.MethodPost, url+"/boom", nil))
	assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
	assert.Equal(t, "GET, HEAD", resp.Header.Get("Allow"))

	resp, err := http.DefaultClient.Do(request(t, http.MethodGet, url+"/later", nil))
	require.NoError(t, err)
	_, err = io.ReadFull(resp.Body, make([]byte, 6))
	require.NoError(t, err)
	back.Kill()
	_, err = io.ReadAll(resp.Body)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	resp.Body.Close()
	resp, _ = get(t, url+"/echo")
	assert.Equal(t, http.StatusBadGateway, resp.StatusCode)
}

// TestStockProducer has a client that reads nothing from a push producer and then goes.
func TestStockProducer(t *testing.T) {
	url, _ := stockBack(t)
	counts := func() (paused, resumed, stopped int) {
		_, body := get(t, url+"/counts")
		var n [3]int
		require.NoError(t, json.Unmarshal([]byte(body), &n))
		return n[0], n[1], n[2]
	}
	resp, err := http.DefaultClient.Do(request(t, http.MethodGet, url+"/push", nil))
	require.NoError(t, err)
	wait := func(what string, condition func() bool) {
		require.Eventually(t, condition, wire.Timeout, time.Millisecond, what)
	}
	wait("paused", func() bool { paused, _, _ := counts(); return paused > 0 })
	_, err = io.CopyN(io.Discard, resp.Body, 20<<20)
	require.NoError(t, err)
	wait("resumed", func() bool { _, resumed, _ := counts(); return resumed > 0 })
	resp.Body.Close()
	wait("stopped", func() bool { _, _, stopped := counts(); return stopped == 1 })
}

// TestManyStreams has more streams than a stock peer can hold references, below a stock front: many in progress at
// once, with a bound on memory, and nothing is left of them.
func TestManyStreams(t *testing.T) {
	waves, atOnce := 3, 400 // 1,200 in all: a stock peer holds 1,024 references.
	const perStream = 64 << 10
	stock.Require(t)
	rt := pbtest.NewRuntime(t)
	type stream struct{ began, release chan struct{} }
	wave := make(chan stream, 1)
	ln := listen(t, rt, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := <-wave
		wave <- s
		fmt.Fprintln(w, "first")
		w.(http.Flusher).Flush()
		s.began <- struct{}{}
		<-s.release
		fmt.Fprintln(w, "last")
	}))
	host, port, _ := strings.Cut(ln.Addr().String(), ":")
	url := "http://" + stock.Start(t, "testdata/peer.py", "front", host, port).Addr() + "/site"
	transport := &http.Transport{MaxIdleConnsPerHost: atOnce}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	goroutines, before := runtime.NumGoroutine(), heap()
	for range waves {
		s := stream{make(chan struct{}), make(chan struct{})}
		wave <- s
		var wg sync.WaitGroup
		bodies := make(chan string, atOnce)
		// Requests begin a few at a time, because a Twisted port has room for 50 connections that wait.
		starts := make(chan struct{}, 20)
		for range atOnce {
			wg.Go(func() {
				starts <- struct{}{}
				resp, err := client.Do(request(t, http.MethodGet, url, nil))
				<-starts
				if assert.NoError(t, err) {
					body, err := io.ReadAll(resp.Body)
					assert.NoError(t, err)
					assert.NoError(t, resp.Body.Close())
					bodies <- string(body)
				}
			})
		}
		for range atOnce {
			<-s.began
		}
		require.Eventually(t, func() bool { return broker.StatsOf(rt).Exports == atOnce }, wire.Timeout, time.Millisecond,
			"one producer each")
		assert.Less(t, heap()-before, atOnce*perStream, "the heap while %d streams are in progress", atOnce)
		close(s.release)
		wg.Wait()
		close(bodies)
		for body := range bodies {
			assert.Equal(t, "first\nlast\n", body)
		}
		wantNothingLeft(t, rt)
		<-wave
	}
	transport.CloseIdleConnections()
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+20 }, wire.Timeout, time.Millisecond,
		"goroutines: %d at the start", goroutines) // The connection and the runtime keep a few.
}

// heap returns the bytes of the heap that are in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
