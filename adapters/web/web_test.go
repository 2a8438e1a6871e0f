package web_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/web"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listen publishes a handler and returns the URL of the back.
func listen(t *testing.T, rt *actor.Runtime, handler http.Handler, opts ...web.PublishOption) *broker.Listener {
	t.Helper()
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", web.Publish(handler, opts...))
	require.NoError(t, err)
	return ln
}

// mount serves a back below /site and returns the URL of that.
func mount(t *testing.T, rt *actor.Runtime, back string, opts ...web.MountOption) string {
	t.Helper()
	client, url := mountEarly(t, rt, back, opts...)
	_, err := client.Conn(t.Context()) // A request waits for a second only.
	require.NoError(t, err)
	return url
}

// mountEarly is mount for a back that need not be there.
func mountEarly(
	t *testing.T, rt *actor.Runtime, back string, opts ...web.MountOption,
) (client web.Client, url string) {
	t.Helper()
	client, err := broker.Reconnect[any](rt, back, nil,
		broker.WithBackoff(supervision.Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond}))
	require.NoError(t, err)
	front := httptest.NewServer(web.Mount(client, append([]web.MountOption{web.WithPrefix("/site")}, opts...)...))
	t.Cleanup(front.Close)
	return client, front.URL + "/site"
}

// site serves a handler through a back and a front of this package.
func site(t *testing.T, handler http.Handler, opts ...web.MountOption) string {
	t.Helper()
	rt := pbtest.NewRuntime(t)
	return mount(t, rt, listen(t, rt, handler).URL(), opts...)
}

func do(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	// A client of its own: tests that look at connections must not share them.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       wire.Timeout,
	}
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	return r
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	return do(t, request(t, http.MethodGet, url, nil))
}

// multipartForm returns a form with a field and a file.
func multipartForm(t *testing.T) (contentType string, body io.Reader) {
	t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	require.NoError(t, w.WriteField("field", "value"))
	part, err := w.CreateFormFile("file", "name.bin")
	require.NoError(t, err)
	_, err = part.Write([]byte{0, 1, 0xfe, 0xff})
	require.NoError(t, errors.Join(err, w.Close()))
	return w.FormDataContentType(), &form
}

func TestRequest(t *testing.T) {
	seen := make(chan *http.Request, 1)
	url := site(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseMultipartForm(1<<20))
		seen <- r
	}))
	contentType, form := multipartForm(t)
	r := request(t, http.MethodPost, url+"/a%20b/c%2Fd/?q=1&q=2", form)
	r.Header.Set("Content-Type", contentType)
	r.Header.Add("X-Twice", "one")
	r.Header.Add("X-Twice", "two")
	r.AddCookie(&http.Cookie{Name: "name", Value: "value"})
	r.Host = "example.org"
	resp, _ := do(t, r)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	got := <-seen
	assert.Equal(t, http.MethodPost, got.Method)
	assert.Equal(t, "/a b/c/d/", got.URL.Path)
	assert.Equal(t, "/a%20b/c%2Fd/", got.URL.EscapedPath())
	assert.Equal(t, "/site/a%20b/c%2Fd/?q=1&q=2", got.RequestURI)
	assert.Equal(t, []string{"1", "2"}, got.Form["q"])
	assert.Equal(t, []string{"value"}, got.PostForm["field"])
	assert.Equal(t, []string{"one", "two"}, got.Header["X-Twice"])
	assert.Equal(t, "example.org", got.Host)
	assert.Contains(t, got.RemoteAddr, "127.0.0.1:")
	c, err := got.Cookie("name")
	require.NoError(t, err)
	assert.Equal(t, "value", c.Value)
	f, err := got.MultipartForm.File["file"][0].Open()
	require.NoError(t, err)
	content, err := io.ReadAll(f)
	require.NoError(t, err)
	assert.Equal(t, []byte{0, 1, 0xfe, 0xff}, content)
}

