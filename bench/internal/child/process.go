package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// Process is a child, seen by the one that started it.
type Process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	// patience is how long it may take to end.
	patience time.Duration
}

// Pair is a system's two processes.
type Pair struct {
	System         systems.System
	Server, Client *Process
	// Addr is where the server serves.
	Addr string
}

// Roles that this program plays when it is a child: -role server -system NAME, and -role client -system NAME -addr ADDRESS.
const (
	RoleServer = "server"
	RoleClient = "client"
)

// starter starts children: they write what they have to complain of to log, all at once, and have so long to be ready and to end.
type starter struct {
	log        io.Writer
	ready, end time.Duration
}

// StartPair starts a system's server and its client, which has not connected yet. A Go program gets more arguments besides its role. What
// the two complain of goes to log, which takes what both write at once.
func StartPair(ctx context.Context, log io.Writer, s systems.System, more ...string) (*Pair, error) {
	return starter{log: log, ready: 20 * time.Second, end: 5 * time.Second}.pair(ctx, s, more...)
}

func (t starter) pair(ctx context.Context, s systems.System, more ...string) (*Pair, error) {
	if s.Script != "" {
		more = nil
	}
	server, addr, err := t.start(ctx, s, RoleServer, more...)
	if err != nil {
		return nil, err
	}
	client, _, err := t.start(ctx, s, RoleClient, append([]string{"-addr", addr}, more...)...)
	if err != nil {
		return nil, errors.Join(err, server.End())
	}
	return &Pair{System: s, Server: server, Client: client, Addr: addr}, nil
}

// End ends both processes.
func (p *Pair) End() error { return errors.Join(p.Client.End(), p.Server.End()) }

func (t starter) start(ctx context.Context, s systems.System, role string, more ...string) (p *Process, addr string, err error) {
	args := append([]string{"-role", role, "-system", s.Name}, more...)
	program := s.Interpreter
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, "", err
		}
	} else {
		args = append([]string{"-c", s.Script}, args...)
	}
	p = &Process{name: s.Name + "'s " + role, cmd: exec.CommandContext(ctx, program, args...), patience: t.end}
	p.cmd.Stderr = t.log
	p.cmd.WaitDelay = t.end
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, "", err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("starting %s: %w", p.name, err)
	}
	p.out = json.NewDecoder(bufio.NewReader(out))
	late := time.AfterFunc(t.ready, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	reply, err := p.read()
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("%s did not start: %w", p.name, err), p.End())
	}
	return p, reply.Addr, nil
}

// Ask has the child do something and waits until it is done.
func (p *Process) Ask(r Request) (Reply, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return Reply{}, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return Reply{}, fmt.Errorf("%s: %w", p.name, err)
	}
	return p.read()
}

func (p *Process) read() (reply Reply, err error) {
	if err = p.out.Decode(&reply); err == nil && reply.Error != "" {
		err = errors.New(reply.Error)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", p.name, err)
	}
	return reply, err
}

// End ends the child, which has no choice.
func (p *Process) End() error {
	_ = p.in.Close()
	late := time.AfterFunc(p.patience, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s ended badly: %w", p.name, err)
	}
	return nil
}
