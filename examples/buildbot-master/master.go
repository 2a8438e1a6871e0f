package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// builderName is the one builder that every worker gets, and the directory that it works in.
const builderName = "pb"

// printer writes whole lines, from any goroutine.
type printer struct{ w io.Writer }

func (p printer) line(format string, args ...any) { fmt.Fprint(p.w, fmt.Sprintf(format, args...)+"\n") }

// master knows who is attached.
type master struct {
	rt      *actor.Runtime
	out     printer
	command string
	workers accounts

	mu       sync.Mutex
	attached map[string]bool // guarded by mu
	once     sync.Once
	ended    chan struct{} // closed when a command has come to its end
}

// requestAvatar is the realm. It runs while the login waits, and that is the time at which masters get to know their workers.
func (m *master) requestAvatar(ctx context.Context, id cred.AvatarID, mind *flavors.RemoteReference) (any, func(), error) {
	if _, isWorker := m.workers[id.Name()]; !isWorker {
		return &sender{out: m.out}, func() {}, nil
	}
	if mind == nil {
		return nil, nil, flavors.ValueError.New("a worker must bring a mind")
	}
	w := &attendant{master: m, name: id.Name(), mind: mind}
	if !m.attach(w.name) {
		// The worker learns of a refusal like any other, the log of the reason. A stock worker tries again later.
		return nil, nil, flavors.RuntimeError.Errorf("there is a worker %s already", w.name)
	}
	if err := w.meet(ctx); err != nil {
		m.detach(w.name)
		return nil, nil, err
	}
	return w, func() { m.detach(w.name) }, nil
}

func (m *master) attach(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.attached[name] {
		return false
	}
	m.attached[name] = true
	return true
}

func (m *master) detach(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.attached, name)
}

// attendant is a worker's avatar.
type attendant struct {
	flavors.Avatar
	master *master
	name   string
	mind   *flavors.RemoteReference
}

// PerspectiveKeepalive is the worker's sign of life.
func (*attendant) PerspectiveKeepalive() {}

// PerspectiveShutdown is a worker's wish to leave. It may do so at once: it is told to end.
func (a *attendant) PerspectiveShutdown() error { return a.mind.CallRemoteNoAnswer("shutdown") }

// meet asks the worker for its builder, and has the command begin on it.
func (a *attendant) meet(ctx context.Context) error {
	if _, err := flavors.Call[map[string]any](ctx, a.mind, "getWorkerInfo"); err != nil {
		return fmt.Errorf("worker %s does not say what it is: %w", a.name, err)
	}
	// A builder is a pair of its name and its directory.
	wanted := [][2]string{{builderName, builderName}}
	builders, err := flavors.Call[map[string]*flavors.RemoteReference](ctx, a.mind, "setBuilderList", wanted)
	if err != nil {
		return fmt.Errorf("worker %s takes no builder: %w", a.name, err)
	}
	builder := builders[builderName]
	if builder == nil {
		return fmt.Errorf("worker %s has given no builder %s", a.name, builderName)
	}
	if a.master.command == "" {
		return nil
	}
	// The worker is let in first: it shall hear of its login before its work.
	a.master.rt.Go("command on "+a.name, func() {
		if err := a.start(builder); err != nil {
			a.master.out.line("%s: cannot start the command: %v", a.name, err)
		}
	})
	return nil
}

// start has the worker run the command, and waits until the worker has gone. How it goes is reported to an object of ours.
func (a *attendant) start(builder *flavors.RemoteReference) error {
	ctx := builder.Conn().Context()
	if _, err := flavors.Call[any](ctx, builder, "startBuild"); err != nil {
		return err
	}
	args := map[string]any{
		"command": a.master.command, "workdir": "build", "env": nil, "logEnviron": false, "usePTY": false,
		"want_stdout": true, "want_stderr": true, "logfiles": map[string]any{}, "timeout": 1200, "maxTime": nil,
	}
	r := &errand{master: a.master, name: a.name, builder: builder, rest: map[string]string{}}
	if _, err := flavors.Call[any](ctx, builder, "startCommand", r, "1", "shell", args); err != nil {
		return err
	}
	<-ctx.Done()
	r.Do(r.lost)
	return nil
}

// errand is a command that a worker runs, as the worker sees it: where it reports to.
type errand struct {
	flavors.Referenceable
	master  *master
	name    string
	builder *flavors.RemoteReference // held as long as the command runs

	// Owned by the object's turn.
	rest map[string]string // by stream: a line that has not ended
	rc   any
	over bool
}

// RemoteUpdate takes news: a list of pairs, of a dictionary and a number that means nothing.
func (r *errand) RemoteUpdate(updates [][]any) {
	for _, u := range updates {
		if len(u) == 0 {
			continue
		}
		news, ok := u[0].(*jelly.Dict)
		if !ok {
			continue
		}
		for key, value := range news.All() {
			switch key {
			case "stdout", "stderr":
				r.print(key.(string), fmt.Sprint(value))
			case "rc":
				r.rc = value
			}
		}
	}
}

// print prints the lines that have ended. A line of one stream is not mixed with one of the other.
func (r *errand) print(stream, text string) {
	lines := strings.Split(r.rest[stream]+text, "\n")
	r.rest[stream] = lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		r.master.out.line("%s: %s", r.name, line)
	}
}

// printRest ends the lines that have not ended.
func (r *errand) printRest() {
	for _, stream := range []string{"stdout", "stderr"} {
		if r.rest[stream] != "" {
			r.print(stream, "\n")
		}
	}
}

// RemoteComplete is the end. The failure is that of the worker, not of the command. The answer is handed over before the program may
// end, and so is written before it does.
func (r *errand) RemoteComplete(inv *flavors.Invocation, failure any) {
	if r.over {
		inv.Answer(nil, nil)
		return
	}
	r.over = true
	r.printRest()
	if failure != nil {
		r.master.out.line("%s: %v", r.name, flavors.FailureFrom(failure))
	}
	if r.rc == nil {
		r.rc = -1
	}
	r.master.out.line("%s: exit %v", r.name, r.rc)
	inv.Answer(nil, nil)
	r.builder.Release()
	r.master.once.Do(func() { close(r.master.ended) })
}

// lost is for a worker whose connection has ended with the command still running: it kills what it runs, and begins anew when it is back.
func (r *errand) lost() {
	if !r.over {
		r.over = true
		r.printRest()
		r.master.out.line("%s: lost before the command has ended", r.name)
	}
}
