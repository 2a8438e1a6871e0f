package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/flavors"
)

const (
	// backupTime is how long a killed process may take to die, as in the stock worker.
	backupTime = 5 * time.Second
	// drainTime is how long to read a killed process's output: a process outside its group may hold the pipe.
	drainTime = time.Second
)

// task is a program to run, and how to report it.
type task struct {
	argv           []string
	display, shown string // the command as a shell line and as a Python programmer sees it, without secrets
	program        string // the name of its program, without secrets
	dir            string
	env            map[string]string
	stdin          *string // nil for none
	logfiles       []logfile
	logsShown      string

	timeout     seconds // without output
	maxTime     seconds // in all
	sigtermTime seconds // between SIGTERM and signal
	signal      syscall.Signal
	maxLines    int64 // of both streams together, if limitLines

	wantStdout, wantStderr, sendRC, logEnviron, pty, limitLines bool
}

// run runs the task to its end. An error means that the program did not end, or could not be started.
func (t *task) run(ctx context.Context, out *report) (int, error) {
	if err := os.MkdirAll(t.dir, 0o777); err != nil {
		return -1, failure(err)
	}
	pty := t.pty
	if pty && (t.stdin != nil || !havePTY) {
		out.header("WARNING: disabling usePTY for this command\n")
		pty = false
	}
	dir, err := filepath.Abs(t.dir)
	if err != nil {
		return -1, failure(err)
	}
	t.env["PWD"] = dir
	t.introduce(out, pty)
	began := time.Now()
	follow := newFollower(t.logfiles)
	p, err := t.start(out, pty)
	if err != nil {
		// This is the exit code of the stock worker, which finds out in the child.
		out.text("stderr", fmt.Sprintf("cannot run %s: %s\n", t.program, reason(err)))
		return t.report(out, began, 1, 0), nil
	}
	follow.begin(out, p)
	code, signal, err := t.attend(ctx, out, p)
	follow.stop()
	if err != nil {
		return -1, err
	}
	return t.report(out, began, code, signal), nil
}

// introduce writes the log's first lines, which describe the command. They are one report, because each costs the
// command a turn.
func (t *task) introduce(out *report, pty bool) {
	var text strings.Builder
	text.WriteString(t.display + "\n in dir " + t.dir)
	for _, limit := range []struct {
		name string
		s    seconds
	}{{"timeout", t.timeout}, {"maxTime", t.maxTime}} {
		if limit.s.limits() {
			unit := "secs"
			if limit.s.duration() == time.Second {
				unit = "sec"
			}
			fmt.Fprintf(&text, " (%s %s %s)", limit.name, limit.s, unit)
		}
	}
	shown := t.logsShown
	if shown == "" {
		shown = "{}"
	}
	text.WriteString("\n watching logfiles " + shown + "\n argv: " + t.shown + "\n")
	if t.logEnviron {
		text.WriteString(" environment:\n")
		for _, name := range slices.Sorted(maps.Keys(t.env)) {
			text.WriteString("  " + name + "=" + t.env[name] + "\n")
		}
	}
	if t.stdin != nil && *t.stdin != "" {
		fmt.Fprintf(&text, " writing %d bytes to stdin\n", len(*t.stdin))
	}
	text.WriteString(" using PTY: " + python(pty) + "\n")
	out.header(text.String())
}

// report reports how the process ended.
func (t *task) report(out *report, began time.Time, code int, signal syscall.Signal) int {
	if t.sendRC {
		if signal != 0 {
			out.header(fmt.Sprintf("process killed by signal %d\n", int(signal)))
		}
		out.rc(code)
	}
	out.header(fmt.Sprintf("elapsedTime=%.6f\n", time.Since(began).Seconds()))
	return code
}

