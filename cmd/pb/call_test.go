package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	grammar "github.com/perspectivebroker/pb/internal/command"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCall(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bytes")
	require.NoError(t, os.WriteFile(file, []byte{0, 255}, 0o600))
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			for _, c := range []struct {
				args []string
				want string
			}{
				{[]string{"add", "1", "2"}, "3"},
				{[]string{"add", "a=1"}, "11"},
				{[]string{"add", "-5", "b=-2"}, "-7"},
				{[]string{"echo", "plain text"}, "'plain text'"},
				{[]string{"echo", "'text'"}, "'text'"},
				{[]string{"echo", "b'\\x00bytes'"}, `b'\x00bytes'`},
				{[]string{"echo", "@" + file}, `b'\x00\xff'`},
				{
					[]string{"echo", "[1, 2.5, (None, True), {'z': 1, 'a': b'x'}]"},
					"[1, 2.5, (None, True), {'z': 1, 'a': b'x'}]",
				},
				{[]string{"echo", "{1}"}, "{1}"},
				{[]string{"echo", "frozenset([1])"}, "frozenset({1})"},
				{[]string{"echo", "datetime(2024,1,2,3,4,5)"}, "datetime(2024, 1, 2, 3, 4, 5)"},
				{[]string{"echo", "date(2024,1,2)"}, "date(2024, 1, 2)"},
				{[]string{"echo", "time(3,4)"}, "time(3, 4)"},
				{[]string{"echo", "timedelta(1,2,3)"}, "timedelta(days=1, seconds=2, microseconds=3)"},
				{[]string{"echo", "Decimal('1.50')"}, "Decimal('1.50')"},
				{[]string{"echo", "123456789012345678901234567890"}, "123456789012345678901234567890"},
				{[]string{"echo", "inf"}, "inf"},
				{[]string{"echo", "\x1b[31mred"}, `'\x1b[31mred'`},
				{[]string{"kwargs", "1", "x=y=z", "k=[1]"}, "[[1], {'x': 'y=z', 'k': [1]}]"},
				{[]string{"counter"}, "<ref 1>"},
				{[]string{"point", "1", "2"}, "<copy conformance.Point {'x': 1, 'y': 2}>"},
			} {
				r := pb(t, append([]string{"call", s.url}, c.args...)...)
				assert.Equal(t, statusDone, r.status, "%q: %s", c.args, r.errors)
				if c.args[0] == "kwargs" {
					assert.Contains(t, r.out, "'x': 'y=z'")
					continue
				}
				assert.Equal(t, c.want+"\n", r.out, "%q", c.args)
				assert.Empty(t, r.errors)
			}
		})
	}
}

func TestCallForms(t *testing.T) {
	s := stockServer(t)
	for _, c := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", []string{"-json", s.url, "echo", "(1, b'a', {'k': nan})"},
			`{"$tuple": [1, {"$bytes": "YQ=="}, {"k": {"$float": "nan"}}]}`},
		{"", []string{"-json", s.url, "point", "1", "2"}, `{"$copy": "conformance.Point", "state": {"x": 1, "y": 2}}`},
		{"", []string{"-json", s.url, "counter"}, `{"$ref": 1}`},
		{"piped", []string{s.url, "echo", "@-"}, "b'piped'"},
		{"", []string{"-n", "3", s.url, "add", "1"}, "11\n11\n11"},
		{"", []string{"-pretty", s.url, "echo", "[" + strings.Repeat("'0123456789', ", 8) + "]"},
			"[\n" + strings.Repeat("  '0123456789',\n", 8) + "]"},
	} {
		r := pbWith(t, c.stdin, nil, append([]string{"call"}, c.args...)...)
		assert.Equal(t, statusDone, r.status, r.errors)
		assert.Equal(t, c.want+"\n", r.out)
	}
	// A stock peer hands out 1,024 references, so each must be given back.
	r := pb(t, "call", "-timeout", "2m", "-n", "3000", s.url, "counter")
	assert.Equal(t, statusDone, r.status, r.errors)
	assert.Equal(t, 3000, strings.Count(r.out, "<ref "))
	r = pb(t, "call", "-no-answer", "-n", "2", s.url, "note", "from pb")
	assert.Equal(t, result{}, r)
	s.proc.WaitLines("note from pb", 2)
}

