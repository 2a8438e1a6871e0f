package webs

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/child"
)

//go:embed stock.py
var stockScript string

// site is what a client talks to: one process, or a front and its back.
type site struct {
	name      string
	processes []*process
	url       string
}

// sites are the names of the sites and their processes, each a program and its role. A front comes after its back.
// "ours" is both ends in Go.
var sites = []struct {
	name    string
	roles   []string
	streams bool
}{
	{"ours", []string{RoleBack, RoleFront}, true},
	{"ours-front", []string{"stock back", RoleFront}, true},
	{"ours-back", []string{RoleBack, "stock front"}, true},
	{"twisted", []string{"stock back", "stock front"}, true},
	{"twisted-alone", []string{"stock alone"}, false},
	{"nethttp-alone", []string{RoleAlone}, false},
}

// start starts the processes of a site. Go ones get the arguments extraArgs too.
func start(ctx context.Context, log io.Writer, name string, roles []string, extraArgs []string) (*site, error) {
	s := &site{name: name}
	addr := ""
	extraArgs = append([]string{"-system", name}, extraArgs...) // for the names of profiles
	for _, role := range roles {
		p, err := startProcess(ctx, log, role, addr, extraArgs)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", name, err), s.end())
		}
		s.processes = append(s.processes, p)
		addr = p.addr
	}
	s.url = "http://" + addr
	return s, nil
}

// end ends the processes, the front first.
func (s *site) end() (err error) {
	for i := len(s.processes) - 1; i >= 0; i-- {
		err = errors.Join(err, s.processes[i].end())
	}
	return err
}

// cpu returns the microseconds of CPU that the processes and this one have taken.
func (s *site) cpu() (float64, error) {
	sum := child.CPU()
	for _, p := range s.processes {
		n, err := p.cpu()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// process is a front or a back.
type process struct {
	role string
	addr string
	cmd  *exec.Cmd
	in   io.WriteCloser
}

const readyTimeout, exitTimeout = time.Minute, 30 * time.Second

func startProcess(ctx context.Context, log io.Writer, role, back string, extraArgs []string) (*process, error) {
	p := &process{role: role}
	if mode, isStock := strings.CutPrefix(role, "stock "); isStock {
		args := []string{"-c", stockScript, mode}
		if mode == "front" {
			args = append(args, strings.Split(back, ":")...)
		}
		p.cmd = exec.CommandContext(ctx, "/usr/bin/python3", args...)
	} else {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		args := append([]string{"-role", role, "-addr", back}, extraArgs...)
		p.cmd = exec.CommandContext(ctx, program, args...)
	}
	p.cmd.Stderr = log
	p.cmd.WaitDelay = exitTimeout
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in = in
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", role, err)
	}
	timer := time.AfterFunc(readyTimeout, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	var r ready
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&r); err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not start: %w", role, err), p.end())
	}
	p.addr = r.Addr
	return p, nil
}

// end closes the standard input of the process and waits for its end.
func (p *process) end() error {
	_ = p.in.Close()
	timer := time.AfterFunc(exitTimeout, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s failed: %w", p.role, err)
	}
	return nil
}

// tick is the unit of times in /proc/PID/stat, in microseconds: USER_HZ is 100 on every Linux.
const tick = 10_000

// cpu returns the user and system time of the process in microseconds.
func (p *process) cpu() (float64, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The name of the program is in parentheses and may contain anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("cannot read the CPU time of %s in %q", p.role, stat)
	}
	user, err1 := strconv.ParseFloat(string(fields[11]), 64)
	system, err2 := strconv.ParseFloat(string(fields[12]), 64)
	return (user + system) * tick, errors.Join(err1, err2)
}
