package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// offence is something that no peer should send, behind the negotiation unless it is raw.
type offence struct {
	name   string
	raw    string // in place of everything from the first byte on
	texts  []string
	closes bool // the connection ends; else it is answered with an error, or with replies
	reply  string
	reason broker.Rejection
	login  bool // the root is a login
}

func offences() []offence {
	call := func(target, method, args string) []string {
		return []string{fmt.Sprintf(`[message 1 %s %s 1 %s [dictionary]]`, target, method, args)}
	}
	return []offence{
		{
			name:   "HTTP",
			raw:    "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Repeat("x", 80),
			closes: true,
			reason: "prefix",
		},
		{
			name:   "a TLS hello",
			raw:    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x8f", 20),
			closes: true,
			reason: "syntax",
		},
		{name: "a profile that nobody speaks", raw: "\x09\x82esperanto", closes: true, reason: "profile"},
		{name: "half a string", raw: "\x09\x82esp", closes: true, reason: "truncated"},
		{name: "an endless header", raw: strings.Repeat("\x01", 65), closes: true, reason: "prefix"},
		{name: "no list", texts: []string{`5`}, closes: true, reason: "command"},
		{name: "an empty list", texts: []string{`[]`}, closes: true, reason: "command"},
		{name: "a message that is too short", texts: []string{`[message 1]`}, closes: true, reason: "command"},
		{name: "a number that is none", texts: []string{`[decref x]`}, closes: true, reason: "command"},
		{name: "another version", texts: []string{`[version 5]`}, closes: true, reason: "version"},
		{
			name:   "an unknown command",
			texts:  []string{`[frobnicate]`},
			reply:  `[didNotUnderstand frobnicate]`,
			reason: "unknown command",
		},
		{name: "an answer to no call", texts: []string{`[answer 9 1]`}, closes: true, reason: "answer"},
		{name: "an error for no call", texts: []string{`[error 9 1]`}, closes: true, reason: "answer"},
		{name: "a decref of the root", texts: []string{`[decref 0]`}, closes: true, reason: "count"},
		{name: "a decref of nothing", texts: []string{`[decref 77]`}, closes: true, reason: "count"},
		{name: "a decache of nothing", texts: []string{`[decache 77]`}, closes: true, reason: "count"},
		{name: "an uncache of nothing", texts: []string{`[uncache 77]`}, closes: true, reason: "count"},
		{name: "a call of nothing", texts: call("77", "f", "[tuple]"), reason: "unknown object"},
		{name: "a call of no such name", texts: call("nobody", "f", "[tuple]"), reason: "unknown object"},
		{
			name:   "an update of nothing",
			texts:  []string{`[cachemessage 1 77 f 1 [tuple] [dictionary]]`},
			reason: "unknown object",
		},
		{
			name:   "a local that was never sent",
			texts:  call("root", "echo", "[tuple [local 77]]"),
			reason: "unknown object",
		},
		{
			name:   "an lcache that was never sent",
			texts:  call("root", "echo", "[tuple [lcache 77]]"),
			reason: "unknown object",
		},
		{
			name:   "a cached that never came",
			texts:  call("root", "echo", "[tuple [cached 77]]"),
			reason: "unknown object",
		},
		{
			name:   "an unknown class",
			texts:  call("root", "echo", `[tuple ["os.system" [list]]]`),
			reason: "insecure",
		},
		{name: "a module", texts: call("root", "echo", `[tuple [module os]]`), reason: "insecure"},
		{name: "a function", texts: call("root", "echo", `[tuple [function "os.system"]]`), reason: "insecure"},
		{
			name:   "a dereference of nothing",
			texts:  call("root", "echo", `[tuple [dereference 5]]`),
			reason: "value",
		},
		{
			name:   "a key that cannot be one",
			texts:  call("root", "echo", `[tuple [dictionary [[list] 1]]]`),
			reason: "value",
		},
		{name: "arguments that are none", texts: call("root", "echo", `5`), reason: "value"},
		{name: "lists nested too deep", texts: call("root", "echo", "[tuple "+nested(600)+"]"), reason: "depth"},

		{
			name:   "a wrong response",
			login:  true,
			texts:  call("$challenger", "respond", `[tuple nonsense [None]]`),
			reason: "login",
		},
		{
			name:   "a call of an avatar before the login",
			login:  true,
			texts:  call("perspective", "f", "[tuple]"),
			reason: "unknown object",
		},
	}
}

// TestRejectionOfEachOffence plays each against a server of its own, which serves another client meanwhile.
func TestRejectionOfEachOffence(t *testing.T) {
	for _, o := range offences() {
		t.Run(o.name, func(t *testing.T) {
			var root any = &service{}
			if o.login {
				root = broker.LoginRoot((&house{}).portal(t), unhurried())
			}
			s := newServer(t, root, broker.WithPublished("bystander", &service{}))
			bystander := s.peer()
			if o.raw != "" {
				p := s.connect()
				p.WantOffer()
				p.WriteBytes([]byte(o.raw))
				if o.reason == "truncated" {
					p.Close()
				} else {
					p.WantClosed()
				}
			} else {
				p := s.peer()
				if o.login {
					challenged(p, 7, "alice")
				}
				p.Write(o.texts...)
				switch {
				case o.closes:
					p.WantClosed()
				case o.reply != "":
					p.Want(o.reply)
				default:
					wantAnyError(p, 1)
				}
				if !o.closes && !o.login {
					p.WantIdle()
				}
			}
			bystander.Write(`[message 1 bystander add 1 [tuple 1 2] [dictionary]]`)
			bystander.Want(`[answer 1 3]`)
			// A call counts until just after its answer has gone out, and a connection until just after its socket is closed.
			var all broker.RuntimeStats
			require.Eventually(t, func() bool {
				all = broker.StatsOf(s.rt)
				return all.CallsIn.Pending == 0 && all.BytesHeld <= all.Exports*(2<<10) &&
					(!o.closes || all.Conns.Open+all.Conns.Opening == 1)
			}, patience, tick)
			assert.Equal(t, map[broker.Rejection]uint64{o.reason: 1}, all.Refusals)
			balanced(t, all.CallsIn)
		})
	}
}
