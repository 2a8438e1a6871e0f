package wire

import (
	"fmt"
	"math/big"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

func TestParse(t *testing.T) {
	big448, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for text, want := range map[string]banana.Expr{
		`1`:                              int64(1),
		`-5`:                             int64(-5),
		`1.5`:                            1.5,
		`-2e3`:                           -2000.0,
		`123456789012345678901234567890`: big448,
		`word`:                           []byte("word"),
		`"quoted \x00]"`:                 []byte("quoted \x00]"),
		`-dash`:                          []byte("-dash"),
		`[]`:                             []banana.Expr{},
		` [ a [1] "b" ] `:                []banana.Expr{[]byte("a"), []banana.Expr{int64(1)}, []byte("b")},
		`[_ ... $x]`:                     []banana.Expr{wildcard{}, rest{}, variable("x")},
	} {
		got, err := Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		``:      "unexpected end of text",
		`[1`:    "unexpected end of text",
		`]`:     "offset 0: unexpected ]",
		`1 2`:   `unexpected "2" after the expression`,
		`"open`: "unterminated string",
	} {
		_, err := Parse(text)
		assert.ErrorContains(t, err, want, text)
	}
}

func TestMatch(t *testing.T) {
	for _, test := range []struct{ want, got, diff string }{
		{`[a 1]`, `[a 1]`, ""},
		{`[a _]`, `[a [1 2]]`, ""},
		{`[a ...]`, `[a 1 2]`, ""},
		{`[$x $x]`, `[5 5]`, ""},
		{`[$x $x]`, `[5 6]`, "got 6, want 5"},
		{`[a 1]`, `[a 2]`, "got 2, want 1"},
		{`[a 1]`, `[a]`, "ends after 1 of 2 elements"},
		{`[a]`, `[a 1]`, "has 2 elements, want 1"},
		{`[a]`, `a`, `got "a", want a list`},
		{`1`, `1.0`, "got 1.0, want 1"},
		{`99999999999999999999`, `99999999999999999999`, ""},
		{`99999999999999999999`, `1`, "got 1, want 99999999999999999999"},
	} {
		want, err := Parse(test.want)
		require.NoError(t, err)
		got, err := Parse(test.got)
		require.NoError(t, err)
		err = match(want, got, map[string]banana.Expr{})
		if test.diff == "" {
			assert.NoError(t, err, "%v", test)
		} else {
			assert.ErrorContains(t, err, test.diff)
		}
	}
}

func TestConversation(t *testing.T) {
	listener := Listen(t)
	client := Connect(t, listener.Addr().String())
	server := Accept(t, listener)
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Host()
		server.Want(`[message $id root $method 1 _ _]`)
		server.Write(`[decref 1]`, `[answer $id $method]`)
		server.Want(`[message $idle root echo 1 [tuple $idle] [dictionary]]`)
		server.Write(`[answer $idle $idle]`)
		server.Close()
	}()
	client.Join()
	client.Ignore(`[decref _]`)
	client.Write(`[message 5 root list 1 [tuple] [dictionary]]`)
	client.Want(`[answer 5 $what]`)
	assert.Equal(t, []byte("list"), client.Var("what"))
	client.WantIdle()
	client.WantClosed()
	<-done
}

// fakeTB records the message of the failure instead of failing the test.
type fakeTB struct {
	testing.TB
	message string
}

func (f *fakeTB) Helper()                   {}
func (f *fakeTB) Cleanup(func())            {}
func (f *fakeTB) Fatal(a ...any)            { f.message = fmt.Sprint(a...); panic(f) }
func (f *fakeTB) Fatalf(s string, a ...any) { f.message = fmt.Sprintf(s, a...); panic(f) }

func TestMismatchFailsTest(t *testing.T) {
	for name, test := range map[string]struct {
		sent string
		want func(*Peer)
		says string
	}{
		"another value": {"\x01\x81", func(p *Peer) { p.Want(`2`) }, "got 1, want 2"},
		"end":           {"", func(p *Peer) { p.Want(`2`) }, "EOF, want 2"},
		"not closed":    {"\x01\x81", func(p *Peer) { p.WantClosed() }, "got 1, want end of stream"},
		"garbage":       {"\xff", func(p *Peer) { p.Want(`2`) }, ", want 2"},
		"other bytes":   {"\x01\x81", func(p *Peer) { p.WantBytes([]byte{2, 0x81}) }, "want 02 81"},
		"few bytes":     {"\x01", func(p *Peer) { p.WantBytes([]byte{1, 0x81}) }, "EOF after 01"},
		"unbound name":  {"", func(p *Peer) { p.Write(`$x`) }, "$x is not bound"},
		"wildcard":      {"", func(p *Peer) { p.Write(`[a _]`) }, "cannot be sent"},
		"bad notation":  {"", func(p *Peer) { p.Want(`[`) }, "unexpected end of text"},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			go func() {
				there.Write([]byte(test.sent))
				there.Close()
			}()
			f := &fakeTB{TB: t}
			func() {
				defer func() { assert.Equal(t, any(f), recover()) }()
				test.want(New(f, here))
			}()
			assert.Contains(t, f.message, test.says)
		})
	}
}