func TestCallFails(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			r := pb(t, "call", s.url, "fail", "error", "sorry")
			assert.Equal(t, statusFailed, r.status)
			assert.Equal(t, "builtins.Exception: sorry\n", r.errors)
			assert.Empty(t, r.out)
			r = pb(t, "call", s.url, "nothing")
			assert.Equal(t, statusFailed, r.status)
			assert.True(t, strings.HasPrefix(r.errors, "twisted.spread.flavors.NoSuchMethod: "), r.errors)
			r = pb(t, "call", s.url+"/nobody", "add", "1")
			assert.Equal(t, statusFailed, r.status)
			assert.True(t, strings.HasPrefix(r.errors, "twisted.spread.pb.Error: "), r.errors)
			r = pbInTime(t, hasConnected, "call", s.url, "never")
			assert.Equal(t, statusTime, r.status)
			r = pb(t, "call", s.url, "close")
			assert.Equal(t, statusConnection, r.status)
		})
	}
}

func TestCallLogin(t *testing.T) {
	s := stockServer(t, "--cred", "moe=secret", "--anonymous")
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("secret\n"), 0o600))
	for _, c := range []struct {
		environ []string
		flags   []string
	}{
		{nil, []string{"-u", "moe", "-p", "secret"}},
		{nil, []string{"-u", "moe", "-password-file", file}},
		{[]string{"PB_PASSWORD=secret"}, []string{"-u", "moe"}},
	} {
		r := pbWith(t, "", c.environ, append(append([]string{"call"}, c.flags...), s.url, "whoami")...)
		assert.Equal(t, result{0, "'moe'\n", ""}, r)
	}
	assert.Equal(t, "'anonymous'\n", pb(t, "call", "-anonymous", s.url, "whoami").out)
	r := pb(t, "call", "-u", "moe", "-p", "wrong", s.url, "whoami")
	assert.Equal(t, statusConnection, r.status)
	assert.Contains(t, r.errors, "UnauthorizedLogin")
}

func TestCallInterrupted(t *testing.T) {
	s := stockServer(t)
	r := start(t, "call", "-timeout", "0", s.url, "callback", "x", "x", "[]")
	assert.Equal(t, statusFailed, r.wait()) // "x" has no callRemote
	r = start(t, "call", "-timeout", "0", s.url, "never")
	// The server counts the connection once it is open.
	require.Eventually(t, func() bool {
		return strings.Contains(pb(t, "call", s.url, "stats").out, "'connections': 2")
	}, patience, tick)
	assert.Equal(t, statusInterrupted, r.interrupt())
}

// offer is the first message of a server.
func offer() []byte { return banana.AppendOffer(nil) }

func version6() []byte {
	return grammar.AppendVersion(nil, banana.ProfilePB, grammar.ProtocolVersion)
}

// answering makes a peer that answers the first call with bytes.
func answering(t *testing.T, answer func(p banana.Profile) []byte) string {
	return fakePeer(t, func(sock net.Conn) {
		awaitCall(sock)
		_, _ = sock.Write(answer(banana.ProfilePB))
		_, _ = io.Copy(io.Discard, sock)
	})
}

// awaitCall negotiates and waits for the first call, which may come behind the negotiation in a segment of its own.
func awaitCall(sock net.Conn) {
	_, _ = sock.Write(append(offer(), version6()...))
	_, _ = io.ReadFull(sock, make([]byte, len(banana.AppendChoice(nil, banana.ProfilePB))+len(version6())+1))
}

// TestCopyIsNotReleased checks that a copy whose state is an integer is not given back as if it were a cache: that
// would cost the connection.
func TestCopyIsNotReleased(t *testing.T) {
	call := func(id int) []byte {
		return expr(t, list{"message", id, "root", "mood", 1, list{"tuple"}, list{"dictionary"}})
	}
	next := make(chan string, 1)
	url := fakePeer(t, func(sock net.Conn) {
		_, _ = sock.Write(append(offer(), version6()...))
		var sent []byte
		for one := make([]byte, 1); !bytes.HasSuffix(sent, call(1)); sent = append(sent, one...) {
			if _, err := sock.Read(one); err != nil {
				next <- err.Error()
				return
			}
		}
		_, _ = sock.Write(expr(t, list{"answer", 1, list{"a.Mood", 5}}))
		second := make([]byte, len(call(2)))
		_, _ = io.ReadFull(sock, second)
		next <- string(second)
		_, _ = sock.Write(expr(t, list{"answer", 2, 7}))
		_, _ = io.Copy(io.Discard, sock)
	})
	r := pb(t, "call", "-n", "2", url, "mood")
	assert.Equal(t, "<copy a.Mood 5>\n7\n", r.out, r.errors)
	assert.Equal(t, string(call(2)), <-next)
}

