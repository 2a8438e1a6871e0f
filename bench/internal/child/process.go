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
	"strings"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/link"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// Process is a running child process.
type Process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	// exitTimeout is how long the process may take to exit before it is killed.
	exitTimeout time.Duration
}

// Pair is the two processes of a system, and more if its server is a gateway.
type Pair struct {
	System         systems.System
	Server, Client *Process
	// Behind are the processes that the server passes calls on to.
	Behind []*Process
	// Addr is the address that the client connects to: the server's, or that of the relay in front of it.
	Addr  string
	relay *link.Relay
}

// The roles of a child: -role server -system NAME, or -role client -system NAME -addr ADDRESS.
const (
	RoleServer = "server"
	RoleClient = "client"
)

// starter starts children.
type starter struct {
	log                       io.Writer // receives the standard error of all children concurrently
	delay                     time.Duration
	readyTimeout, exitTimeout time.Duration
}

// StartPair starts a system's server and client. The client does not connect yet. A Go program gets the arguments
// extraArgs in addition to its role. With a delay there is a relay in this process between them, and each byte arrives
// that much later. The standard error of both processes goes to log, which must allow concurrent writes.
func StartPair(
	ctx context.Context, log io.Writer, s systems.System, delay time.Duration, extraArgs ...string,
) (*Pair, error) {
	t := standard(log)
	t.delay = delay
	return t.pair(ctx, s, extraArgs...)
}

// standard returns a starter with the usual times.
func standard(log io.Writer) starter {
	return starter{log: log, readyTimeout: time.Minute, exitTimeout: 30 * time.Second}
}

// Start starts one process of a system in a role and returns the address in its first reply. A Go program gets the
// arguments extraArgs in addition to its role. Its standard error goes to log, which must allow concurrent writes.
func Start(
	ctx context.Context, log io.Writer, s systems.System, role string, extraArgs ...string,
) (p *Process, addr string, err error) {
	return standard(log).start(ctx, s, role, extraArgs...)
}

// NewPair starts the client of a pair whose servers run: the first is the one that the client connects to. They end
// with the pair, or if the client does not start.
func NewPair(
	ctx context.Context, log io.Writer, s systems.System, addr string, servers []*Process, extraArgs ...string,
) (*Pair, error) {
	p := &Pair{System: s, Server: servers[0], Behind: servers[1:], Addr: addr}
	var err error
	p.Client, _, err = standard(log).start(ctx, s, RoleClient, append([]string{"-addr", addr}, extraArgs...)...)
	if err != nil {
		return nil, errors.Join(err, p.endServers())
	}
	return p, nil
}

func (t starter) pair(ctx context.Context, s systems.System, extraArgs ...string) (*Pair, error) {
	if s.Script != "" {
		extraArgs = nil
	}
	server, addr, err := t.start(ctx, s, RoleServer, extraArgs...)
	if err != nil {
		return nil, err
	}
	var relay *link.Relay
	if t.delay > 0 {
		if relay, addr, err = delayed(addr, t.delay); err != nil {
			return nil, errors.Join(err, server.End())
		}
	}
	client, _, err := t.start(ctx, s, RoleClient, append([]string{"-addr", addr}, extraArgs...)...)
	if err != nil {
		return nil, errors.Join(err, server.End(), closeRelay(relay))
	}
	return &Pair{System: s, Server: server, Client: client, Addr: addr, relay: relay}, nil
}

// delayed starts a relay to addr, which is host:port, or a URL with it. It returns addr with the relay's host:port.
func delayed(addr string, delay time.Duration) (*link.Relay, string, error) {
	scheme, hostPort, isURL := strings.Cut(addr, "://")
	if !isURL {
		hostPort = addr
	}
	relay, err := link.Listen(hostPort, delay)
	if err != nil {
		return nil, "", err
	}
	if !isURL {
		return relay, relay.Addr(), nil
	}
	return relay, scheme + "://" + relay.Addr(), nil
}

func closeRelay(r *link.Relay) error {
	if r == nil {
		return nil
	}
	return r.Close()
}

// End ends the processes.
func (p *Pair) End() error { return errors.Join(p.Client.End(), p.endServers(), closeRelay(p.relay)) }

func (p *Pair) endServers() error {
	err := p.Server.End()
	for _, b := range p.Behind {
		err = errors.Join(err, b.End())
	}
	return err
}

// ServerCPU returns the CPU time of all processes but the client, in microseconds.
func (p *Pair) ServerCPU() (float64, error) {
	var sum float64
	for _, s := range append([]*Process{p.Server}, p.Behind...) {
		u, err := s.Ask(Request{Op: OpUsage})
		if err != nil {
			return 0, err
		}
		sum += u.CPU
	}
	return sum, nil
}

func (t starter) start(
	ctx context.Context, s systems.System, role string, extraArgs ...string,
) (p *Process, addr string, err error) {
	args := append([]string{"-role", role, "-system", s.Name}, extraArgs...)
	program := s.Interpreter
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, "", err
		}
	} else {
		args = append([]string{"-c", s.Script}, args...)
	}
	p = &Process{name: s.Name + " " + role, cmd: exec.CommandContext(ctx, program, args...), exitTimeout: t.exitTimeout}
	p.cmd.Stderr = t.log
	p.cmd.WaitDelay = t.exitTimeout
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
	timer := time.AfterFunc(t.readyTimeout, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	reply, err := p.read()
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("%s did not start: %w", p.name, err), p.End())
	}
	return p, reply.Addr, nil
}

// Ask sends a request to the child and waits for the reply. An error in the reply is returned as an error.
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

// End closes the child's standard input and waits for it to exit. A child that takes too long is killed.
func (p *Process) End() error {
	_ = p.in.Close()
	timer := time.AfterFunc(p.exitTimeout, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s failed: %w", p.name, err)
	}
	return nil
}

// Kill kills the child, as kill -9 does, and waits for its end. when is the time just before.
func (p *Process) Kill() (when time.Time, err error) {
	when = time.Now()
	if err := p.cmd.Process.Kill(); err != nil {
		return when, err
	}
	_ = p.cmd.Wait() // It was killed, and the error says so.
	return when, nil
}