// attend waits for the process to end, and kills it on a timeout or when ctx ends. Reports do not delay it: a master
// that reads nothing must not keep a process alive.
func (t *task) attend(ctx context.Context, out *report, p *process) (code int, signal syscall.Signal, err error) {
	limits := t.newLimits()
	defer limits.stop()
	var telling sync.WaitGroup
	defer telling.Wait()
	interrupted := ctx.Done()
	exited, drained := p.exited, p.drained
	overran := p.overran
	// Masters from 3.10 on show the reason instead of the exit code.
	kill := func(reason, why string) {
		interrupted, overran, limits.silence.C, limits.total.C = nil, nil, nil, nil
		telling.Go(func() {
			if reason != "" {
				out.status("failure_reason", reason)
			}
			out.header("\n" + why + ", attempting to kill\n")
		})
		p.killed = true
		if t.sigtermTime.number != nil {
			p.kill(syscall.SIGTERM)
			limits.term.start(t.sigtermTime.duration())
			return
		}
		p.kill(t.signal)
		limits.backup.start(backupTime)
	}
	for exited != nil || drained != nil {
		select {
		case <-exited:
			exited = nil
			if p.killed {
				limits.drain.start(drainTime)
			}
		case <-drained:
			drained = nil
		case <-interrupted:
			kill("", errInterrupted.Error())
		case <-overran:
			kill("max_lines_failure", fmt.Sprintf("command exceeds max lines: %d/%d written/allowed running %s",
				p.lines.Load(), t.maxLines, t.shown))
		case <-limits.silence.C:
			if left := t.timeout.duration() - p.silence(); left > 0 {
				limits.silence.start(left)
				continue
			}
			kill(
				"timeout_without_output",
				fmt.Sprintf("command timed out: %s seconds without output running %s", t.timeout, t.shown),
			)
		case <-limits.total.C:
			kill("timeout", fmt.Sprintf("command timed out: %s seconds elapsed running %s", t.maxTime, t.shown))
		case <-limits.term.C:
			p.kill(t.signal)
			limits.backup.start(backupTime)
		case <-limits.drain.C:
			p.stopReading()
		case <-limits.backup.C:
			if exited == nil {
				p.stopReading()
				continue
			}
			telling.Wait()
			return -1, 0, t.giveUp(out, p)
		}
	}
	code, signal = p.result()
	return code, signal, nil
}

// giveUp gives up a process that does not die.
func (t *task) giveUp(out *report, p *process) error {
	p.stopReading()
	text := signalName(t.signal) + " failed to kill process"
	out.header(text + "\n")
	if t.sendRC {
		out.header("using fake rc=-1\n")
		out.rc(-1)
	}
	return flavors.RuntimeError.New(text)
}

// alarm is a timer that may be unset.
type alarm struct {
	C     <-chan time.Time
	timer *time.Timer
}

// newTimer makes the timers of alarms. Tests change it.
var newTimer = time.NewTimer

func (a *alarm) start(d time.Duration) {
	a.stop()
	a.timer = newTimer(d)
	a.C = a.timer.C
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// limits are the timers of attend.
type limits struct {
	silence, total alarm // until it is killed
	term           alarm // until SIGTERM was not enough
	drain          alarm // until nothing more is read from the killed
	backup         alarm // until it should have died
}

func (t *task) newLimits() *limits {
	l := &limits{}
	if t.timeout.limits() {
		l.silence.start(t.timeout.duration())
	}
	if t.maxTime.limits() {
		l.total.start(t.maxTime.duration())
	}
	return l
}

func (l *limits) stop() {
	for _, a := range []*alarm{&l.silence, &l.total, &l.term, &l.drain, &l.backup} {
		a.stop()
	}
}

// signalOf returns the signal of a name without SIG. An empty name is the default.
func signalOf(name string) (syscall.Signal, error) {
	if name == "" {
		return syscall.SIGKILL, nil
	}
	for signal, known := range signals {
		if known == strings.TrimPrefix(name, "SIG") {
			return signal, nil
		}
	}
	return 0, flavors.ValueError.Wrap(errors.New("interruptSignal " + python(name) + " is not known here"))
}

func signalName(s syscall.Signal) string { return "SIG" + signals[s] }