func expr(t *testing.T, e banana.Expr) []byte {
	b, err := banana.EncodeExpr(banana.ProfilePB, e)
	require.NoError(t, err)
	return b
}

type list = []banana.Expr

func TestHostilePeers(t *testing.T) {
	references := list{"list"}
	for half := range 2 { // A list has at most 655,360 elements.
		part := list{"list"}
		for i := range 500_000 {
			part = append(part, list{"remote", half*500_000 + i + 1})
		}
		references = append(references, part)
	}
	answer := func(e banana.Expr) []byte { return expr(t, list{"answer", 1, e}) }
	for name, c := range map[string]struct {
		answer []byte
		status int
		want   string // in the output or the errors
	}{
		"escape codes": {answer(list{"unicode", "\x1b]0;owned\a\xc2\x9b2J"}), 0, `'\x1b]0;owned\x07\x9b2J'`},
		"class with escapes": {
			expr(t, list{"answer", 1, list{"a.\x1b[2J", list{"dictionary"}}}), 0, `<copy 'a.\x1b[2J' {}>`,
		},
		"failure with escapes": {
			expr(t, list{"error", 1, list{"twisted.spread.pb.CopyableFailure", list{"dictionary",
				list{list{"unicode", "type"}, "a.E\x1b"}, list{list{"unicode", "value"}, list{"unicode", "x\x1b[2J"}},
				list{list{"unicode", "traceback"}, list{"unicode", "line 1\nline 2\x1b\n"}}}}}),
			1, "a.E\\x1b: x\\x1b[2J\nline 1\nline 2\\x1b\n",
		},
		"a failure of a class": {
			expr(t, list{"error", 1, list{"a.Refused", list{"dictionary", list{list{"unicode", "code"}, 7}}}}), 1,
			"a.Refused: {'code': 7}",
		},
		"a million references": {expr(t, list{"answer", 1, references}), 3, "references"},
		"unknown call":         {expr(t, list{"answer", 99, 1}), 3, "not under way"},
		"no command":           {expr(t, 5), 3, "no command"},
		"malformed value":      {expr(t, list{"answer", 1, list{"unicode", "\xff"}}), 3, "malformed"},
		"not banana":           {[]byte(strings.Repeat("x", 100)), 3, "lost"},
		"half a message":       {[]byte{3, 0x80}, 4, "ran out"},
		"a cycle":              {answer(list{"reference", 1, list{"list", list{"dereference", 1}}}), 0, "[<cycle>]"},
		"unknown command":      {append(expr(t, list{"sing", 1}), expr(t, list{"answer", 1, 2})...), 0, "2"},
		"a call of ours": {
			append(expr(t, list{"message", 7, 1, "m", 1, list{"tuple"}, list{"dictionary"}}), answer(2)...), 0, "2",
		},
		"unpersistable": {answer(list{"unpersistable", "instance \x1b"}), 0, `<unpersistable 'instance \x1b'>`},
	} {
		t.Run(name, func(t *testing.T) {
			url := answering(t, func(banana.Profile) []byte { return c.answer })
			var r result
			if c.status == statusTime {
				r = pbInTime(t, hasConnected, "call", url, "m")
			} else {
				r = pb(t, "call", "-timeout", "2m", url, "m")
			}
			assert.Equal(t, c.status, r.status, r.errors)
			assert.Contains(t, r.out+r.errors, c.want)
			assert.NotContains(t, r.out+r.errors, "\x1b")
		})
	}
}

func TestNoBroker(t *testing.T) {
	closed := fakePeer(t, func(sock net.Conn) { sock.Close() })
	for name, url := range map[string]string{
		"refused": "pb+unix:///does/not/exist",
		"closes":  closed,
		"silent":  fakePeer(t, func(sock net.Conn) { _, _ = io.Copy(io.Discard, sock) }),
		"http": fakePeer(t, func(sock net.Conn) {
			_, _ = io.WriteString(sock, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_, _ = io.Copy(io.Discard, sock)
		}),
		"version 5": fakePeer(t, func(sock net.Conn) {
			_, _ = sock.Write(append(offer(), expr(t, list{"version", 5})...))
			_, _ = io.Copy(io.Discard, sock)
		}),
		"other dialect": fakePeer(t, func(sock net.Conn) {
			_, _ = sock.Write(expr(t, list{"xyz"}))
			_, _ = io.Copy(io.Discard, sock)
		}),
	} {
		r := pb(t, "call", "-timeout", "500ms", url, "m")
		assert.Equal(t, statusConnection, r.status, "%s: %s", name, r.errors)
		assert.NotEmpty(t, r.errors)
	}
}
