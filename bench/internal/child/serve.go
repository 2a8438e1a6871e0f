package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// Serve is the life of a server's process: it serves until its input ends.
func Serve(s systems.System, in io.Reader, out io.Writer) error {
	addr, err := s.Serve()
	if err != nil {
		return fmt.Errorf("serving %s: %w", s.Name, err)
	}
	return converse(in, out, Reply{Addr: addr}, func(r Request) (Reply, error) {
		if r.Op != OpUsage {
			return Reply{}, fmt.Errorf("a server does not know %q", r.Op)
		}
		return usage(r.Collect), nil
	})
}

// Call is the life of a client's process: it connects and calls as it is asked to until its input ends.
func Call(s systems.System, addr string, in io.Reader, out io.Writer) error {
	client := &client{system: s, addr: addr}
	return converse(in, out, Reply{}, func(r Request) (Reply, error) {
		return client.do(context.Background(), r)
	})
}

func converse(in io.Reader, out io.Writer, ready Reply, do func(Request) (Reply, error)) error {
	w := json.NewEncoder(out)
	if err := w.Encode(ready); err != nil {
		return err
	}
	for r := json.NewDecoder(in); ; {
		var request Request
		err := r.Decode(&request)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		reply, err := do(request)
		if err != nil {
			reply.Error = err.Error()
		}
		if err := w.Encode(reply); err != nil {
			return err
		}
	}
}
