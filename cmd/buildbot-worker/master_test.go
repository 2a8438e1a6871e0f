//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// patience is the timeout of a wait.
const patience = time.Minute

// after returns a channel that receives when a test with processes must fail.
func after(t testing.TB) <-chan time.Time {
	timer := time.NewTimer(2 * patience)
	t.Cleanup(func() { timer.Stop() })
	return timer.C
}

// testMaster is a master in Go. It does what a stock master cannot be made to do.
type testMaster struct {
	t        testing.TB
	url      string
	base     string
	sessions chan *testAvatar
	ended    chan error // the worker's
	ln       *broker.Listener
	reach    func(phase) // called in each phase of a login
}

// testAvatar is the worker's avatar.
type testAvatar struct {
	flavors.Avatar
	mind       *flavors.RemoteReference
	info       map[string]any
	builders   map[string]*flavors.RemoteReference
	keepalives chan struct{}
	asked      chan struct{}
	mute       atomic.Bool // it does not answer requests for a shutdown
}

func (a *testAvatar) PerspectiveKeepalive() {
	select {
	case a.keepalives <- struct{}{}:
	default:
	}
}

func (a *testAvatar) PerspectiveShutdown() any {
	close(a.asked)
	if a.mute.Load() {
		return actor.NewDeferred(nil)
	}
	return nil
}

// newTestMaster starts a master and attaches a worker.
func newTestMaster(t testing.TB, flags ...string) *testMaster {
	m := listenOnly(t)
	m.attach(m.url, flags...)
	return m
}

// listenOnly starts a master without a worker. With options, which are TLS options, it listens with TLS.
func listenOnly(t testing.TB, opts ...broker.ListenOption) *testMaster {
	if len(opts) > 0 {
		return listenAt(t, "pbs://127.0.0.1:0", opts...)
	}
	return listenAt(t, "pb://127.0.0.1:0")
}

func listenAt(t testing.TB, url string, opts ...broker.ListenOption) *testMaster {
	m := &testMaster{
		t: t, base: t.TempDir(), reach: func(phase) {},
		sessions: make(chan *testAvatar, 10), ended: make(chan error, 1),
	}
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	users, err := cred.NewInMemory(map[string]cred.Entry{"w": cred.Plaintext("sesame")})
	require.NoError(t, err)
	realm := cred.RealmFunc[*flavors.RemoteReference, *testAvatar](m.requestAvatar)
	portal, err := cred.NewPortal[*flavors.RemoteReference, *testAvatar](realm, users)
	require.NoError(t, err)
	m.ln, err = broker.Listen(rt, url, broker.LoginRoot(portal), opts...)
	require.NoError(t, err)
	m.url = m.ln.URL()
	t.Cleanup(func() {
		end, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		assert.NoError(t, rt.Close(end))
	})
	return m
}

// flags returns the flags of a worker that attaches through url.
func (m *testMaster) flags(url string, more ...string) []string {
	return append([]string{"-master", url, "-name", "w", "-password", "sesame", "-basedir", m.base}, more...)
}

// attach runs a worker in this process.
func (m *testMaster) attach(url string, more ...string) { m.start(m.flags(url, more...)...) }

// start runs a command line in this process. The test ends when the worker has.
func (m *testMaster) start(args ...string) {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		m.ended <- run(ctx, args)
		close(m.ended)
	}()
	m.t.Cleanup(func() {
		stop()
		assert.NoError(m.t, <-m.ended)
	})
}

func (m *testMaster) requestAvatar(
	ctx context.Context,
	_ cred.AvatarID,
	mind *flavors.RemoteReference,
) (*testAvatar, func(), error) {
	a := &testAvatar{mind: mind, keepalives: make(chan struct{}, 1), asked: make(chan struct{})}
	var err error
	m.reach(inLogin)
	if _, err = flavors.Call[any](ctx, mind, "print", flavors.Kw{"message": "hello"}); err != nil {
		return nil, nil, err
	}
	m.reach(afterPrint)
	if a.info, err = flavors.Call[map[string]any](ctx, mind, "getWorkerInfo"); err != nil {
		return nil, nil, err
	}
	m.reach(afterWorkerInfo)
	wanted := []any{jelly.Tuple{"one", "dir-one"}, jelly.Tuple{[]byte("two"), "dir-two"}}
	if a.builders, err = flavors.Call[map[string]*flavors.RemoteReference](ctx, mind, "setBuilderList",
		wanted); err != nil {
		return nil, nil, err
	}
	m.reach(afterBuilderList)
	m.sessions <- a
	return a, func() {}, nil
}

// works waits for a session in which a command runs to its end. A session may end early, if its connection was lost in
// the login.
func (m *testMaster) works() {
	m.t.Helper()
	if ended, err := m.worksOrEnds(); ended {
		m.t.Fatalf("the worker has ended: %v", err)
	}
}

// worksOrEnds is works for a worker that may also have been told to end.
func (m *testMaster) worksOrEnds() (ended bool, err error) {
	m.t.Helper()
	for {
		select {
		case a := <-m.sessions:
			o, err := a.start(m.t, "one", "shell", sh("echo works"))
			if err != nil {
				continue
			}
			select {
			case err = <-o.done:
				require.NoError(m.t, err)
				assert.Equal(m.t, "works\n", o.text("stdout"))
				return false, nil
			case <-a.lost():
			}
		case err := <-m.ended:
			return true, err
		case <-after(m.t):
			m.t.Fatal("the worker neither attaches nor ends")
		}
	}
}

