package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// builderName is the one builder that every worker gets, and the directory that it works in.
const builderName = "pb"

// printer writes whole lines, from any goroutine. What others wrote cannot control a terminal.
type printer struct{ w io.Writer }

func (p printer) line(format string, args ...any) {
	fmt.Fprint(p.w, printable(fmt.Sprintf(format, args...))+"\n")
}

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

// requestAvatar is the realm. It runs while the login waits, and that is the time at which masters get to know their
// workers.
func (m *master) requestAvatar(
	ctx context.Context,
	id cred.AvatarID,
	mind *flavors.RemoteReference,
) (any, func(), error) {
	if _, isWorker := m.workers[id.Name()]; !isWorker {
		return &sender{out: m.out}, func() {}, nil
	}
	if mind == nil {
		return nil, nil, flavors.ValueError.New("a worker must bring a mind")
	}
	stay, leave := context.WithCancel(mind.Conn().Context())
	w := &attendant{master: m, name: id.Name(), mind: mind, stay: stay}
	if !m.attach(w.name) {
		leave()
		// The worker learns of a refusal like any other, the log of the reason. A stock worker tries again later.
		return nil, nil, flavors.RuntimeError.Errorf("there is a worker %s already", w.name)
	}
	logout := func() {
		leave()
		m.detach(w.name)
	}
	if err := w.meet(ctx); err != nil {
		logout()
		return nil, nil, err
	}
	return w, logout, nil
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
	stay   context.Context // ends when the worker has gone, though its connection may live on
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

// start has the worker run the command, and waits until the worker has gone. How it goes is reported to an object of
// ours.
func (a *attendant) start(builder *flavors.RemoteReference) error {
	ctx := a.stay
	if _, err := flavors.Call[any](ctx, builder, "startBuild"); err != nil {
		return err
	}
	args := map[string]any{
		"command": a.master.command, "workdir": "build", "env": nil, "logEnviron": false, "usePTY": false,
		"want_stdout": true, "want_stderr": true, "logfiles": map[string]any{}, "timeout": 1200, "maxTime": nil,
	}
	r := &errand{master: a.master, name: a.name, builder: builder, rest: map[string]string{}}
	if _, err := flavors.Call[any](ctx, builder, "startCommand", r, "1", "shell", args); err != nil {
		r.Do(func() { r.over = true })
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
	rc   *int
	over bool
}

// Limits of what a worker may send for a command.
const (
	// maxLine is how many bytes of a line are kept until its end comes. What is longer is printed in pieces.
	maxLine = 16 << 10
	// maxUpdate is how many bytes one update may print: a message of a few bytes can mention one long text many times.
	maxUpdate = 16 << 20
)

// RemoteUpdate takes news: a list of pairs, of a dictionary and a number that means nothing.
func (r *errand) RemoteUpdate(updates [][]any) error {
	if r.over {
		return flavors.PBError.New("this command is over")
	}
	size := 0
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
				var text string
				if err := jelly.Assign(&text, value); err != nil {
					return flavors.TypeError.Errorf("update, %s: %w", key.(string), err)
				}
				if size += len(text); size > maxUpdate {
					return flavors.ValueError.Errorf("an update has more than %d bytes of text", maxUpdate)
				}
				r.print(key.(string), text)
			case "rc":
				var code int
				if err := jelly.Assign(&code, value); err != nil {
					return flavors.TypeError.Errorf("update, rc: %w", err)
				}
				r.rc = &code
			}
		}
	}
	return nil
}

// print prints the lines that have ended, and the pieces of those that are too long to be waited for. A line of one
// stream is not mixed with one of the other.
func (r *errand) print(stream, text string) {
	for text != "" {
		room := maxLine - len(r.rest[stream])
		end := strings.IndexByte(text[:min(len(text), room+1)], '\n')
		switch {
		case end >= 0:
			r.out(r.rest[stream] + text[:end])
			delete(r.rest, stream)
			text = text[end+1:]
		case len(text) <= room:
			r.rest[stream] += text
			return
		default:
			for room > 0 && !utf8.RuneStart(text[room]) {
				room--
			}
			r.out(r.rest[stream] + text[:room])
			delete(r.rest, stream)
			text = text[room:]
		}
	}
}

func (r *errand) out(line string) { r.master.out.line("%s: %s", r.name, line) }

// printRest ends the lines that have not ended.
func (r *errand) printRest() {
	for _, stream := range []string{"stdout", "stderr"} {
		if r.rest[stream] != "" {
			r.print(stream, "\n")
		}
	}
}

// RemoteComplete is the end. The failure is that of the worker, not of the command. The answer is handed over before
// the program may end, and so is written before it does.
func (r *errand) RemoteComplete(inv *flavors.Invocation, failure any) {
	if r.over {
		inv.Answer(nil, nil)
		return
	}
	r.over = true
	r.printRest()
	if failure != nil {
		r.out(flavors.FailureFrom(failure).Error())
	}
	code := -1
	if r.rc != nil {
		code = *r.rc
	}
	r.master.out.line("%s: exit %d", r.name, code)
	inv.Answer(nil, nil)
	r.builder.Release()
	r.master.once.Do(func() { close(r.master.ended) })
}

// lost is for a worker that has gone with the command still running: it kills what it runs, and begins anew when it is
// back.
func (r *errand) lost() {
	if !r.over {
		r.over = true
		r.printRest()
		r.master.out.line("%s: lost before the command has ended", r.name)
	}
}
