package webs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/web"
	"github.com/perspectivebroker/pb/broker"
)

// The roles of a Go process: a front before the back at an address, a back, and net/http without either.
const (
	RoleFront = "web-front"
	RoleBack  = "web-back"
	RoleAlone = "web-alone"
)

// IsRole reports whether role is one of this package.
func IsRole(role string) bool { return role == RoleFront || role == RoleBack || role == RoleAlone }

const (
	// Page is the page that every back serves at /page.html.
	Page = "<p>a page of a few bytes</p>"
	// Big is how many bytes /big has.
	Big = 16 << 20
)

// Handler returns the site of the Go backs.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/page.html", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, Page) // A client that has gone gets nothing.
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) {
		block := make([]byte, 128<<10)
		w.Header().Set("Content-Type", "application/octet-stream")
		for range Big / len(block) {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	return mux
}

// ready is the first line that a process prints.
type ready struct {
	Addr string `json:"addr"`
}

// Serve is the main function of a Go process. It prints its address to out and serves until in ends. back is the
// address of a front's back.
func Serve(role, back string, in io.Reader, out io.Writer) (err error) {
	rt, err := actor.NewRuntime()
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		err = errors.Join(err, rt.Close(end))
	}()
	var addr string
	switch role {
	case RoleBack:
		ln, err := broker.Listen(rt, "pb://127.0.0.1:0", web.Publish(Handler()))
		if err != nil {
			return err
		}
		addr = ln.Addr().String()
	case RoleFront, RoleAlone:
		handler := Handler()
		if role == RoleFront {
			client, err := broker.Reconnect[any](rt, "pb://"+back, nil)
			if err != nil {
				return err
			}
			handler = web.Mount(client)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = server.Serve(ln) // It ends with Close.
		}()
		defer func() {
			_ = server.Close()
			<-ended
		}()
		addr = ln.Addr().String()
	default:
		return fmt.Errorf("unknown role %q", role)
	}
	if err := json.NewEncoder(out).Encode(ready{addr}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}
