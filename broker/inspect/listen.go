package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
)

// Server serves the inspector at an address of its own. [Listen] makes it.
type Server struct {
	address net.Addr
	web     *http.Server
	unhook  func()
	served  chan struct{} // closed when Serve has returned

	close sync.Once
	err   error
}

// Listen serves the inspector of rt at address, which is HOST:PORT; port 0 picks a free one. It does not block. The
// server ends with Close, or when rt closes its connections.
//
// At a loopback address requests must have localhost or an IP address as their Host, so that the page of another site
// in a browser on this machine cannot read the inspector under a name that it has made point here. Listen logs a
// warning at any other address, because everybody who reaches it can read the inspector.
func Listen(rt *actor.Runtime, address string) (*Server, error) {
	if err := rt.Check(); err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	sock, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	handler := Handler(rt)
	if isLoopback(sock.Addr()) {
		handler = localOnly(handler)
	} else {
		rt.Logger().Warn().Stringer("address", sock.Addr()).
			Msg("the inspector has no login: everybody who reaches its address can read it")
	}
	s := &Server{
		address: sock.Addr(),
		served:  make(chan struct{}),
		web: &http.Server{
			Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
			ErrorLog: quietLog(),
		},
	}
	go func() {
		defer close(s.served)
		_ = s.web.Serve(sock) // It returns when the server is closed.
	}()
	s.unhook = rt.OnClose(actor.PhaseDisconnect, "inspector at "+sock.Addr().String(), s.shutdown)
	return s, nil
}

func (s *Server) isMade() bool { return s != nil && s.web != nil }

// URL returns the address of the page: http://HOST:PORT. It is empty for a nil or zero Server.
func (s *Server) URL() string {
	if !s.isMade() {
		return ""
	}
	return "http://" + s.address.String()
}

// Close ends the server and what it is sending.
func (s *Server) Close() error {
	if !s.isMade() {
		return nil
	}
	s.unhook()
	return s.end(s.web.Close)
}

// shutdown lets requests end first. Those of browsers that follow have ended with the runtime.
func (s *Server) shutdown(ctx context.Context) error {
	return s.end(func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := s.web.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			err = s.web.Close()
		}
		return err
	})
}

func (s *Server) end(how func() error) error {
	s.close.Do(func() {
		s.err = how()
		<-s.served
	})
	return s.err
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// localOnly answers requests whose Host is localhost or an IP address only.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocalName(r.Host) {
			http.Error(w, "use localhost or an IP address to reach the inspector", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLocalName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return host == "localhost" || net.ParseIP(host) != nil
}

// quietLog drops what net/http logs about clients, such as those that end a TLS handshake.
func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }
