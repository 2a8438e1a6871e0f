package broker_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Errors whose methods misbehave, one way each.
type (
	nilError    struct{ inner error }
	errorPanics struct{}
	isPanics    struct{}
	asPanics    struct{}
	selfPanics  struct{}
	raisePanics struct{}
	errorExits  struct{}
	isExits     struct{}
	circle      struct{}
	wide        struct{}
	listError   []int
	copyError   struct{ flavors.Copyable }
	stateError  struct{ flavors.Copyable }
	typeError   struct{ flavors.Copyable }
	exitError   struct{ flavors.Copyable }
	lateError   struct{ flavors.Copyable }
)

func (e *nilError) Error() string { return e.inner.Error() }
func (e *nilError) Unwrap() error { return e.inner }

func (errorPanics) Error() string { panic("Error") }

func (isPanics) Error() string { return "is" }
func (isPanics) Is(error) bool { panic("Is") }

func (asPanics) Error() string { return "as" }
func (asPanics) As(any) bool   { panic("As") }

func (e selfPanics) Error() string { panic(e) }
func (e selfPanics) Unwrap() error { panic(e) }
func (e selfPanics) Is(error) bool { panic(e) }
func (e selfPanics) As(any) bool   { panic(e) }

func (raisePanics) Error() string                   { return "raise" }
func (raisePanics) PBException() (string, []string) { panic("PBException") }

func (errorExits) Error() string { runtime.Goexit(); return "" }

func (isExits) Error() string { return "exits" }
func (isExits) As(any) bool   { runtime.Goexit(); return false }

func (c *circle) Error() string { return "circle" }
func (c *circle) Unwrap() error { return c }

func (w *wide) Error() string   { return "wide" }
func (w *wide) Unwrap() []error { return []error{w, w, w} }

func (listError) Error() string        { return "list" }
func (listError) Is(target error) bool { return target == error(listError{}) } // panics: it cannot be compared

func (*copyError) Error() string { return "copy" }

func (*stateError) Error() string    { return "state" }
func (*stateError) StateToCopy() any { panic("StateToCopy") }

func (*typeError) Error() string      { return "type" }
func (*typeError) TypeToCopy() string { panic("TypeToCopy") }

func (*lateError) Error() string    { return "late" }
func (*lateError) StateToCopy() any { return unwilling{} }

// unwilling refuses to be sent, with an error whose methods end the calling goroutine.
type unwilling struct{}

func (unwilling) JellyTo(*jelly.Encoder, any) error { return errorExits{} }

func (*exitError) Error() string    { return "exit" }
func (*exitError) StateToCopy() any { runtime.Goexit(); return nil }

// badErrors is every error that a method may return and that the answer must survive.
var badErrors = map[string]error{
	"typed nil":           (*nilError)(nil),
	"Error":               errorPanics{},
	"Is":                  isPanics{},
	"As":                  asPanics{},
	"all":                 selfPanics{},
	"PBException":         raisePanics{},
	"Error exits":         errorExits{},
	"As exits":            isExits{},
	"circle":              &circle{},
	"wide circle":         &wide{},
	"not comparable":      listError{1},
	"nil copy":            (*copyError)(nil),
	"StateToCopy":         &stateError{},
	"TypeToCopy":          &typeError{},
	"StateToCopy exits":   &exitError{},
	"JellyTo's error":     &lateError{},
	"nil failure":         (*flavors.Failure)(nil),
	"nil exception":       (*flavors.Exception)(nil),
	"nil panic":           (*flavors.PanicError)(nil),
	"joined":              errors.Join((*nilError)(nil), selfPanics{}),
	"wrapped":             fmt.Errorf("x: %w", (*nilError)(nil)),
	"wrapped circle":      fmt.Errorf("x: %w", &circle{}),
	"a panic of an error": &flavors.PanicError{Value: selfPanics{}},
}

type textKey struct{}

func (textKey) MarshalText() ([]byte, error) { panic("MarshalText") }

type badJelly struct{}

type stateExits struct{ flavors.Copyable }

func (*stateExits) StateToCopy() any { runtime.Goexit(); return nil }

type statePanics struct{ flavors.Copyable }

func (*statePanics) StateToCopy() any { panic(selfPanics{}) }

// badValues is what a method may return and what cannot be sent.
var badValues = map[string]any{
	"text":         map[textKey]int{{}: 1},
	"StateToCopy":  &statePanics{},
	"exits":        &stateExits{},
	"unsendable":   badJelly{},
	"unwilling":    unwilling{},
	"in a list":    []any{1, &statePanics{}},
	"a function":   func() {},
	"a nil object": (*flavors.Referenceable)(nil),
}

