package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// RunServer serves s and answers requests until the end of in. It is the main function of a server process.
func RunServer(s systems.System, in io.Reader, out io.Writer) error {
	if s.Serve == nil {
		return fmt.Errorf("%s has no server of its own", s.Name)
	}
	addr, err := s.Serve()
	if err != nil {
		return fmt.Errorf("serving %s: %w", s.Name, err)
	}
	return Answer(in, out, Reply{Addr: addr}, func(r Request) (Reply, error) {
		if r.Op != OpUsage {
			return Reply{}, fmt.Errorf("unknown server operation %q", r.Op)
		}
		return Usage(r.Collect), nil
	})
}

// RunClient connects and calls as requested until the end of in. It is the main function of a client process.
func RunClient(s systems.System, addr string, in io.Reader, out io.Writer) error {
	client := &client{system: s, addr: addr}
	return Answer(in, out, Reply{}, func(r Request) (Reply, error) {
		return client.do(context.Background(), r)
	})
}

// Answer writes ready, then the reply of do to each request until the end of in.
func Answer(in io.Reader, out io.Writer, ready Reply, do func(Request) (Reply, error)) error {
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