func TestResponse(t *testing.T) {
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	content := strings.Repeat("0123456789", 30_000)
	mux := http.NewServeMux()
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		http.ServeContent(w, r, "file.txt", modified, strings.NewReader(content))
	})
	mux.HandleFunc("/cookies", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1", Path: "/p", MaxAge: 9, HttpOnly: true, Secure: true,
			SameSite: http.SameSiteStrictMode, Domain: "example.org"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2", SameSite: http.SameSiteNoneMode, Secure: true})
		w.Header().Add("Set-Cookie", "p=3; Partitioned; Priority=High")
		w.Header().Add("Set-Cookie", "evil=1\r\nX-Evil: 1")
		w.Header().Add("Set-Cookie", "no cookie")
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Vary"] = []string{"A", "B"}
		w.Header().Set("X-Nul", "a\x00b")
		w.Header().Set("X-Line", "a\nb")
		w.Header()["Bad Name"] = []string{"x"}
		w.Header().Set("Connection", "upgrade")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "<html>")
	})
	mux.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		_, err := w.Write([]byte("x"))
		assert.ErrorIs(t, err, http.ErrBodyNotAllowed)
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("oops") })
	url := site(t, mux)

	resp, body := get(t, url+"/file")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, content, body)
	assert.Equal(t, int64(len(content)), resp.ContentLength)
	assert.Equal(t, `"v1"`, resp.Header.Get("Etag"))
	assert.Equal(t, modified.Format(http.TimeFormat), resp.Header.Get("Last-Modified"))
	assert.Equal(t, "text/plain; charset=utf-8", resp.Header.Get("Content-Type"))

	resp, body = do(t, request(t, http.MethodHead, url+"/file", nil))
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, int64(len(content)), resp.ContentLength)
	assert.Empty(t, body)

	r := request(t, http.MethodGet, url+"/file", nil)
	r.Header.Set("Range", "bytes=10-19")
	resp, body = do(t, r)
	assert.Equal(t, http.StatusPartialContent, resp.StatusCode)
	assert.Equal(t, "0123456789", body)
	assert.Equal(t, "bytes 10-19/300000", resp.Header.Get("Content-Range"))
	r.Header.Set("Range", "bytes=0-0,5-6")
	resp, body = do(t, r)
	assert.Equal(t, http.StatusPartialContent, resp.StatusCode)
	assert.Contains(t, resp.Header.Get("Content-Type"), "multipart/byteranges")
	assert.Contains(t, body, "\r\n56\r\n")
	r.Header.Set("Range", "bytes=900000-")
	resp, _ = do(t, r)
	assert.Equal(t, http.StatusRequestedRangeNotSatisfiable, resp.StatusCode)
	r.Header.Del("Range")
	r.Header.Set("If-None-Match", `"v1"`)
	resp, body = do(t, r)
	assert.Equal(t, http.StatusNotModified, resp.StatusCode)
	assert.Empty(t, body)

	resp, _ = get(t, url+"/cookies")
	assert.Equal(t, []string{
		"a=1; Domain=example.org; Path=/p; Max-Age=9; Secure; HttpOnly; SameSite=strict",
		"b=2; Secure",
		"p=3",
		"evil=1 X-Evil: 1",
	}, resp.Header["Set-Cookie"])
	assert.Empty(t, resp.Header.Get("X-Evil"))

	resp, body = get(t, url+"/headers")
	assert.Equal(t, http.StatusTeapot, resp.StatusCode)
	assert.Equal(t, "A, B", resp.Header.Get("Vary"))
	assert.Equal(t, "a b", resp.Header.Get("X-Line"))
	assert.Empty(t, resp.Header.Get("X-Nul"))
	assert.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
	assert.Equal(t, int64(6), resp.ContentLength)
	assert.Equal(t, "<html>", body)

	resp, body = get(t, url+"/empty")
	assert.Equal(t, http.StatusNoContent, resp.StatusCode)
	assert.Empty(t, body)
	resp, _ = get(t, url+"/panic")
	assert.Equal(t, http.StatusInternalServerError, resp.StatusCode)
	resp, _ = get(t, strings.TrimSuffix(url, "/site")+"/elsewhere")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)
}

func TestBodyLimit(t *testing.T) {
	url := site(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		assert.NoError(t, err)
		fmt.Fprint(w, n, r.ContentLength)
	}))
	chunked := func(n int) io.Reader { return io.MultiReader(bytes.NewReader(make([]byte, n))) }
	for _, c := range []struct {
		body io.Reader
		code int
	}{
		{bytes.NewReader(make([]byte, web.MaxBody)), http.StatusOK},
		{chunked(web.MaxBody), http.StatusOK},
		{bytes.NewReader(make([]byte, web.MaxBody+1)), http.StatusRequestEntityTooLarge},
		{chunked(web.MaxBody + 1), http.StatusRequestEntityTooLarge},
	} {
		resp, body := do(t, request(t, http.MethodPut, url, c.body))
		assert.Equal(t, c.code, resp.StatusCode)
		if c.code == http.StatusOK {
			assert.Equal(t, strconv.Itoa(web.MaxBody)+" "+strconv.Itoa(web.MaxBody), body)
		}
	}
}

