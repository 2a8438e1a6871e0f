package web

import (
	"errors"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// notDoneYet is the answer to a request: twisted.web.server.NOT_DONE_YET.
const notDoneYet = 1

// Publisher is a back: a twisted.web.distrib.ResourcePublisher whose resources are an [http.Handler]. [Publish] makes
// it. It may be published on several listeners.
type Publisher struct {
	flavors.Root

	handler http.Handler
	stall   time.Duration
}

// Publish returns the object that serves a handler to fronts, to listen with. Each request runs on a goroutine of its
// own. Its context ends when the front's client has gone, with the cause [ErrClientGone], and with the connection to
// the front. A panic of the handler is answered with 500, or ends the response.
func Publish(handler http.Handler, opts ...PublishOption) *Publisher {
	if handler == nil {
		handler = http.DefaultServeMux
	}
	p := &Publisher{handler: handler, stall: 2 * time.Minute}
	for _, opt := range opts {
		opt.applyPublish(p)
	}
	return p
}

// RegisterClasses registers the class of requests. The listener calls it.
func (*Publisher) RegisterClasses(r *jelly.Registry) error {
	if _, ok := r.Lookup(requestClass); ok {
		return nil
	}
	return flavors.RegisterCopy[incoming](r, requestClass)
}

// HandleRemote implements flavors.Handler. It takes requests.
func (p *Publisher) HandleRemote(inv *flavors.Invocation) (any, error) {
	if inv.Method != "request" {
		return nil, flavors.NoSuchMethod.Errorf("a publisher has no method %s", jelly.Format(inv.Method))
	}
	q, ok := arg(inv, 0, "request").(*incoming)
	if !ok {
		return nil, flavors.TypeError.Errorf("request() wants a %s", requestClass)
	}
	if q.remote == nil {
		return nil, flavors.TypeError.New("the request has no remote")
	}
	go p.serve(inv.Conn(), q)
	return notDoneYet, nil
}

// serve answers a request.
func (p *Publisher) serve(conn flavors.Conn, q *incoming) {
	w := newWriter(conn.Context(), p, q)
	defer w.cancel(nil)
	r, err := (*http.Request)(nil), q.err
	if err == nil {
		r, err = q.httpRequest()
	}
	if err != nil {
		if q.err == nil {
			q.code = http.StatusBadRequest
		}
		http.Error(w, "The request cannot be served: "+err.Error(), q.code)
		w.end()
		return
	}
	slow := time.AfterFunc(producerDelay, w.register)
	defer slow.Stop()
	if p.run(conn, w, r.WithContext(w.ctx)) {
		w.end()
	} else {
		w.abort()
	}
}

// run runs the handler. It reports false if the response must be cut off.
func (p *Publisher) run(conn flavors.Conn, w *writer, r *http.Request) (complete bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			conn.Logger().Error().Str("method", r.Method).Str("path", r.URL.Path).Str("panic", panicText(v)).
				Bytes("stack", debug.Stack()).Msg("a handler panicked")
			complete = w.replace(http.StatusInternalServerError)
			return
		}
		complete = false
	}()
	p.handler.ServeHTTP(w, r)
	return true
}

// panicText describes the value of a panic.
func panicText(v any) string {
	switch v := v.(type) {
	case error:
		return v.Error()
	case string:
		return v
	}
	return jelly.Format(v)
}