// rude has a method for each way in which its code can fail.
type rude struct {
	flavors.Root
	rt *actor.Runtime
}

func (*rude) RemotePing() string             { return "pong" }
func (*rude) RemoteFail(name string) error   { return badErrors[name] }
func (*rude) RemoteGive(name string) any     { return badValues[name] }
func (*rude) RemoteThrow(name string)        { panic(badErrors[name]) }
func (*rude) RemoteIndex(l []any, i int) any { return l[i] }
func (*rude) RemoteExit()                    { runtime.Goexit() }

func (r *rude) RemoteLater(name string) *actor.Deferred {
	d := actor.NewDeferred(r.rt)
	r.rt.Go("later", func() { d.Complete(nil, badErrors[name]) })
	return d
}

func (r *rude) RemoteThen(inv *flavors.Invocation, name string) *actor.Deferred {
	return actor.Succeeded(nil).Then(inv, func(any, error) (any, error) { return badValues[name], badErrors[name] })
}

// badHook panics in each line.
type badHook struct{}

func (badHook) Run(*zerolog.Event, zerolog.Level, string) { panic(selfPanics{}) }

type badWriter struct{}

func (badWriter) Write([]byte) (int, error) { panic("writer") }

func loggers() map[string]zerolog.Logger {
	return map[string]zerolog.Logger{
		"silent": zerolog.Nop(),
		"debug":  zerolog.New(io.Discard).Level(zerolog.DebugLevel),
		"hook":   zerolog.New(io.Discard).Level(zerolog.DebugLevel).Hook(badHook{}),
		"writer": zerolog.New(badWriter{}).Level(zerolog.DebugLevel),
	}
}

// TestEveryCallIsAnsweredOnce has the application's code fail in every way that it can while a call is answered,
// whatever is logged and how.
func TestEveryCallIsAnsweredOnce(t *testing.T) {
	for name, log := range loggers() {
		for _, opts := range [][]broker.ListenOption{nil, {broker.WithUnsafeTracebacks()}} {
			t.Run(fmt.Sprintf("%s, %d options", name, len(opts)), func(t *testing.T) {
				rt := newRuntime(t, actor.WithLogger(log))
				s := serveOn(t, rt, &rude{rt: rt}, opts...)
				p := s.peer()
				n := 0
				fails := func(method, argument string) {
					n++
					p.Write(fmt.Sprintf(`[message %d root %s 1 [tuple [unicode %q]] [dictionary]]`,
						n, method, argument))
					p.Want(fmt.Sprintf(`[error %d _]`, n))
				}
				for name := range badErrors {
					fails("fail", name)
					fails("later", name)
					fails("throw", name)
					fails("then", name)
				}
				for name := range badValues {
					if name == "a nil object" {
						continue // That is None.
					}
					fails("give", name)
					fails("then", name)
				}
				fails("exit", "")
				fails("noSuchMethod", "")
				n++
				p.Write(
					fmt.Sprintf(`[message %d root fail 0 [tuple [unicode "typed nil"]] [dictionary]]`, n),
				) // It wants no answer.
				n++
				p.Write(fmt.Sprintf(`[message %d root ping 1 [tuple] [dictionary]]`, n))
				p.Want(fmt.Sprintf(`[answer %d [unicode pong]]`, n))
				stats := s.ln.Conns()[0].Stats().CallsIn
				assert.Zero(t, stats.Pending)
				assert.EqualValues(t, n, stats.Made)
			})
		}
	}
}

// TestPanicsStayWithOnePeer has one peer make a shared root, an object that two peers hold, and an original fail
// time and again.
func TestPanicsStayWithOnePeer(t *testing.T) {
	rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
	root := &rude{rt: rt}
	s := serveOn(t, rt, root)
	bystander, p := s.peer(), s.peer()
	for i := range 50 {
		p.Write(fmt.Sprintf(`[message %d root index 1 [tuple [list] 5] [dictionary]]`, i))
		wantError(t, p, i, "builtins.RuntimeError")
	}
	ping := func(p *wire.Peer) {
		p.Write(`[message 100 root ping 1 [tuple] [dictionary]]`)
		p.Want(`[answer 100 [unicode pong]]`)
	}
	ping(bystander)
	ping(s.peer())
	ping(p)
	// The same struct, published once more.
	ping(serveOn(t, rt, root).peer())
}

