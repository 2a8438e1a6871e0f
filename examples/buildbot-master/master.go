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

// builderName is the name and the directory of the one builder that every worker gets.
const builderName = "pb"

// printer writes whole lines from any goroutine. It removes what controls a terminal.
type printer struct{ w io.Writer }

func (p printer) line(format string, args ...any) {
	fmt.Fprint(p.w, printable(fmt.Sprintf(format, args...))+"\n")
}

// master is the realm.
type master struct {
	rt      *actor.Runtime
	out     printer
	command string
	workers accounts
	senders accounts
	tries   *tries // nil unless there are users who try patches

	mu       sync.Mutex
	attached map[string]bool // guarded by mu
	once     sync.Once
	ended    chan struct{} // closed when a command has ended
}

// requestAvatar implements the realm. It asks the worker for its builder before the login is answered, as masters do.
func (m *master) requestAvatar(
	ctx context.Context,
	id cred.AvatarID,
	mind *flavors.RemoteReference,
) (any, func(), error) {
	if _, isWorker := m.workers[id.Name()]; !isWorker {
		return m.userAvatar(id.Name())
	}
	if mind == nil {
		return nil, nil, flavors.ValueError.New("a worker must bring a mind")
	}
	stay, leave := context.WithCancel(mind.Conn().Context())
	w := &workerAvatar{master: m, name: id.Name(), mind: mind, stay: stay}
	if !m.attach(w.name) {
		leave()
		// The worker sees a refusal like any other; the reason is logged. A stock worker tries again later.
		return nil, nil, flavors.RuntimeError.Errorf("there is a worker %s already", w.name)
	}
	logout := func() {
		m.detach(w.name) // before anything tells that the worker has left
		leave()
	}
	if err := w.meet(ctx); err != nil {
		logout()
		return nil, nil, err
	}
	return w, logout, nil
}

// userAvatar returns the avatar of a user who is no worker.
func (m *master) userAvatar(name string) (any, func(), error) {
	if _, isSender := m.senders[name]; isSender {
		return &sender{out: m.out}, func() {}, nil
	}
	u := &tryUser{tries: m.tries, out: m.out}
	return u, func() { m.tries.leave(u) }, nil
}

// end ends a master that was started with -once.
func (m *master) end() { m.once.Do(func() { close(m.ended) }) }

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

// workerAvatar is a worker's avatar.
type workerAvatar struct {
	flavors.Avatar
	master *master
	name   string
	mind   *flavors.RemoteReference
	stay   context.Context // ends with the login; the connection may stay
}

// PerspectiveKeepalive does nothing but answer.
func (*workerAvatar) PerspectiveKeepalive() {}

// PerspectiveShutdown is called by a worker that wants to leave. It tells the worker to shut down.
func (a *workerAvatar) PerspectiveShutdown() error { return a.mind.CallRemoteNoAnswer("shutdown") }

// meet asks the worker for its builder, and starts the command on it.
func (a *workerAvatar) meet(ctx context.Context) error {
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
	// The login is answered first.
	a.master.rt.Go("command on "+a.name, func() {
		if a.master.tries != nil {
			a.buildTries(builder)
			return
		}
		if err := a.start(builder); err != nil {
			a.master.out.line("%s: cannot start the command: %v", a.name, err)
		}
	})
	return nil
}

// start runs the command on the worker, and waits until the worker has left.
func (a *workerAvatar) start(builder *flavors.RemoteReference) error {
	ctx := a.stay
	if _, err := flavors.Call[any](ctx, builder, "startBuild"); err != nil {
		return err
	}
	r := newReport(a)
	r.ended = func(int, error) {
		builder.Release()
		a.master.end()
	}
	_, err := flavors.Call[any](ctx, builder, "startCommand", r, "1", "shell", shellArguments(a.master.command))
	if err != nil {
		r.Do(func() { r.over = true })
		return err
	}
	<-ctx.Done()
	r.Do(r.lost)
	return nil
}

// shellArguments are the arguments of the worker's command that runs a shell.
func shellArguments(line string) map[string]any {
	return map[string]any{
		"command": line, "workdir": "build", "env": nil, "logEnviron": false, "usePTY": false,
		"want_stdout": true, "want_stderr": true, "logfiles": map[string]any{}, "timeout": 1200, "maxTime": nil,
	}
}

// report receives the reports of a command.
type report struct {
	flavors.Referenceable
	master *master
	name   string
	quiet  bool                      // does not print the exit code
	ended  func(code int, err error) // called when the command has ended; err is the worker's failure

	// Used in the object's turn only.
	rest map[string]string // unfinished line by stream
	rc   *int
	over bool
}

func newReport(a *workerAvatar) *report {
	return &report{master: a.master, name: a.name, rest: map[string]string{}}
}

// Limits of what a worker may send for a command.
const (
	// maxLine limits the bytes of a line that are kept until its end arrives. Longer lines are printed in pieces.
	maxLine = 16 << 10
	// maxUpdate limits the bytes that one update prints: a short message can refer to one long text many times.
	maxUpdate = 16 << 20
)

// RemoteUpdate takes a list of pairs of a dictionary and a number without meaning.
func (r *report) RemoteUpdate(updates [][]any) error {
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

// print prints the finished lines and the parts of lines that are too long. It does not mix lines of the two streams.
func (r *report) print(stream, text string) {
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

func (r *report) out(line string) { r.master.out.line("%s: %s", r.name, line) }

// printRest prints the unfinished lines.
func (r *report) printRest() {
	for _, stream := range []string{"stdout", "stderr"} {
		if r.rest[stream] != "" {
			r.print(stream, "\n")
		}
	}
}

// RemoteComplete ends the command. failure is the worker's, not the command's. It answers before the program may end,
// so that the answer is written.
func (r *report) RemoteComplete(inv *flavors.Invocation, failure any) {
	if r.over {
		inv.Answer(nil, nil)
		return
	}
	r.over = true
	r.printRest()
	var err error
	if failure != nil {
		err = flavors.FailureFrom(failure)
		r.out(err.Error())
	}
	code := -1
	if r.rc != nil {
		code = *r.rc
	}
	if !r.quiet {
		r.out(fmt.Sprintf("exit %d", code))
	}
	inv.Answer(nil, nil)
	r.ended(code, err)
}

// lost reports that the worker left while the command was running. The worker kills the command, and runs it again when
// it is back.
func (r *report) lost() {
	if !r.over {
		r.over = true
		r.printRest()
		r.master.out.line("%s: lost before the command has ended", r.name)
	}
}