// TestLongRequests sends what a string of Banana cannot hold, and many headers, which it can.
func TestLongRequests(t *testing.T) {
	url := site(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, len(r.Header), " ", len(r.PostFormValue("a")))
	}))
	long := strings.Repeat("x", web.MaxBody)
	resp, _ := get(t, url+"?"+long)
	assert.Equal(t, http.StatusRequestURITooLong, resp.StatusCode)
	for name, value := range map[string]string{"X": long + "x", "Cookie": "a=" + long} {
		r := request(t, http.MethodGet, url, nil)
		r.Header.Set(name, value)
		resp, _ := do(t, r)
		assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode, name)
	}
	r := request(t, http.MethodGet, url, nil)
	for i := range 10_000 {
		r.Header.Set("X-"+strconv.Itoa(i), "v")
	}
	resp, body := do(t, r)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, "10001 0", body, "with User-Agent")
	r = request(t, http.MethodPost, url, strings.NewReader("a="+long[2:]))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, body = do(t, r)
	assert.Contains(t, body, " "+strconv.Itoa(web.MaxBody-2))
}

func TestBadPaths(t *testing.T) {
	url := site(t, http.FileServer(http.Dir(t.TempDir())))
	addr := strings.TrimPrefix(strings.TrimSuffix(url, "/site"), "http://")
	for _, path := range []string{"/site/../x", "/site/a/..", "/site/%2e%2e/x", "/site/a%2f..%2fx", "/site/a%00b"} {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, path)
		resp.Body.Close()
		conn.Close()
	}
}

// TestStream reads each line before the next is written.
func TestStream(t *testing.T) {
	next := make(chan struct{})
	url := site(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			fmt.Fprintln(w, "line", i)
			w.(http.Flusher).Flush()
			<-next
		}
	}))
	resp, err := http.DefaultClient.Do(request(t, http.MethodGet, url, nil))
	require.NoError(t, err)
	defer resp.Body.Close()
	lines := textproto.NewReader(bufio.NewReader(resp.Body))
	for i := range 3 {
		line, err := lines.ReadLine()
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint("line ", i), line)
		next <- struct{}{}
	}
	_, err = lines.ReadLine()
	assert.ErrorIs(t, err, io.EOF)
}

// TestLargeBody sends a body that is much larger than what the two sides may hold.
func TestLargeBody(t *testing.T) {
	block := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
	const blocks = 400 // 50 MiB
	url := site(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range blocks {
			_, err := w.Write(block)
			assert.NoError(t, err)
		}
	}), web.WithResponseBuffer(4<<20))
	want := sha256.New()
	for range blocks {
		want.Write(block)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			resp, err := http.Get(url)
			if !assert.NoError(t, err) {
				return
			}
			defer resp.Body.Close()
			got := sha256.New()
			n, err := io.Copy(got, resp.Body)
			assert.NoError(t, err)
			assert.Equal(t, int64(blocks*len(block)), n)
			assert.Equal(t, want.Sum(nil), got.Sum(nil))
		})
	}
	wg.Wait()
}

// TestSlowClient has a client that reads nothing: the handler waits, and nothing else does.
func TestSlowClient(t *testing.T) {
	written := make(chan int, 10_000)
	mux := http.NewServeMux()
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		defer close(written)
		for {
			n, err := w.Write(make([]byte, 64<<10))
			if err != nil {
				assert.ErrorIs(t, context.Cause(r.Context()), web.ErrClientGone)
				return
			}
			written <- n
		}
	})
	mux.HandleFunc("/quick", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "quick") })
	url := site(t, mux, web.WithResponseBuffer(8<<20))
	resp, err := http.DefaultClient.Do(request(t, http.MethodGet, url+"/endless", nil))
	require.NoError(t, err)
	total := writtenUntilHeldUp(written, func() {
		_, body := get(t, url+"/quick")
		require.Equal(t, "quick", body)
	})
	assert.Less(t, total, 16<<20, "the handler is held up")
	n, err := io.CopyN(io.Discard, resp.Body, 20<<20)
	require.NoError(t, err, "it goes on when the client reads, after %d bytes", n)
	resp.Body.Close()
	for range written {
	}
}