// TestStoppedObject has the application stop the actor of its own root: that lasts until it publishes the root anew,
// and a remote caller can tell it from other failures.
func TestStoppedObject(t *testing.T) {
	rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
	root := &rude{rt: rt}
	pid, err := flavors.Spawn(rt, root)
	require.NoError(t, err)
	s := serveOn(t, rt, root)
	p := s.peer()
	require.NoError(t, rt.Root().StopFuture(pid).Wait())
	p.Write(`[message 1 root ping 1 [tuple] [dictionary]]`)
	failure := wantError(t, p, 1, "perspectivebroker.ObjectStopped")
	require.Contains(
		t,
		failure,
		`["unicode" "parents"] [list ["unicode" "perspectivebroker.ObjectStopped"] `+
			`["unicode" "twisted.spread.pb.Error"]`,
	)

	conn := dialPipe(t, s)
	_, err = flavors.Call[any](t.Context(), conn.Root(), "ping")
	require.ErrorIs(t, err, flavors.ErrObjectStopped)
	require.ErrorIs(t, err, flavors.PBError)
	require.True(t, flavors.IsRemote(err))

	again := serveOn(t, rt, root).peer()
	again.Write(`[message 1 root ping 1 [tuple] [dictionary]]`)
	again.Want(`[answer 1 [unicode pong]]`)
}

func dialPipe(t *testing.T, s *server, opts ...broker.DialOption) *broker.Conn {
	t.Helper()
	conn, err := broker.NewClientConn(t.Context(), newRuntime(t), s.dial(), opts...)
	require.NoError(t, err)
	return conn
}

// made is an object whose producer fails as often as it is told.
type made struct {
	flavors.Root
	n int
}

func (m *made) RemoteIncr() int { m.n++; return m.n }
func (*made) RemoteBoom()       { panic("boom") }

// TestProducerThatPanics has the producer of a shared root fail when a fresh instance is due: each call that finds none
// fails, and the first one after that is answered by a fresh instance.
func TestProducerThatPanics(t *testing.T) {
	for name, fail := range map[string]func(){"panics": func() { panic("no") }, "exits": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
			var failures, tried atomic.Int64
			root := flavors.New(func() *made {
				if tried.Add(1); failures.Add(-1) >= 0 {
					fail()
				}
				return &made{}
			})
			s := serveOn(t, rt, root)
			p := s.peer()
			n := 0
			call := func(method, want string) {
				n++
				p.Write(fmt.Sprintf(`[message %d root %s 1 [tuple] [dictionary]]`, n, method))
				p.Want(fmt.Sprintf(want, n))
			}
			call("incr", `[answer %d 1]`)
			call("incr", `[answer %d 2]`)
			failures.Store(20)
			call("boom", `[error %d _]`)
			for failed := 0; ; failed++ {
				n++
				p.Write(fmt.Sprintf(`[message %d root incr 1 [tuple] [dictionary]]`, n))
				p.Forget("what")
				p.Forget("value")
				p.Want(fmt.Sprintf(`[$what %d $value]`, n))
				if p.Var("value") == any(int64(1)) {
					break
				}
				require.Less(t, failed, 25)
			}
			call("incr", `[answer %d 2]`)
			require.LessOrEqual(t, tried.Load(), int64(25),
				"no attempt without a call that needs one, but for the first")
		})
	}
}

// logTenPerHour has a runtime log ten failures of an object. By default they may be ten in ten seconds.
func logTenPerHour(rt *actor.Runtime) {
	supervision.TreeOf(rt, supervision.WithObjectLimit(supervision.Limit{Restarts: 10, Within: time.Hour}))
}

// TestPanicIsLoggedWithMethodAndPeer reads the log of a panic, and counts lines when a peer causes a great many.
func TestPanicIsLoggedWithMethodAndPeer(t *testing.T) {
	var lines logLines
	rt := newRuntime(t, actor.WithLogger(zerolog.New(&lines)))
	logTenPerHour(rt)
	s := serveOn(t, rt, &rude{rt: rt})
	p := s.peer()
	for i := range 100 {
		p.Write(fmt.Sprintf(`[message %d root index 1 [tuple [list] 5] [dictionary]]`, i))
		wantAnyError(p, i)
	}
	require.NotContains(t, lines.text(), "continuation")
	line := lines.with(`"the method rude.index panicked"`)
	require.Contains(t, line, `"level":"error"`)
	require.Contains(t, line, `"method":"rude.index"`)
	require.Contains(t, line, `"peer":`)
	require.Contains(t, line, `index out of range [5] with length 0`)
	require.Contains(t, line, "usercode_test.go", "the stack leads to the method")
	require.Equal(t, 10, lines.count(`"level":"error"`), "one line for each panic, and no more than ten")
	require.Equal(t, 1, lines.count("this object panics often"))
}

// logLines is a log that is kept.
type logLines struct {
	mu   sync.Mutex
	list []string
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, string(b))
	return len(b), nil
}

func (l *logLines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.list, "")
}

func (l *logLines) with(part string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.list {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}

func (l *logLines) count(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.list {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}
