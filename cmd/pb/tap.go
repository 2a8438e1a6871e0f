package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/cmd/pb/internal/peer"
	"github.com/perspectivebroker/pb/cmd/pb/internal/trace"
)

var tapCommand = command{
	name: "tap", usage: "[flags] -listen URL -to URL [-w FILE]",
	summary: "passes on the conversation of two programs and prints it",
	detail: `The bytes are passed on unchanged. Each message is a line: the time (UTC), the connection's number, > to the
server or < from it, the expression, and for an answer the method of its call and the time it took. The lines and the
recording contain everything that the programs send, secrets included.
With pbs:// in -listen, -cert and -key are the server's.`,
	prepare: prepareTap,
}

func prepareTap(f *flags) func(context.Context, *env, []string) error {
	t := newTap()
	listen := f.set.String("listen", "", "accept connections at `URL`")
	to := f.set.String("to", "", "pass them on to `URL`")
	file := f.set.String("w", "", "record the conversation in `FILE`, for pb decode")
	p := &peerFlags{
		ca:         f.set.String("ca", "", "trust the certificates in `FILE` instead of the system's"),
		cert:       f.set.String("cert", "", "present the certificate in `FILE`"),
		key:        f.set.String("key", "", "the certificate's key, in `FILE`"),
		serverName: f.set.String("server-name", "", "the `NAME` that the server's certificate must have"),
	}
	return func(ctx context.Context, e *env, args []string) error {
		if *listen == "" || *to == "" || len(args) > 0 {
			return usage("-listen and -to are required, and nothing else may follow")
		}
		here, err := peer.ParseTarget(*listen)
		if err != nil {
			return usageError{err}
		}
		if t.to, err = peer.ParseTarget(*to); err != nil {
			return usageError{err}
		}
		if t.config, err = p.tls(here.TLS || t.to.TLS); err != nil {
			return usageError{err}
		}
		if here.TLS && len(t.config.Certificates) == 0 {
			return usage("-listen with pbs:// needs -cert and -key")
		}
		t.env, t.printer.W = e, e.stdout
		if *file != "" {
			out, err := os.OpenFile(*file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			if err != nil {
				return usageError{err}
			}
			defer out.Close()
			if t.recorder, err = trace.NewRecorder(out); err != nil {
				return err
			}
		}
		return t.serve(ctx, here)
	}
}

// tap is a relay that shows what it passes on.
type tap struct {
	env    *env
	to     peer.Target
	config *tls.Config
	began  time.Time

	mu       sync.Mutex // held while an event is recorded and printed
	printer  trace.Printer
	recorder *trace.Recorder
	failed   error
	failing  context.CancelCauseFunc
}

func newTap() *tap { return &tap{began: time.Now()} }

// now returns the time of day when the tap began and what has passed since, so that a step of the clock changes no
// duration. The result has no monotonic part: what is printed of it is what pb decode prints of the recording.
func (t *tap) now() time.Time { return t.began.Add(time.Since(t.began)).Round(0) }

func (t *tap) serve(ctx context.Context, here peer.Target) error {
	if here.Network == "unix" {
		if err := removeSocket(here.Address); err != nil {
			return err
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, here.Network, here.Address)
	if err != nil {
		return connectionError{err}
	}
	ctx, t.failing = context.WithCancelCause(ctx)
	defer t.failing(nil)
	context.AfterFunc(ctx, func() { l.Close() })
	t.env.note("listening %s", listenURL(here, l.Addr()))
	if here.TLS {
		l = tls.NewListener(l, &tls.Config{Certificates: t.config.Certificates, MinVersion: tls.VersionTLS12})
	}
	var relays sync.WaitGroup
	defer relays.Wait()
	for n := 1; ; n++ {
		sock, err := l.Accept()
		switch {
		case err == nil:
			relays.Go(func() { t.relay(ctx, n, sock) })
		case errors.Is(context.Cause(ctx), errInterrupted):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return err
		}
	}
}

// removeSocket removes a socket that a program has left behind.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode()&fs.ModeSocket == 0 {
		err = fmt.Errorf("%s exists and is no socket", path)
	}
	if err != nil {
		return usageError{err}
	}
	if sock, err := net.Dial("unix", path); err == nil {
		sock.Close()
		return usage("another program listens at %s", path)
	}
	return os.Remove(path)
}

func listenURL(t peer.Target, at net.Addr) string {
	scheme := "pb"
	switch {
	case t.Network == "unix":
		return "pb+unix://" + (&url.URL{Path: t.Address}).EscapedPath()
	case t.TLS:
		scheme = "pbs"
	}
	return scheme + "://" + at.String()
}

// relay passes one connection on.
func (t *tap) relay(ctx context.Context, n int, client net.Conn) {
	defer client.Close()
	dialing, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	server, err := t.to.Socket(dialing, t.config)
	if err != nil {
		t.env.note("pb tap: connection %d: no connection to %s: %v", n, t.to.Address, err)
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
	var both sync.WaitGroup
	both.Go(func() { t.pass(client, server, n, trace.ToServer) })
	both.Go(func() { t.pass(server, client, n, trace.FromServer) })
	both.Wait()
}

// pass copies one direction. An event is shown before its bytes are passed on, so an answer comes after its call.
func (t *tap) pass(from, to net.Conn, n int, dir trace.Direction) {
	buf := make([]byte, 64<<10)
	for {
		k, err := from.Read(buf)
		if k > 0 {
			t.event(trace.Event{Conn: n, Dir: dir, Data: buf[:k]})
			if _, failed := to.Write(buf[:k]); failed != nil {
				err = failed
			}
		}
		if err != nil {
			t.event(trace.Event{Conn: n, Dir: dir, End: true})
			half, ok := to.(interface{ CloseWrite() error })
			if !errors.Is(err, io.EOF) || !ok || half.CloseWrite() != nil {
				from.Close()
				to.Close()
			}
			return
		}
	}
}

// event shows an event. If that fails, the tap ends: a tap that does not see is of no use.
func (t *tap) event(e trace.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.At = t.now()
	if t.failed != nil {
		return
	}
	if t.recorder != nil {
		t.failed = t.recorder.Event(e)
	}
	if t.failed == nil {
		t.failed = t.printer.Event(e)
	}
	if t.failed != nil {
		t.failing(t.failed)
	}
}
