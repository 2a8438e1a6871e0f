package flavors_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/supervision"
)

// logLines passes on the warnings of a log that are about methods which hold up their objects.
type logLines chan string

func (l logLines) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "holds up its object") {
		l <- string(line)
	}
	return len(line), nil
}

// slow has a method that waits until the test lets it go on.
type slow struct {
	flavors.Root
	begun, goOn chan struct{}
}

func (s *slow) RemoteWait() {
	s.begun <- struct{}{}
	<-s.goOn
}
func (*slow) RemotePass() {}

// callBack calls its caller's object and waits, in its own turn.
func (s *slow) RemoteCallBack(inv *flavors.Invocation, back *flavors.RemoteReference) (int, error) {
	return flavors.Call[int](inv.Context(), back, "back", s)
}

// caller calls the object back that called it.
type backCaller struct{ flavors.Referenceable }

func (*backCaller) RemoteBack(s *flavors.RemoteReference) *actor.Deferred {
	return s.CallRemote("pass")
}

// runSlow serves a slow to a client over a pipe, with a warning after d, in a bubble whose clock the test moves.
func runSlow(t *testing.T, d time.Duration, f func(conn *broker.Conn, s *slow, log logLines)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := make(logLines, 100)
		rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(log)))
		require.NoError(t, err)
		supervision.TreeOf(rt, supervision.WithTurnWarning(d))
		s := &slow{begun: make(chan struct{}), goOn: make(chan struct{})}
		pipe := broker.NewPipeListener()
		_, err = broker.ListenOn(rt, pipe, s)
		require.NoError(t, err)
		sock, err := pipe.Dial(t.Context())
		require.NoError(t, err)
		conn, err := broker.NewClientConn(t.Context(), rt, sock)
		require.NoError(t, err)
		f(conn, s, log)
		conn.Abort(nil)
		require.NoError(t, rt.Close(t.Context()))
	})
}

func TestTurnWarning(t *testing.T) {
	runSlow(t, 10*time.Second, func(conn *broker.Conn, s *slow, log logLines) {
		first := conn.Root().CallRemote("wait")
		<-s.begun
		behind := conn.Root().CallRemote("pass")
		start := time.Now()
		line := <-log
		require.Contains(t, line, `"object":"slow","method":"wait"`)
		require.Contains(t, line, `"waiting":1`)
		took := time.Since(start)
		require.GreaterOrEqual(t, took, 10*time.Second)
		require.LessOrEqual(t, took, 13*time.Second)
		time.Sleep(time.Hour) // of the bubble's clock
		require.Empty(t, log, "one warning for each turn")
		s.goOn <- struct{}{}
		require.NoError(t, errorOf(first))
		require.NoError(t, errorOf(behind))
		for range 3 { // Short turns that take long together.
			again := conn.Root().CallRemote("wait")
			<-s.begun
			time.Sleep(9 * time.Second)
			s.goOn <- struct{}{}
			require.NoError(t, errorOf(again))
		}
		time.Sleep(time.Hour)
		require.Empty(t, log, "an object that does nothing is not late")
		again := s.Do(func() { time.Sleep(time.Minute) })
		require.Contains(t, <-log, `"method":"a function given to Do or Then"`)
		require.NoError(t, errorOf(again))
	})
}

// TestTurnWarningDeadlock makes a method wait for a call that needs its own object.
func TestTurnWarningDeadlock(t *testing.T) {
	runSlow(t, time.Minute, func(conn *broker.Conn, _ *slow, log logLines) {
		call := conn.Root().CallRemote("callBack", &backCaller{})
		require.Contains(t, <-log, `"object":"slow","method":"callBack"`)
		conn.Abort(nil)
		require.Error(t, errorOf(call))
	})
}

func TestNoTurnWarning(t *testing.T) {
	runSlow(t, -1, func(conn *broker.Conn, s *slow, log logLines) {
		call := conn.Root().CallRemote("wait")
		<-s.begun
		time.Sleep(time.Hour)
		s.goOn <- struct{}{}
		require.NoError(t, errorOf(call))
		require.Empty(t, log)
	})
}