// inSession waits for a session in which begin succeeds. A session may end before, if the worker has little patience
// with its master and the machine is busy.
func (m *testMaster) inSession(begin func(a *testAvatar) error) {
	m.t.Helper()
	for {
		a := m.session()
		err := begin(a)
		if err == nil {
			return
		}
		select {
		case <-a.lost():
		case <-after(m.t):
			require.NoError(m.t, err, "the session goes on")
		}
	}
}

// lost returns a channel that is closed when the connection has ended.
func (a *testAvatar) lost() <-chan struct{} { return a.mind.Conn().Context().Done() }

// await waits for something in a session. The error is the end of the session.
func (a *testAvatar) await(t testing.TB, something <-chan struct{}) error {
	t.Helper()
	select {
	case <-something:
		return nil
	case <-a.lost():
		return context.Cause(a.mind.Conn().Context())
	case <-after(t):
		t.Fatal("it does not come")
		return nil
	}
}

func (m *testMaster) session() *testAvatar {
	m.t.Helper()
	select {
	case a := <-m.sessions:
		return a
	case <-after(m.t):
		m.t.Fatal("the worker does not attach")
		return nil
	}
}

// observer receives a command's reports.
type observer struct {
	flavors.Referenceable
	texts map[string]*bytes.Buffer
	facts map[string]any
	heard chan struct{} // receives for every update
	done  chan error
}

func newObserver() *observer {
	return &observer{
		texts: map[string]*bytes.Buffer{},
		facts: map[string]any{},
		heard: make(chan struct{}, 1),
		done:  make(chan error, 1),
	}
}

func (o *observer) RemoteUpdate(updates [][]any) {
	for _, u := range updates {
		for key, value := range u[0].(*jelly.Dict).All() {
			name, text := key.(string), value
			if log, ok := value.(jelly.Tuple); ok && name == "log" {
				name, text = log[0].(string), log[1]
			}
			if s, ok := text.(string); ok && name != "failure_reason" {
				if o.texts[name] == nil {
					o.texts[name] = &bytes.Buffer{}
				}
				o.texts[name].WriteString(s)
				continue
			}
			o.facts[name] = value
		}
	}
	select {
	case o.heard <- struct{}{}:
	default:
	}
}

func (o *observer) RemoteComplete(failed any) {
	if failed == nil {
		o.done <- nil
		return
	}
	o.done <- flavors.FailureFrom(failed)
}

func (o *observer) text(name string) string {
	if o.texts[name] == nil {
		return ""
	}
	return o.texts[name].String()
}

// start starts a command on a builder.
func (a *testAvatar) start(t testing.TB, builder, command string, args map[string]any) (*observer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o := newObserver()
	_, err := flavors.Call[any](ctx, a.builders[builder], "startCommand", o, "7", command, args)
	return o, err
}

// do runs a command on builder "one" to its end.
func (a *testAvatar) do(t testing.TB, command string, args map[string]any) (*observer, error) {
	t.Helper()
	o, err := a.start(t, "one", command, args)
	require.NoError(t, err)
	return o, o.await(t)
}

func (o *observer) await(t testing.TB) error {
	t.Helper()
	select {
	case err := <-o.done:
		return err
	case <-after(t):
		t.Fatal("the command does not end")
		return nil
	}
}

// aProcess starts a command that runs until it is killed, and returns the id of its process group.
func (m *testMaster) aProcess(a *testAvatar, builder string) (o *observer, pid int) {
	m.t.Helper()
	o, pid, err := m.tryProcess(a, builder)
	require.NoError(m.t, err)
	return o, pid
}

// tryProcess is aProcess for a session that may end meanwhile.
func (m *testMaster) tryProcess(a *testAvatar, builder string) (o *observer, pid int, err error) {
	m.t.Helper()
	mark := filepath.Join(m.base, "pid-"+rand.Text())
	o, err = a.start(m.t, builder, "shell", sh("echo $$ > "+mark+".new; mv "+mark+".new "+mark+"; sleep 600"))
	if err != nil {
		return nil, 0, err
	}
	if err = a.awaitFile(m.t, mark); err != nil {
		return nil, 0, err
	}
	text, err := os.ReadFile(mark)
	require.NoError(m.t, err)
	pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(m.t, err)
	return o, pid, nil
}

// awaitFile waits for a file that a command makes. The error is the end of the session.
func (a *testAvatar) awaitFile(t testing.TB, path string) error {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for timeout := after(t); ; {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-a.lost():
			return context.Cause(a.mind.Conn().Context())
		case <-timeout:
			t.Fatalf("the command does not make %s", path)
		}
	}
}

// assertKilled waits until a process group has no process.
func assertKilled(t testing.TB, pid int) {
	t.Helper()
	assert.Eventually(
		t,
		func() bool { return errors.Is(syscall.Kill(-pid, 0), syscall.ESRCH) },
		patience,
		10*time.Millisecond,
		"the process lives on",
	)
}

func sh(line string, more ...any) map[string]any {
	args := map[string]any{"command": line, "workdir": "build", "logEnviron": false}
	for i := 0; i < len(more); i += 2 {
		args[fmt.Sprint(more[i])] = more[i+1]
	}
	return args
}
