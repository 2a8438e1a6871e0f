package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/internal/exampletest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func fetch(t *testing.T, r *http.Request) (code int, body string) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestWebspace(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("content"), 0o600))
	require.NoError(t, os.Symlink("/etc", filepath.Join(dir, "out")))
	s := exampletest.New(t)
	endBack := s.Start(run, "back", "-listen", "pb://127.0.0.1:0", "-dir", dir)
	back := "pb://" + s.Line("listening pb://")
	endFront := s.Start(run, "front", "-listen", "127.0.0.1:0", "-back", back, "-mount", "/site/")
	url := "http://" + s.Line("listening http://") + "/site"
	get := func(path string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		require.NoError(t, err)
		return fetch(t, r)
	}

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/echo?q=1", strings.NewReader("a=b&a=c"))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	code, body := fetch(t, r)
	require.Equal(t, http.StatusOK, code)
	var echo struct {
		Method, Path, Query, SHA256 string
		Length                      int
		Form, Headers               map[string][]string
	}
	require.NoError(t, json.Unmarshal([]byte(body), &echo))
	assert.Equal(t, "POST", echo.Method)
	assert.Equal(t, "/echo", echo.Path)
	assert.Equal(t, "q=1", echo.Query)
	assert.Equal(t, 7, echo.Length)
	assert.Equal(t, "0c793078cf07b20b56c7f28ee8f2ea7533f7bbdd8953719369467f2dc4e456bd", echo.SHA256)
	assert.Equal(t, map[string][]string{"a": {"b", "c"}}, echo.Form)
	assert.NotEmpty(t, echo.Headers["Host"])

	for path, want := range map[string]struct {
		code int
		body string
	}{
		"/files/a.txt":           {http.StatusOK, "content"},
		"/files/out/passwd":      {http.StatusInternalServerError, ""},
		"/files/none":            {http.StatusNotFound, ""},
		"/stream?n=2&ms=1":       {http.StatusOK, "line 0\nline 1\n"},
		"/slow?ms=20":            {http.StatusOK, "waited 20 ms\n"},
		"/big?bytes=5":           {http.StatusOK, "\x00\x00\x00\x00\x00"},
		"/big?bytes=-1":          {http.StatusBadRequest, ""},
		"/cookie?name=a&value=b": {http.StatusOK, "set a\n"},
		"/redirect":              {http.StatusFound, ""},
		"/status?code=418":       {http.StatusTeapot, "418 I'm a teapot\n"},
		"/status?code=99":        {http.StatusBadRequest, ""},
		"/panic":                 {http.StatusInternalServerError, ""},
		"/nothing":               {http.StatusNotFound, ""},
	} {
		code, body := get(path)
		assert.Equal(t, want.code, code, path)
		if want.body != "" {
			assert.Equal(t, want.body, body, path)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err = http.NewRequestWithContext(ctx, http.MethodGet, url+"/stream?n=2&ms=60000", nil)
	require.NoError(t, err)
	resp, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.ReadFull(resp.Body, make([]byte, len("line 0\n")))
	require.NoError(t, err, "the request is at the back")
	cancel()
	require.Eventually(t, func() bool {
		_, body := get("/gone")
		return body == "{\"gone\":1}\n"
	}, exampletest.Timeout, time.Millisecond)
	// Before a response begins, nothing tells when the request is at the back: one that left earlier is not counted.
	patience := 50 * time.Millisecond
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		patience *= 2
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/slow?ms=3600000", nil)
		require.NoError(t, err)
		_, err = http.DefaultTransport.RoundTrip(r) //nolint:bodyclose // There is no response.
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, body := get("/gone")
		return body != "{\"gone\":1}\n"
	}, exampletest.Timeout, time.Millisecond)

	require.NoError(t, endBack())
	code, _ = get("/echo")
	assert.Equal(t, http.StatusBadGateway, code)
	require.NoError(t, endFront())
	require.ErrorContains(t, s.Run(run), "back")
	require.ErrorContains(t, s.Run(run, "middle"), "middle")
	require.ErrorContains(t, s.Run(run, "back", "public_html"), "public_html")
	require.Error(t, s.Run(run, "back", "-dir", filepath.Join(dir, "none")))
}
