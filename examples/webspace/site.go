package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/adapters/web"
)

// site returns the handler of the back.
func site(dir string) (http.Handler, error) {
	root, err := os.OpenRoot(dir) // Links that lead out of the directory are not followed.
	if err != nil {
		return nil, err
	}
	var gone atomic.Int64
	mux := http.NewServeMux()
	mux.Handle("/files/", http.StripPrefix("/files/", http.FileServerFS(root.FS())))
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/slow", slow)
	mux.HandleFunc("/stream", stream)
	mux.HandleFunc("/big", big)
	mux.HandleFunc("/cookie", setCookie)
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "echo")
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/status", func(w http.ResponseWriter, r *http.Request) {
		code := int(number(r, "code", http.StatusOK))
		if code < 200 || code > 999 {
			http.Error(w, "code must be from 200 to 999", http.StatusBadRequest)
			return
		}
		w.WriteHeader(code)
		fmt.Fprintln(w, code, http.StatusText(code)) // A status without a body refuses it.
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) {
		panic("the request asked for a panic") //nolint:forbidigo // it shows what the client gets
	})
	mux.HandleFunc("/gone", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]int64{"gone": gone.Load()})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if errors.Is(context.Cause(r.Context()), web.ErrClientGone) {
				gone.Add(1)
			}
		}()
		mux.ServeHTTP(w, r)
	}), nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // A client that has gone gets nothing.
}

// number returns a parameter of the query.
func number(r *http.Request, name string, otherwise int64) int64 {
	n, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

// echo describes the request.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sum := sha256.Sum256(body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var form map[string][]string
	switch err := r.ParseMultipartForm(web.MaxBody); {
	case err == nil, errors.Is(err, http.ErrNotMultipart):
		form = r.PostForm
		if r.MultipartForm != nil {
			form = formOf(r)
		}
	default:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Header.Set("Host", r.Host) // net/http keeps it elsewhere.
	writeJSON(w, map[string]any{
		"method": r.Method, "path": r.URL.Path, "query": r.URL.RawQuery, "headers": r.Header, "form": form,
		"length": len(body), "sha256": hex.EncodeToString(sum[:]),
	})
}

// formOf returns the fields of a multipart form, and the content of its files.
func formOf(r *http.Request) map[string][]string {
	form := map[string][]string{}
	for name, values := range r.MultipartForm.Value {
		form[name] = append(form[name], values...)
	}
	for name, files := range r.MultipartForm.File {
		for _, header := range files {
			f, err := header.Open()
			if err != nil {
				continue
			}
			content, _ := io.ReadAll(f) // It is in memory.
			_ = f.Close()
			form[name] = append(form[name], string(content))
		}
	}
	return form
}

// slow answers after some milliseconds.
func slow(w http.ResponseWriter, r *http.Request) {
	ms := number(r, "ms", 1000)
	if pause(r, ms) {
		fmt.Fprintln(w, "waited", ms, "ms")
	}
}

// pause waits, and reports false if the request ends first.
func pause(r *http.Request, ms int64) bool {
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
		return true
	case <-r.Context().Done():
		return false
	}
}

// stream sends lines, one every so many milliseconds.
func stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	ms := number(r, "ms", 100)
	for i := range number(r, "n", 10) {
		if i > 0 && !pause(r, ms) {
			return
		}
		if _, err := fmt.Fprintln(w, "line", i); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
	}
}

// zeros is an endless reader.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// big sends many bytes.
func big(w http.ResponseWriter, r *http.Request) {
	n := number(r, "bytes", 1<<20)
	if n < 0 {
		http.Error(w, "bytes must not be negative", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = io.CopyN(w, zeros{}, n) // A client that has gone gets nothing.
}

// setCookie sets a cookie.
func setCookie(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	http.SetCookie(w, &http.Cookie{Name: q.Get("name"), Value: q.Get("value"), Path: "/", HttpOnly: true})
	fmt.Fprintln(w, "set", q.Get("name"))
}
