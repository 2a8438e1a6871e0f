package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/report"
)

//go:embed master.cfg
var masterConfig []byte

// The programs of Debian's packages.
const (
	masterProgram = "/usr/bin/buildbot"
	workerProgram = "/usr/bin/buildbot-worker"
)

// timeout limits each wait for a program.
const timeout = 5 * time.Minute

// figures are the figures of one worker, one for each round.
type figures struct {
	attach           []float64 // ms
	idle, peak       []float64 // MiB of resident memory: attached, and the maximum while the command prints
	ownIdle, ownPeak []float64 // MiB of these that are not pages of files, which the system shares and can drop
	stepCPU, linesMB []float64 // µs for each step; seconds for the printing build
}

// compare measures both workers in turns and prints a table.
func compare(ctx context.Context, o options, out, log io.Writer) (err error) {
	for _, program := range []string{masterProgram, workerProgram} {
		if _, err := os.Stat(program); err != nil {
			return fmt.Errorf("%w; run: apt-get install buildbot buildbot-worker", err)
		}
	}
	var dir string
	dir, err = os.MkdirTemp("", "workers-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(dir)
		} else {
			fmt.Fprintln(log, "the logs are in", dir)
		}
	}()
	ours := filepath.Join(dir, "buildbot-worker")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", ours, "./buildbot-worker")
	build.Dir, build.Env = filepath.Join("..", "cmd"), append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building cmd/buildbot-worker (run this in the directory bench): %w\n%s", err, text)
	}
	s, err := newSite(ctx, dir, ours, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.master.end()) }()
	results := map[string]*figures{"stock": {}, "ours": {}}
	order := []string{"stock", "ours"}
	for round := range o.rounds {
		for _, name := range order {
			fmt.Fprintf(log, "round %d of %d: %s\n", round+1, o.rounds, name)
			if err := s.measure(ctx, name, results[name], o); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		slices.Reverse(order)
	}
	write(out, results)
	return nil
}

// site is a running master.
type site struct {
	dir, port string
	ours      string // the program
	master    *process
	attached  map[string]int // how often, by worker
	builds    int            // that have ended
}

func newSite(ctx context.Context, dir, ours string, o options) (*site, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	_ = ln.Close()
	s := &site{dir: filepath.Join(dir, "master"), port: port, ours: ours, attached: map[string]int{}}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	printer, err := json.Marshal([]string{
		self, "-print", "-rate", strconv.Itoa(o.rate), "-printing", o.printing.String(),
	})
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "master.cfg"), masterConfig, 0o600); err != nil {
		return nil, err
	}
	env := append(os.Environ(), "PB_DIR="+s.dir, "PB_PORT="+port, "PB_STEPS="+strconv.Itoa(o.steps),
		"PB_PRINTER="+string(printer))
	create := exec.CommandContext(ctx, masterProgram, "create-master", s.dir)
	create.Env = env
	if text, err := create.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("buildbot create-master: %w\n%s", err, text)
	}
	if s.master, err = start(ctx, nil, env, masterProgram, "start", "--nodaemon", s.dir); err != nil {
		return nil, err
	}
	if err := s.awaitLog(ctx, "BuildMaster is running", 1); err != nil {
		return nil, errors.Join(err, s.master.end())
	}
	return s, nil
}

// awaitLog waits until the master's log contains text so many times.
func (s *site) awaitLog(ctx context.Context, text string, times int) error {
	return await(ctx, fmt.Sprintf("%q in the master's log", text), func() bool {
		log, err := os.ReadFile(filepath.Join(s.dir, "twistd.log"))
		return err == nil && bytes.Count(log, []byte(text)) >= times
	})
}

