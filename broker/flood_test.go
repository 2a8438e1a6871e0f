package broker_test

import (
	"bytes"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// callFrame encodes a call of a method of the root with one integer.
func callFrame(dst []byte, request int, method string, arg int64) []byte {
	return append(dst, callOf(request, method, 1, banana.AppendInt(nil, arg))...)
}

// counting counts the calls that were run.
type counting struct {
	service
	ran atomic.Int64
}

func (c *counting) RemoteLong(n int) string { c.ran.Add(1); return string(make([]byte, n)) }

func TestFloodUnreadAnswers(t *testing.T) {
	root := &counting{}
	s := newServer(
		t,
		root,
		broker.WithLimits(broker.Limits{MaxWriteBacklog: 1 << 20, BytesIn: 1 << 18, Stall: 2 * time.Second}),
	)
	bystander := s.peer()
	sock := s.dial()
	wire.New(t, sock).Join()
	// While the first answers of half a megabyte each are unread, further calls are not run and are read slowly. After
	// the stall time the connection ends.
	var err error
	sent := 0
	for err == nil {
		var calls []byte
		for range 1000 {
			calls = callFrame(calls, sent, "long", 512<<10)
			sent++
		}
		_, err = sock.Write(calls)
		if sent%20000 == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			require.Less(t, m.HeapAlloc, uint64(64<<20))
		}
		require.Less(t, sent, 1_000_000, "the connection does not end")
	}
	// Calls that were held back are not run after the connection has ended.
	bystander.Write(`[message 0 root long 1 [tuple 3] [dictionary]]`)
	bystander.Want(`[answer 0 [unicode "\x00\x00\x00"]]`)
	require.Less(t, root.ran.Load(), int64(20))
	bystander.Write(`[message 1 root long 1 [tuple 3] [dictionary]]`)
	bystander.Want(`[answer 1 [unicode "\x00\x00\x00"]]`)
}

func TestFloodUnreadRefusals(t *testing.T) {
	s := newServer(t, &service{}, broker.WithLimits(broker.Limits{MaxWriteBacklog: 1 << 18}))
	sock := s.dial()
	wire.New(t, sock).Join()
	unknown := banana.AppendString(banana.AppendList(nil, 1), banana.ProfilePB, "frobnicate")
	unknown = bytes.Repeat(unknown, 1000)
	var err error
	for sent := 0; err == nil; sent += 1000 {
		_, err = sock.Write(unknown)
		require.Less(t, sent, 1_000_000, "the connection does not end")
	}
}

func TestSlowReaderCallsInOrder(t *testing.T) {
	root := &counting{}
	s := newServer(t, root, broker.WithLimits(broker.Limits{MaxWriteBacklog: 1000}))
	p := s.peer()
	bystander := s.peer()
	var calls []byte
	for i := range 50 {
		calls = callFrame(calls, i, "long", int64(2000+i))
	}
	calls = callFrame(calls, 50, "add", 0) // It takes two arguments.
	p.WriteBytes(calls)
	// The bystander's calls to the same object do not wait.
	for i := range 20 {
		bystander.Write(fmt.Sprintf(`[message %d root long 1 [tuple 1] [dictionary]]`, i))
		bystander.Want(fmt.Sprintf(`[answer %d _]`, i))
	}
	require.Less(t, root.ran.Load(), int64(60), "all calls of the slow reader were run")
	for i := range 50 {
		p.Want(fmt.Sprintf(`[answer %d [unicode $long%d]]`, i, i))
		require.Len(t, p.Var(fmt.Sprintf("long%d", i)), 2000+i)
	}
	wantError(t, p, 50, "builtins.TypeError")
}
