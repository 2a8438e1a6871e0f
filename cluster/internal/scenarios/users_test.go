package scenarios

import (
	_ "embed" // for the users' program
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/stock"
)

//go:embed client.py
var clientProgram []byte

// Values as the users' program writes them.
type (
	object = map[string]any
	list   = []any
)

func ref(name string) object   { return object{"ref": name} }
func local(name string) object { return object{"local": name} }

// report is a line of the users' program.
type report struct {
	ID           int64    `json:"id"`
	Began, Ended float64  // Seconds since 1970.
	Value        any      `json:"value"`
	Error        string   `json:"error"`
	Text         string   `json:"text"`
	Parents      []string `json:"parents"`

	Event  string  `json:"event"`
	User   string  `json:"user"`
	Target string  `json:"target"`
	Args   []any   `json:"args"`
	At     float64 `json:"at"`
}

func seconds(s float64) time.Time { return time.UnixMicro(int64(s * 1e6)) }

// driver is a process with users on stock Twisted.
type driver struct {
	t *testing.T
	p *process

	mu sync.Mutex
	// Guarded by mu.
	next    int64
	pending map[int64]*pending
	events  []report
	seen    chan struct{} // closed and replaced with each event
}

// pending is a command whose answer has not come.
type pending struct {
	d      *driver
	what   string
	done   chan struct{}
	report report // valid after done is closed
}

// newDriver starts the program. command is what runs it on another host.
func newDriver(t *testing.T, command ...string) *driver {
	t.Helper()
	path := filepath.Join(t.TempDir(), "client.py")
	require.NoError(t, os.WriteFile(path, clientProgram, 0o600))
	d := &driver{t: t, pending: map[int64]*pending{}, seen: make(chan struct{})}
	command = append(command, stock.Python, path)
	d.p = launch(t, "the users", d.take, command[0], command[1:]...)
	d.p.line(`"ready"`)
	return d
}

func (d *driver) take(line string) {
	var r report
	if json.Unmarshal([]byte(line), &r) != nil {
		return // an error message of Python
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Event != "" {
		d.events = append(d.events, r)
		close(d.seen)
		d.seen = make(chan struct{})
		return
	}
	if p := d.pending[r.ID]; p != nil {
		delete(d.pending, r.ID)
		p.report = r
		close(p.done)
	}
}

// command sends a command and does not wait for its answer.
func (d *driver) command(fields object) *pending {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	fields["id"] = d.next
	p := &pending{d: d, done: make(chan struct{})}
	line, err := json.Marshal(fields)
	if err != nil {
		d.t.Errorf("a command cannot be written: %v", err)
	}
	p.what = string(line[:min(len(line), 200)])
	d.pending[d.next] = p
	// An error means that the program has ended, and then no answer comes.
	_, _ = d.p.stdin.Write(append(line, '\n'))
	return p
}

// wait returns the report, whether the command succeeded or not.
func (p *pending) wait() report {
	p.d.t.Helper()
	select {
	case <-p.done:
	case <-p.d.p.ended:
		p.d.t.Fatalf("the users' program has ended:\n%s", p.d.p.output())
	case <-time.After(patience):
		p.d.t.Fatalf("no answer to %s", p.what)
	}
	return p.report
}

// value returns the answer, and fails the test if there was an error.
func (p *pending) value() any {
	p.d.t.Helper()
	r := p.wait()
	require.Empty(p.d.t, r.Error, "%s\n%s", p.what, r.Text)
	return r.Value
}

// fails returns the type of the error, and fails the test if there was none.
func (p *pending) fails() string {
	p.d.t.Helper()
	r := p.wait()
	require.NotEmpty(p.d.t, r.Error, "%s was answered with %v", p.what, r.Value)
	return r.Error
}

// isOpen reports whether the answer has not come.
func (p *pending) isOpen() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// user is one connection to a gateway.
type user struct {
	d    *driver
	key  string // its name in the driver
	name string // with which it logs in
}

// login connects a user to a gateway and logs in. The key is the user's name with the node's, so that one user may
// be at several gateways.
func (d *driver) login(name string, n *node) *user {
	d.t.Helper()
	u := &user{d: d, key: name + "@" + n.name, name: name}
	u.login(n).value()
	return u
}

func (u *user) login(n *node) *pending {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(n.url, "pb://"))
	require.NoError(u.d.t, err)
	number, err := strconv.Atoi(port)
	require.NoError(u.d.t, err)
	return u.do("login", object{"host": host, "port": number, "name": u.name, "password": passwordOf(u.name)})
}

func (u *user) do(what string, fields object) *pending {
	if fields == nil {
		fields = object{}
	}
	fields["do"], fields["user"] = what, u.key
	return u.d.command(fields)
}

// call begins a call to something that the user has stored.
func (u *user) call(on, method string, args ...any) *pending {
	if args == nil {
		args = list{}
	}
	return u.do("call", object{"on": on, "method": method, "args": args})
}

// fetch makes a call, stores its result under a name and returns the result.
func (u *user) fetch(name, on, method string, args ...any) any {
	u.d.t.Helper()
	if args == nil {
		args = list{}
	}
	return u.do("call", object{"on": on, "method": method, "args": args, "store": name}).value()
}

// room stores a reference to a room under the room's id.
func (u *user) room(id string) {
	u.d.t.Helper()
	require.Equal(u.d.t, ref(id), u.fetch(id, "avatar", "room", id))
}

// integer returns the number that a call answers.
func (p *pending) integer() int64 {
	p.d.t.Helper()
	v := p.value()
	f, ok := v.(float64)
	require.True(p.d.t, ok, "%s was answered with %v, want a number", p.what, v)
	return int64(f)
}

// event waits for an event of a user with these arguments, at any time since the start. target may be empty for any.
func (u *user) event(kind, target string, args ...any) report {
	u.d.t.Helper()
	return u.d.await(fmt.Sprintf("%s %s of %s with %v", kind, target, u.key, args), func(r report) bool {
		return r.User == u.key && r.Event == kind && (target == "" || r.Target == target) &&
			(len(args) == 0 || reflect.DeepEqual(r.Args, args))
	})
}

func (d *driver) await(what string, match func(r report) bool) report {
	d.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for at := 0; ; {
		d.mu.Lock()
		events, seen := d.events, d.seen
		d.mu.Unlock()
		for ; at < len(events); at++ {
			if match(events[at]) {
				return events[at]
			}
		}
		select {
		case <-seen:
		case <-timer.C:
			d.t.Fatalf("no event: %s", what)
		case <-d.p.ended:
			d.t.Fatalf("the users' program has ended:\n%s", d.p.output())
		}
	}
}

// eventsOf returns the events of a user of some kinds so far.
func (u *user) eventsOf(kinds ...string) []report {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	var some []report
	for _, r := range u.d.events {
		if r.User == u.key && slices.Contains(kinds, r.Event) {
			some = append(some, r)
		}
	}
	return some
}
