package broker_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// strangers is what a client does that has not logged in. read starts a goroutine that reads.
type strangers struct {
	name  string
	play  func(sock net.Conn, read func())
	drops bool // some of them are dropped
}

func text(s string) []byte { return banana.AppendString(nil, banana.ProfilePB, s) }

func crowdsOfStrangers() []strangers {
	half := callOf(1, "login", 1, text(strings.Repeat("x", 60_000)))
	return []strangers{{
		"halves of messages", func(sock net.Conn, _ func()) { _, _ = sock.Write(half[:len(half)-1]) }, true,
	}, {
		"small values", func(sock net.Conn, read func()) {
			read()
			frame := callOf(1, "nothing", 1, listsOf(3_000, smallest["local"]))
			for range 5 {
				_, _ = sock.Write(frame)
			}
		}, false,
	}, {
		"challenges with long names", func(sock net.Conn, read func()) {
			read()
			for range 32 {
				_, _ = sock.Write(callOf(1, "login", 1, text(strings.Repeat("x", 60_000))))
			}
		}, false,
	}, {
		"answers that are not read", func(sock net.Conn, _ func()) {
			for range 2000 {
				if _, err := sock.Write(callOf(1, "nothing", 1, text("x"))); err != nil {
					return
				}
			}
		}, false,
	}, {
		"unknown commands that are not read", func(sock net.Conn, _ func()) {
			for range 20 {
				if _, err := sock.Write(append([]byte{1, byte(banana.List)}, text(strings.Repeat("x", 60_000))...)); err != nil {
					return
				}
			}
		}, false,
	}, {
		"nothing", func(net.Conn, func()) {}, true,
	}}
}

// Whatever strangers do, users are served and can log in, and all strangers together hold no more than their part.
func TestStrangersLeaveRoomForUsers(t *testing.T) {
	const total, part, crowd = 16 << 20, 2 << 20, 100
	for _, kind := range crowdsOfStrangers() {
		t.Run(kind.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := &house{}
				limits := broker.Limits{MemoryTotal: total}
				if kind.name == "nothing" {
					limits.Strangers = crowd / 2
				}
				s := newServer(t, broker.LoginRoot(h.portal(t), unhurried()), broker.WithLimits(limits))
				user := s.peer()
				enter(user, 1, "alice", "sesame")
				large := callOf(10, "nothing", 1, text(strings.Repeat("x", 600_000)))
				var socks []net.Conn
				for range crowd {
					sock := s.dial()
					socks = append(socks, sock)
					greet(sock)
					go kind.play(sock, func() { go func() { _, _ = io.Copy(io.Discard, sock) }() })
				}
				synctest.Wait()
				for range 5 {
					began := time.Now()
					user.WriteBytes(large)
					wantAnyError(user, 10)
					assert.Zero(t, time.Since(began), "a user waits for strangers")
					assert.LessOrEqual(t, broker.StatsOf(s.rt).BytesHeld, part+1<<20)
					newcomer := s.peer()
					enter(newcomer, 1, "bob", "bread")
					assert.Less(t, time.Since(began), time.Second)
					newcomer.Close()
				}
				all := broker.StatsOf(s.rt)
				if kind.drops {
					assert.NotZero(t, all.Refusals["strangers"])
					assert.Less(t, all.Conns.Open+all.Conns.Opening, crowd)
				}
				for _, sock := range socks {
					_ = sock.Close()
				}
			})
		})
	}
}

// greet negotiates without checking what it reads.
func greet(sock net.Conn) {
	offer := make([]byte, len("\x03\x80\x04\x82pb+1\x02\x82pb\x04\x82none"))
	_, _ = io.ReadFull(sock, offer)
	hello := command.AppendVersion(nil, banana.ProfilePB, 6)
	go func() { _, _ = io.ReadFull(sock, make([]byte, len(hello))) }()
	_, _ = sock.Write(append(banana.AppendString(nil, banana.ProfileNone, "pb"), hello...))
}

func TestOldestStrangerDropped(t *testing.T) {
	h := &house{}
	s := newServer(t, broker.LoginRoot(h.portal(t)), broker.WithLimits(broker.Limits{Strangers: 2}))
	user := s.peer()
	enter(user, 1, "alice", "sesame")
	first, second, third := s.peer(), s.peer(), s.peer()
	first.WantClosed()
	fourth := s.peer()
	second.WantClosed()
	enter(third, 1, "bob", "bread")
	fifth := s.peer() // Logged in, so no stranger any more.
	enter(fourth, 1, "bob", "bread")
	enter(fifth, 1, "bob", "bread")
	user.Write(`[message 5 $avatar "whoami" 1 [tuple] [dictionary]]`)
	user.Want(`[answer 5 _]`)
	require.Eventually(
		t,
		func() bool { return broker.StatsOf(s.rt).Refusals["strangers"] == 2 },
		patience,
		tick,
	)
	require.Len(t, broker.StatsOf(s.rt).Refusals, 1)
}

// A challenge keeps only the beginning of a long name, and its login is refused with the usual text.
func TestLongNameInChallenge(t *testing.T) {
	h := &house{}
	s := newServer(t, broker.LoginRoot(h.portal(t), unhurried()))
	p := s.peer()
	before := heap()
	for i := range defaultSessions {
		challenged(p, i+1, strings.Repeat("x", 60_000))
	}
	assert.Less(t, heap()-before, 4<<20)
	assert.Greater(t, broker.StatsOf(s.rt).BytesHeld, defaultSessions<<10, "each is counted")
	respond(p, 1000, "sesame", `[None]`)
	wantRefused(t, p, 1000)
	p.Close()
	require.Eventually(t, func() bool { return broker.StatsOf(s.rt).BytesHeld == 0 }, patience, tick)
	require.False(t, bytes.Contains([]byte(fmt.Sprint(broker.StatsOf(s.rt).Refusals)), []byte("xxx")))
}
