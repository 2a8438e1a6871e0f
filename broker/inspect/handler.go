package inspect

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
)

const (
	// maxViewers is how many browsers may follow at a time.
	maxViewers = 16
	// writeTime is how long a browser may take to read what was sent.
	writeTime = 5 * time.Second
	// interval is how often a browser that follows gets a snapshot.
	interval = time.Second
)

// Handler returns a handler that shows rt. It answers requests for
//
//	…/          a page that follows the program live
//	…/json      a [Snapshot]
//	…/metrics   metrics in the text format of Prometheus; their names begin with pb_
//	…/events    what the page follows: server-sent events named snapshot, each with a Snapshot
//
// The handler looks at the last element of the path only, so it may be mounted anywhere, with or without
// [http.StripPrefix], at a pattern that ends in a slash. See the package documentation for who should reach it.
func Handler(rt *actor.Runtime) http.Handler { return newHandler(rt) }

// handler is what Handler returns.
type handler struct {
	rt      *actor.Runtime
	sampler *sampler
	viewers atomic.Int64
}

func newHandler(rt *actor.Runtime) *handler { return &handler{rt: rt, sampler: newSampler(rt)} }

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "the inspector changes nothing: use GET", http.StatusMethodNotAllowed)
		return
	case isForeign(r):
		http.Error(w, "the inspector does not answer the pages of other sites", http.StatusForbidden)
		return
	case h.rt.Check() != nil:
		http.Error(w, h.rt.Check().Error(), http.StatusServiceUnavailable)
		return
	}
	dir, last := path.Split(r.URL.Path)
	switch {
	case last == "json":
		if s, err := h.sampler.fresh(r.Context()); err == nil { // Otherwise the client has left.
			header.Set("Content-Type", "application/json; charset=utf-8")
			answer(w, r, s.json)
		}
	case last == "metrics":
		if s, err := h.sampler.fresh(r.Context()); err == nil {
			header.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
			answer(w, r, appendMetrics(nil, h.rt, s))
		}
	case last == "events":
		h.follow(w, r)
	case last == "" && dir != "":
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Content-Security-Policy", contentPolicy())
		header.Set("X-Frame-Options", "DENY")
		answer(w, r, page)
	case last == "":
		// StripPrefix has removed everything: the page's links need a slash at the end.
		header.Set("Location", "./"+lastElement(r.RequestURI)+"/")
		w.WriteHeader(http.StatusMovedPermanently)
	default:
		http.Error(w, "the inspector has a page at /, and json, metrics and events below it", http.StatusNotFound)
	}
}

// isForeign reports whether a browser says that another site's page makes the request. Links to the page are fine.
func isForeign(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

func lastElement(uri string) string {
	u, err := url.ParseRequestURI(uri)
	if err != nil || path.Base(u.Path) == "/" {
		return "."
	}
	return (&url.URL{Path: path.Base(u.Path)}).EscapedPath()
}

// answer writes a response, which a client that does not read cannot hold up for long.
func answer(w http.ResponseWriter, r *http.Request, body []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime)) // Not every writer can.
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // The client may have left.
	}
}

// follow sends snapshots until the browser leaves, does not read for writeTime, or the runtime closes. Each event is
// the latest snapshot, so nothing queues for a slow browser.
func (h *handler) follow(w http.ResponseWriter, r *http.Request) {
	stream := http.NewResponseController(w)
	switch {
	case isClosing(h.rt):
		http.Error(w, "the program is closing", http.StatusServiceUnavailable)
		return
	case stream.SetWriteDeadline(time.Now().Add(writeTime)) != nil:
		// A browser that does not read could not be dropped. The page asks for json instead.
		http.Error(w, "the server cannot limit the time of a write", http.StatusNotImplemented)
		return
	case h.viewers.Add(1) > maxViewers:
		h.viewers.Add(-1)
		http.Error(w, fmt.Sprintf("%d browsers follow already", maxViewers), http.StatusServiceUnavailable)
		return
	}
	defer h.viewers.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for nginx
	if r.Method == http.MethodHead {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var sent *sample
	for {
		s, err := h.sampler.recent(r.Context(), interval*9/10)
		if err != nil {
			return
		}
		if s != sent {
			sent = s
			if writeEvent(w, stream, s.json) != nil {
				return
			}
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-h.rt.Closing():
			return
		}
	}
}

func writeEvent(w http.ResponseWriter, stream *http.ResponseController, data []byte) error {
	if err := stream.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	for _, part := range [][]byte{[]byte("event: snapshot\ndata: "), data, []byte("\n\n")} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return stream.Flush()
}

//go:embed page.html
var page []byte

// contentPolicy allows what is in the page and the server of the page, and nothing else.
var contentPolicy = sync.OnceValue(func() string {
	return "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; " +
		"frame-ancestors 'none'; script-src " + hashOf("script") + "; style-src " + hashOf("style")
})

// hashOf returns the hash of the page's only element with a name.
func hashOf(element string) string {
	_, after, _ := strings.Cut(string(page), "<"+element+">")
	content, _, _ := strings.Cut(after, "</"+element+">")
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
