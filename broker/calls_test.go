package broker_test

import (
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

func TestNegotiation(t *testing.T) {
	t.Run("each profile", func(t *testing.T) {
		for _, profile := range []banana.Profile{banana.ProfilePB1, banana.ProfilePB, banana.ProfileNone} {
			p := newServer(t, &service{}).connect()
			p.JoinAs(profile)
			p.Write(`[message 1 "root" "add" 1 [tuple 1 2] [dictionary]]`)
			p.Want(`[answer 1 3]`)
		}
	})
	t.Run("calls right after the choice of profile", func(t *testing.T) {
		p := newServer(t, &service{}).connect()
		p.WantOffer()
		p.WriteBytes(banana.AppendChoice(nil, banana.ProfilePB))
		p.Speak(banana.ProfilePB)
		p.Write(`[version 6]`, `[message 1 "root" "add" 1 [tuple 1 2] [dictionary]]`)
		p.Want(`[version 6]`, `[answer 1 3]`)
	})
	t.Run("a profile that was not offered", func(t *testing.T) {
		p := newServer(t, &service{}).connect()
		p.WantOffer()
		p.Write(`"esperanto"`)
		p.WantClosed()
	})
	t.Run("another version", func(t *testing.T) {
		p := newServer(t, &service{}).connect()
		p.WantOffer()
		p.WriteBytes(banana.AppendChoice(nil, banana.ProfilePB))
		p.Speak(banana.ProfilePB)
		p.Want(`[version 6]`)
		p.Write(`[version 5]`)
		p.WantClosed()
	})
}

func TestCalls(t *testing.T) {
	s := newServer(t, &service{})
	p := s.peer()
	t.Run("an answer", func(t *testing.T) {
		p.Write(`[message 1 "root" "add" 1 [tuple 20 22] [dictionary]]`)
		p.Want(`[answer 1 42]`)
	})
	t.Run("no answer wanted", func(t *testing.T) {
		p.Write(`[message 2 "root" "add" 0 [tuple 1 1] [dictionary]]`,
			`[message 3 "root" "fail" 0 [tuple] [dictionary]]`,
			`[message 4 "root" "nosuch" 0 [tuple] [dictionary]]`,
			`[message 5 "root" "add" 1 [tuple 2 2] [dictionary]]`)
		p.Want(`[answer 5 4]`)
	})
	t.Run("plain error is builtins.Exception", func(t *testing.T) {
		p.Write(`[message 6 "root" "fail" 1 [tuple] [dictionary]]`)
		require.Contains(t, wantError(t, p, 6, "builtins.Exception"), errPlain.Error())
	})
	t.Run("unknown method", func(t *testing.T) {
		p.Write(`[message 7 "root" "nosuch" 1 [tuple] [dictionary]]`)
		require.Contains(t, wantError(t, p, 7, "twisted.spread.flavors.NoSuchMethod"), "remote_nosuch")
	})
	t.Run("unknown object", func(t *testing.T) {
		p.Write(`[message 8 77 "add" 1 [tuple 1 2] [dictionary]]`)
		wantError(t, p, 8, "twisted.spread.pb.Error")
		p.Write(`[message 9 "attic" "add" 1 [tuple 1 2] [dictionary]]`)
		wantError(t, p, 9, "twisted.spread.pb.Error")
	})
	t.Run("wrong arguments", func(t *testing.T) {
		for i, args := range []string{
			`[tuple 1] [dictionary]`,
			`[tuple 1 2 3] [dictionary]`,
			`[tuple 1 [unicode "x"]] [dictionary]`,
			`[tuple 1 2] [dictionary [[unicode "c"] 3]]`,
			`7 [dictionary]`,
			`[tuple 1 2] 7`,
		} {
			p.Write(fmt.Sprintf(`[message %d "root" "add" 1 %s]`, 10+i, args))
			wantError(t, p, 10+i, "builtins.TypeError")
		}
	})
	t.Run("panic", func(t *testing.T) {
		p.Write(`[message 20 "root" "panic" 1 [tuple] [dictionary]]`)
		require.NotContains(t, wantAnyError(p, 20), "secret")
		p.Write(`[message 21 "root" "add" 1 [tuple 1 1] [dictionary]]`)
		p.Want(`[answer 21 2]`)
	})
	t.Run("result cannot be sent", func(t *testing.T) {
		p.Write(`[message 22 "root" "unsendable" 1 [tuple] [dictionary]]`)
		require.Contains(t, wantError(t, p, 22, "twisted.spread.jelly.InsecureJelly"), "chan int")
	})
	t.Run("unknown command", func(t *testing.T) {
		p.Write(`[frobnicate 1 2 3]`, `[message 23 "root" "add" 1 [tuple 1 1] [dictionary]]`)
		p.Want(`["didNotUnderstand" "frobnicate"]`, `[answer 23 2]`)
		p.Write(`["didNotUnderstand" "x"]`, `[message 24 "root" "add" 1 [tuple 1 1] [dictionary]]`)
		p.Want(`[answer 24 2]`)
	})
	t.Run("unregistered class is InsecureJelly", func(t *testing.T) {
		p.Write(`[message 25 "root" "echo" 1 [tuple ["evil.Class" [dictionary]]] [dictionary]]`)
		wantError(t, p, 25, "twisted.spread.jelly.InsecureJelly")
	})
	t.Run("5,000 levels of nesting", func(t *testing.T) {
		deep := []byte(nil)
		for range 5000 {
			deep = banana.AppendSymbol(banana.AppendList(deep, 2), banana.ProfilePB, banana.SymList)
		}
		deep = banana.AppendInt(deep, 1)
		p.WriteBytes(callOf(26, "echo", 1, deep))
		wantAnyError(p, 26)
	})
}

func TestProtocolErrorCloses(t *testing.T) {
	for _, hostile := range []string{
		`7`,
		`"message"`,
		`[]`,
		`[[message]]`,
		`[7 8]`,
		`[version "six"]`,
		`[version]`,
		`[version 6 6]`,
		`[message]`,
		`[message 1 "root" "add" 1 [tuple]]`,
		`[message 1 "root" "add" 1 [tuple] [dictionary] 9]`,
		`[message "one" "root" "add" 1 [tuple] [dictionary]]`,
		`[message 1 [list] "add" 1 [tuple] [dictionary]]`,
		`[message 1 "root" 9 1 [tuple] [dictionary]]`,
		`[message 1 "root" "add" "yes" [tuple] [dictionary]]`,
		`[message 1.5 "root" "add" 1 [tuple] [dictionary]]`,
		`[answer 99 1]`,
		`[answer "x" 1]`,
		`[error 99 1]`,
		`[decref 5]`,
		`[decref "root"]`,
		`[decref -1]`,
		`[decache 5]`,
		`[uncache 5]`,
		`["didNotUnderstand"]`,
		`["didNotUnderstand" 5]`,
	} {
		t.Run(hostile, func(t *testing.T) {
			s := newServer(t, &service{})
			bystander := s.peer()
			p := s.peer()
			p.Write(hostile)
			p.WantClosed()
			bystander.Write(`[message 1 "root" "add" 1 [tuple 1 1] [dictionary]]`)
			bystander.Want(`[answer 1 2]`)
		})
	}
}

func TestGarbageCloses(t *testing.T) {
	for name, garbage := range map[string][]byte{
		"http":            []byte("GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n" + string(make([]byte, 80))),
		"bad type byte":   {0x01, 0xff},
		"a long prefix":   append(make([]byte, 65), 0x81),
		"a huge string":   append([]byte{0x7f, 0x7f, 0x7f, 0x7f}, byte(banana.String)),
		"a huge list":     append([]byte{0x7f, 0x7f, 0x7f, 0x7f}, byte(banana.List)),
		"no such word":    {0x60, byte(banana.Vocab)},
		"tls clienthello": append([]byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01}, make([]byte, 80)...),
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, &service{})
			bystander := s.peer()
			for _, joined := range []bool{false, true} {
				sock := s.dial()
				p := wire.New(t, sock)
				if joined {
					p.Join()
				} else {
					p.WantOffer()
				}
				_, _ = sock.Write(garbage) // The other side may close in the middle of it.
				p.WantClosed()
			}
			bystander.Write(`[message 1 "root" "add" 1 [tuple 1 1] [dictionary]]`)
			bystander.Want(`[answer 1 2]`)
		})
	}
}

func TestLimitOfCallsIn(t *testing.T) {
	p := newServer(t, &service{}, broker.WithLimits(broker.Limits{CallsIn: 2})).peer()
	p.Write(`[message 1 "root" "never" 1 [tuple] [dictionary]]`,
		`[message 2 "root" "never" 1 [tuple] [dictionary]]`,
		`[message 3 "root" "add" 1 [tuple 1 1] [dictionary]]`)
	require.Contains(t, wantError(t, p, 3, "perspectivebroker.Busy"), "2 calls")
}