// TestClientGone ends the context of a request whose client goes, before and after the response has begun.
func TestClientGone(t *testing.T) {
	gone, began := make(chan error), make(chan struct{})
	url := site(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			w.(http.Flusher).Flush()
		}
		began <- struct{}{}
		<-r.Context().Done()
		gone <- context.Cause(r.Context())
	}))
	for _, path := range []string{"/silent", "/begun"} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
			if assert.NoError(t, err) {
				resp, err := http.DefaultClient.Do(r)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				assert.ErrorIs(t, err, context.Canceled)
			}
		}()
		<-began
		cancel()
		assert.ErrorIs(t, <-gone, web.ErrClientGone, path)
	}
}

// TestCutOff ends the client's connection when a handler panics, or writes too little, in the middle of a response.
func TestCutOff(t *testing.T) {
	read := make(chan struct{})
	url := site(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/short" {
			w.Header().Set("Content-Length", "100")
		}
		_, _ = io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		<-read
		if r.URL.Path == "/panic" {
			panic("oops")
		}
	}))
	for _, path := range []string{"/panic", "/short"} {
		resp, err := http.DefaultClient.Do(request(t, http.MethodGet, url+path, nil))
		require.NoError(t, err)
		_, err = io.ReadFull(resp.Body, make([]byte, len("begun")))
		require.NoError(t, err)
		read <- struct{}{}
		_, err = io.ReadAll(resp.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, path)
		resp.Body.Close()
	}
}

// TestBackReturns has a back that is not there, one that dies in the middle of a response, and one that returns.
func TestBackReturns(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	path := filepath.Join(t.TempDir(), "back.sock")
	_, url := mountEarly(t, rt, "pb+unix://"+path, web.WithConnectTimeout(50*time.Millisecond))
	resp, _ := get(t, url)
	assert.Equal(t, http.StatusBadGateway, resp.StatusCode)

	for range 2 {
		backs, err := actor.NewRuntime()
		require.NoError(t, err)
		ln, err := broker.Listen(backs, "pb+unix://"+path, web.Publish(http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "begun")
				if r.URL.Path == "/stays" {
					w.(http.Flusher).Flush()
					<-r.Context().Done()
				}
			})))
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			resp, body := get(t, url)
			return resp.StatusCode == http.StatusOK && body == "begun"
		}, wire.Timeout, time.Millisecond)
		resp, err := http.DefaultClient.Do(request(t, http.MethodGet, url+"/stays", nil))
		require.NoError(t, err)
		for _, c := range ln.Conns() {
			c.Abort(nil)
		}
		_, err = io.ReadAll(resp.Body)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
		resp.Body.Close()
		require.NoError(t, backs.Close(t.Context()))
		_ = os.Remove(path)
		resp, _ = get(t, url)
		assert.Equal(t, http.StatusBadGateway, resp.StatusCode)
	}
}

// TestNothingLeft checks that requests leave no exports behind.
func TestNothingLeft(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	ln := listen(t, rt, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, 100_000))
		w.(http.Flusher).Flush()
	}))
	url := mount(t, rt, ln.URL())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				resp, err := http.Get(url)
				if assert.NoError(t, err) {
					_, err = io.Copy(io.Discard, resp.Body)
					assert.NoError(t, err)
					resp.Body.Close()
				}
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool {
		stats := broker.StatsOf(rt)
		return stats.Conns.Open > 0 && stats.Exports == 0 && stats.Imports == 0
	}, wire.Timeout, time.Millisecond)
}

// writtenUntilHeldUp returns how many bytes a handler has written when it writes no more during twenty other requests.
func writtenUntilHeldUp(written <-chan int, request func()) (total int) {
	for quiet := 0; quiet < 20; {
		request()
		before := total
		for len(written) > 0 {
			total += <-written
		}
		if total == before && total > 0 {
			quiet++
		} else {
			quiet = 0
		}
	}
	return total
}