// await polls a condition. It is precise to a few milliseconds.
func await(ctx context.Context, what string, condition func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no %s within %v", what, timeout))
	defer cancel()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// measure starts a worker, measures it, and ends it.
func (s *site) measure(ctx context.Context, name string, f *figures, o options) (err error) {
	base, err := os.MkdirTemp(filepath.Dir(s.dir), name+"-")
	if err != nil {
		return err
	}
	command := []string{
		s.ours, "-master", "pb://127.0.0.1:" + s.port, "-name", name, "-password", "sesame", "-basedir", base,
	}
	if name == "stock" {
		create := exec.CommandContext(ctx, workerProgram, "create-worker", base, "127.0.0.1:"+s.port, name, "sesame")
		if text, err := create.CombinedOutput(); err != nil {
			return fmt.Errorf("buildbot-worker create-worker: %w\n%s", err, text)
		}
		command = []string{workerProgram, "start", "--nodaemon", base}
	}
	workerLog, err := os.Create(filepath.Join(base, "bench.log"))
	if err != nil {
		return err
	}
	defer workerLog.Close()
	began := time.Now()
	w, err := start(ctx, workerLog, os.Environ(), command[0], command[1:]...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	s.attached[name]++
	if err := s.awaitLog(ctx, "worker '"+name+"' attaching", s.attached[name]); err != nil {
		return err
	}
	f.attach = append(f.attach, float64(time.Since(began).Microseconds())/1e3)

	if err := s.build(ctx, "short-"+name); err != nil { // so that everything is loaded
		return err
	}
	f.idle, f.ownIdle = append(f.idle, w.memory("VmRSS:")), append(f.ownIdle, w.memory("RssAnon:"))
	before := w.cpu()
	if err := s.build(ctx, "short-"+name); err != nil {
		return err
	}
	f.stepCPU = append(f.stepCPU, float64((w.cpu()-before).Microseconds())/float64(o.steps))
	began = time.Now()
	most := w.watch("RssAnon:")
	err = s.build(ctx, "output-"+name)
	f.ownPeak = append(f.ownPeak, most())
	if err != nil {
		return err
	}
	printed := float64(o.rate) * o.printing.Seconds() / 1e6
	f.linesMB = append(f.linesMB, printed/time.Since(began).Seconds())
	f.peak = append(f.peak, w.memory("VmHWM:"))
	return nil
}

// build has a builder build once, and waits for the end.
func (s *site) build(ctx context.Context, builder string) error {
	send := exec.CommandContext(ctx, masterProgram, "sendchange", "-m", "127.0.0.1:"+s.port, "-a", "change:changepw",
		"-W", "bench", "-b", builder, "-c", "bench", "file")
	if text, err := send.CombinedOutput(); err != nil {
		return fmt.Errorf("buildbot sendchange: %w\n%s", err, text)
	}
	var line struct {
		Builder string `json:"builder"`
		Results int    `json:"results"`
		Text    string `json:"text"` // the master's summary, such as "lost connection"
	}
	s.builds++
	if err := await(ctx, "build of "+builder, func() bool {
		text, err := os.ReadFile(filepath.Join(s.dir, "builds.txt"))
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		return err == nil && len(lines) >= s.builds && json.Unmarshal([]byte(lines[s.builds-1]), &line) == nil
	}); err != nil {
		return err
	}
	if line.Builder != builder || line.Results != 0 {
		return fmt.Errorf("the build of %s ended with %+v", builder, line)
	}
	return nil
}

// process is a running program.
type process struct{ cmd *exec.Cmd }

func start(ctx context.Context, log io.Writer, env []string, program string, args ...string) (*process, error) {
	p := &process{exec.CommandContext(ctx, program, args...)}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, log, log
	p.cmd.WaitDelay = 10 * time.Second
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	return p, p.cmd.Start()
}

// end ends the program. It has no other way to end, so its exit status says nothing.
func (p *process) end() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.AfterFunc(timeout, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	var status *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &status) {
		return err
	}
	return nil
}

// watch looks at a value of memory every few milliseconds, until the returned function is called for the maximum.
func (p *process) watch(key string) (most func() float64) {
	done, result := make(chan struct{}), make(chan float64)
	go func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		highest := 0.0
		for {
			highest = max(highest, p.memory(key))
			select {
			case <-ticker.C:
			case <-done:
				result <- highest
				return
			}
		}
	}()
	return func() float64 {
		close(done)
		return <-result
	}
}

// memory returns a value of /proc/PID/status in MiB.
func (p *process) memory(key string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == key {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			return kib / 1024
		}
	}
	return 0
}

// clockTicks is the unit of times in /proc on every Linux that Go runs on.
const clockTicks = 100

// cpu returns the CPU time of the process, without that of its children.
func (p *process) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// The name of the program, in parentheses, may have spaces. utime and stime are the 12th and 13th field after it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / clockTicks
}

func write(out io.Writer, results map[string]*figures) {
	h := report.CurrentHost()
	fmt.Fprintf(out, "%s · %d × %s · %s · load %s\n", h.Date, h.Cores, h.CPU, h.Go, h.Load)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tstock\tours\tstock / ours\t")
	for _, row := range []struct {
		what string
		of   func(*figures) []float64
	}{
		{"started to attached, ms", func(f *figures) []float64 { return f.attach }},
		{"resident memory, idle after a build, MiB", func(f *figures) []float64 { return f.idle }},
		{"resident memory, maximum while a command prints, MiB", func(f *figures) []float64 { return f.peak }},
		{"without pages of files, idle after a build, MiB", func(f *figures) []float64 { return f.ownIdle }},
		{"without pages of files, maximum while a command prints, MiB", func(f *figures) []float64 { return f.ownPeak }},
		{"CPU for a short step, without the command's, µs", func(f *figures) []float64 { return f.stepCPU }},
		{"output of the printing build, MB/s", func(f *figures) []float64 { return f.linesMB }},
	} {
		stock, ours := report.Median(row.of(results["stock"])), report.Median(row.of(results["ours"]))
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.2f\t\n", row.what, stock, ours, stock/ours)
	}
	_ = t.Flush()
}
