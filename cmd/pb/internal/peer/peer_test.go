package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type list = []banana.Expr

func encode(t testing.TB, e banana.Expr) []byte {
	t.Helper()
	b, err := banana.EncodeExpr(banana.ProfilePB, e)
	require.NoError(t, err)
	return b
}

// sockets returns the two ends of a connection.
func sockets(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func hello() []byte {
	return command.AppendVersion(banana.AppendOffer(nil), banana.ProfilePB, command.ProtocolVersion)
}

// scripted opens a connection whose peer the test plays. Next reads what the connection sends.
func scripted(t testing.TB) (c *Conn, peer *Raw) {
	t.Helper()
	client, server := sockets(t)
	peer = NewRaw(server)
	require.NoError(t, peer.Send(hello(), stock.Timeout))
	c, err := Open(t.Context(), client)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	_, err = peer.Next(stock.Timeout) // the choice
	require.NoError(t, err)
	peer.frames.init(banana.ProfilePB, banana.Limits{})
	want(t, peer, "[version 6]")
	return c, peer
}

func want(t testing.TB, peer *Raw, text string) {
	t.Helper()
	e, err := peer.Next(stock.Timeout)
	require.NoError(t, err)
	require.Contains(t, banana.Format(e), text)
}

func send(t testing.TB, peer *Raw, e banana.Expr) {
	t.Helper()
	require.NoError(t, peer.Send(encode(t, e), stock.Timeout))
}

func TestTargets(t *testing.T) {
	for url, want := range map[string]Target{
		"pb://h":                     {Network: "tcp", Address: "h:8787", Name: "root"},
		"pb://h:1/x":                 {Network: "tcp", Address: "h:1", Name: "x"},
		"pbs://[::1]:2":              {TLS: true, Network: "tcp", Address: "[::1]:2", Name: "root"},
		"pb+unix:///a/b":             {Network: "unix", Address: "/a/b", Name: "root"},
		"pb+unix:///a/b?name=x":      {Network: "unix", Address: "/a/b", Name: "x"},
		"pb://127.0.0.1:1/a%20b":     {Network: "tcp", Address: "127.0.0.1:1", Name: "a b"},
		"pb://h:1/perspective.thing": {Network: "tcp", Address: "h:1", Name: "perspective.thing"},
	} {
		got, err := ParseTarget(url)
		require.NoError(t, err, url)
		assert.Equal(t, want, got, url)
	}
	for url, why := range map[string]string{
		"": "scheme is missing", "h:1": "", "http://h": "unknown scheme", "pb://": "host is missing",
		"pb://u:secret@h": "user and password", "pb://h#x": "fragment", "pb://h?x": "query", "pb://h:x": "",
		"pb+unix://a": "begin", "pb+unix:///": "path of the socket", "pb+unix:///a?x=y": "only allowed query",
		"pb://h/%zz": "",
	} {
		_, err := ParseTarget(url)
		require.Error(t, err, url)
		if why != "begin" {
			assert.ErrorContains(t, err, why, url)
		}
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestNegotiationFails(t *testing.T) {
	for name, c := range map[string]struct {
		sent []byte
		want string
	}{
		"nothing":       {nil, "makes no offer"},
		"garbage":       {[]byte(strings.Repeat("\x1b", 200)), "makes no offer"},
		"other dialect": {encode(t, list{"xyz"}), ""},
		"no list":       {encode(t, 5), ""},
		"half":          {banana.AppendOffer(nil), "did not complete"},
		"version 5":     {append(banana.AppendOffer(nil), encode(t, list{"version", 5})...), "version 5 of the protocol"},
		"no version": {
			append(banana.AppendOffer(nil), encode(t, list{"a", strings.Repeat("b", 500)})...), "instead of its version",
		},
	} {
		client, server := sockets(t)
		_, err := server.Write(c.sent)
		require.NoError(t, err)
		require.NoError(t, server.(*net.TCPConn).CloseWrite())
		_, err = Open(t.Context(), client)
		require.Error(t, err, name)
		assert.ErrorContains(t, err, c.want, name)
		assert.Less(t, len(err.Error()), 400, name)
	}
	client, _ := sockets(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	_, err := Open(ctx, client)
	require.Error(t, err)
	_, err = Dial(t.Context(), Target{Network: "unix", Address: filepath.Join(t.TempDir(), "no")}, Options{})
	require.Error(t, err)
}

func TestCalls(t *testing.T) {
	c, peer := scripted(t)
	// Answers come in any order.
	first, err := c.Start("root", "first", Args{}, nil)
	require.NoError(t, err)
	answered := make(chan *Answer, 1)
	_, err = c.Start(&value.Ref{ID: 7}, "second", Args{Values: []any{1}, Names: []string{"k"}, Kw: []any{"v"}},
		func(a *Answer) { answered <- a })
	require.NoError(t, err)
	want(t, peer, `[message 1 "root" "first" 1 [tuple] [dictionary]]`)
	want(t, peer, `[message 2 7 "second" 1 [tuple 1] [dictionary [["unicode" "k"] ["unicode" "v"]]]]`)
	send(t, peer, list{"answer", 2, list{"list", list{"remote", 3}, list{"remote", 3}}})
	a := <-answered
	require.NoError(t, a.Err)
	require.Len(t, a.Mentions, 2)
	require.NoError(t, c.Release(a.Mentions))
	want(t, peer, "[decref 3]")
	want(t, peer, "[decref 3]")
	require.NoError(t, c.Release(nil))
	send(t, peer, list{"error", 1, "no"})
	<-first.done
	var failure *Failure
	require.ErrorAs(t, first.answer.Err, &failure)
	assert.Equal(t, "failure: b'no'", failure.Error())

	require.NoError(t, c.SendNoAnswer("root", "third", Args{}))
	want(t, peer, `[message 3 "root" "third" 0 [tuple] [dictionary]]`)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errTooLong)
	require.ErrorIs(t, c.Call(ctx, "root", "fourth", Args{}).Err, errTooLong)
	want(t, peer, `"fourth"`)

	var bad *EncodeError
	require.ErrorAs(t, c.Call(t.Context(), "root", "m", Args{Values: []any{make(chan int)}}).Err, &bad)
	require.ErrorAs(t, c.SendNoAnswer("root", "m", Args{Names: []string{"k"}, Kw: []any{func() {}}}), &bad)
	assert.ErrorContains(t, errors.Unwrap(bad), bad.Error())

	last, err := c.Start("root", "last", Args{}, nil)
	require.NoError(t, err)
	want(t, peer, `"last"`)
	peer.Sock.Close()
	<-last.done
	require.ErrorIs(t, last.answer.Err, ErrHungUp)
	<-c.Done()
	var lost *LostError
	require.ErrorAs(t, c.Call(t.Context(), "root", "m", Args{}).Err, &lost)
	require.ErrorIs(t, c.Err(), ErrHungUp)
	c.Finish(t.Context())
}

var errTooLong = errors.New("too long")

func TestFinish(t *testing.T) {
	c, peer := scripted(t)
	require.NoError(t, c.SendNoAnswer("root", "m", Args{}))
	done := make(chan struct{})
	go func() { c.Finish(t.Context()); close(done) }()
	want(t, peer, `"m"`)
	_, err := peer.Next(stock.Timeout)
	require.ErrorIs(t, err, ErrHungUp)
	peer.Sock.Close()
	<-done
	require.Error(t, c.Err())
}

// TestHostileCommands wants what is malformed to end the connection with an error, and what is unknown answered.
func TestHostileCommands(t *testing.T) {
	for name, e := range map[string]banana.Expr{
		"number": 5, "empty": list{}, "list": list{list{}}, "short answer": list{"answer", 1}, "short error": list{"error"},
		"short message": list{"message", 1, "root"}, "answer of text": list{"answer", "x", 1},
		"answer to nothing": list{"answer", 9, 1},
		"call of a list":    list{"message", list{}, "root", "m", 1, list{"tuple"}, list{}},
	} {
		c, peer := scripted(t)
		send(t, peer, e)
		<-c.Done()
		require.Error(t, c.Err(), name)
		assert.NotErrorIs(t, c.Err(), ErrHungUp, name)
	}
	c, peer := scripted(t)
	for _, e := range []banana.Expr{
		list{"decref", 1}, list{"decache", 1}, list{"uncache", 1}, list{"didNotUnderstand", "x"},
	} {
		send(t, peer, e)
	}
	send(t, peer, list{"weird", 1})
	want(t, peer, `["didNotUnderstand" "weird"]`)
	// A call of an object that is not there, whose arguments are given back.
	send(t, peer, list{"message", 4, 1, "m", 1, list{"tuple", list{"remote", 5}}, list{"dictionary"}})
	want(t, peer, "[decref 5]")
	want(t, peer, "this program publishes no objects")
	send(t, peer, list{"message", 5, 1, "m", 0, list{"tuple", list{"nonsense"}}, list{"dictionary"}})
	send(t, peer, list{"message", 6, 1, "m", 1, list{"list", list{"dereference", 9}}, list{"dictionary"}})
	want(t, peer, "[error 6 ")

	k, err := c.Start("root", "m", Args{}, nil)
	require.NoError(t, err)
	want(t, peer, `"m"`)
	send(t, peer, list{"answer", 1, list{"dereference", 3}})
	<-k.done
	var bad *BadValueError
	require.ErrorAs(t, k.answer.Err, &bad)
	require.Error(t, bad.Unwrap())
	assert.Contains(t, bad.Error(), "malformed")
}

// TestCaches follows caches, and gives back the mentions of caches that are not known.
func TestCaches(t *testing.T) {
	c, peer := scripted(t)
	cache := func(id, request int) *value.Cache {
		done := make(chan *Answer, 1)
		_, err := c.Start("root", "m", Args{}, func(a *Answer) { done <- a })
		require.NoError(t, err)
		want(t, peer, `"m"`)
		send(t, peer, list{"answer", request, list{"pond.Board", id, list{"dictionary"}}})
		a := <-done
		require.NoError(t, a.Err)
		return a.Value.(*value.Cache)
	}
	update := func(id int, method string) {
		send(t, peer, list{"cachemessage", 0, id, method, 0, list{"tuple", 1}, list{"dictionary"}})
	}
	c.Follow(true)
	assert.Equal(t, int64(4), cache(4, 1).ID)
	c.Follow(false)
	cache(5, 2)
	cache(4, 3) // again
	update(4, "first")
	update(5, "dropped")
	send(t, peer, list{"cachemessage", 8, 6, "unknown", 1, list{"tuple", list{"remote", 1}}, list{"dictionary"}})
	want(t, peer, "[decref 1]")
	want(t, peer, "[error 8 ")
	send(t, peer, list{"cachemessage", 9, 4, "second", 1, list{"tuple"}, list{"dictionary", list{"k", 1}}})
	want(t, peer, "[answer 9 [None]]")
	u := c.Updates(4)
	for _, method := range []string{"first", "second"} {
		x, ok := u.Next(t.Context())
		require.True(t, ok)
		assert.Equal(t, method, x.Method)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, ok := u.Next(ctx)
	assert.False(t, ok)
	_, ok = c.Updates(99).Next(t.Context())
	assert.False(t, ok, "there is no such cache")
	u.Stop()
	u.Stop()
	c.Close()
	_, ok = u.Next(t.Context())
	assert.False(t, ok)
	c.received(7)
}

// TestCopyAndCache wants copies and caches told apart although they are of one class.
func TestCopyAndCache(t *testing.T) {
	c, peer := scripted(t)
	board := func(elements ...banana.Expr) list { return append(list{"pond.Board"}, elements...) }
	state := list{"dictionary", list{"n", 1}}
	for i, value := range []banana.Expr{
		list{"list", board(state), board(4, state), board(state), list{"cached", 4}},
		list{"list", board(4, board(state)), list{"pond.Other", 6, state}, list{"pond.Third", 1.5}},
	} {
		done := make(chan *Answer, 1)
		_, err := c.Start("root", "m", Args{}, func(a *Answer) { done <- a })
		require.NoError(t, err)
		want(t, peer, `"m"`)
		send(t, peer, list{"answer", i + 1, value})
		a := <-done
		require.NoError(t, a.Err)
		assert.Equal(t, []string{
			"[<copy pond.Board {b'n': 1}>, <cache 4 pond.Board {b'n': 1}>, <copy pond.Board {b'n': 1}>, <cached 4>]",
			"[<cache 4 pond.Board <copy pond.Board {b'n': 1}>>, <cache 6 pond.Other {b'n': 1}>, <copy pond.Third 1.5>]",
		}[i], printed(a.Value))
	}
	// An update whose arguments are such a message, followed by keywords.
	c.Follow(true)
	c.received(9)
	send(t, peer, list{"cachemessage", 3, 9, "m", 1, list{"tuple", board(5, state), board(state)},
		list{"dictionary", list{"k", 2}}})
	want(t, peer, "[answer 3 [None]]")
	u, ok := c.Updates(9).Next(t.Context())
	require.True(t, ok)
	assert.Len(t, u.Args, 2)
	assert.Equal(t, 1, u.Kw.Len())
}

// TestFullQueue wants a connection to end although nobody takes the updates.
func TestFullQueue(t *testing.T) {
	c, _ := scripted(t)
	c.Follow(true)
	c.received(1)
	for range maxQueue {
		require.True(t, c.update(1, "m", jelly.Tuple{}, nil))
	}
	blocked := make(chan struct{})
	go func() { c.update(1, "m", jelly.Tuple{}, nil); close(blocked) }()
	c.Close()
	<-blocked
}

func TestFailures(t *testing.T) {
	failure := func(entries ...jelly.Entry) any {
		return &value.Copy{Class: failureClass, State: jelly.NewDict(entries...)}
	}
	for _, c := range []struct {
		from any
		want Failure
	}{
		{nil, Failure{Type: "failure", Text: "None"}},
		{&value.Copy{Class: "a.B", State: int64(1)}, Failure{Type: "a.B", Text: "1"}},
		{&value.Copy{Class: failureClass, State: int64(1)}, Failure{Type: failureClass, Text: "1"}},
		{failure(), Failure{Type: failureClass}},
		{failure(jelly.Entry{Key: "type", Value: []byte("a.E")}, jelly.Entry{Key: []byte("value"), Value: int64(2)},
			jelly.Entry{Key: "traceback", Value: "Traceback unavailable\n"}), Failure{Type: "a.E", Text: "2"}},
		{failure(jelly.Entry{Key: "type", Value: "a.E"},
			jelly.Entry{Key: "value", Value: &value.Copy{Class: "c", State: nil}},
			jelly.Entry{Key: "traceback", Value: "line 1"}),
			Failure{Type: "a.E", Text: "<copy c None>", Traceback: "line 1"}},
	} {
		assert.Equal(t, &c.want, failureOf(c.from))
	}
}

// member is an avatar.
type member struct{ flavors.Avatar }

func (*member) PerspectiveHello() string { return "hello" }

func TestLogins(t *testing.T) {
	users, err := cred.NewInMemory(map[string]cred.Entry{"moe": cred.Plaintext("sesame")})
	require.NoError(t, err)
	enter := func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*member, func(), error) {
		return &member{}, nil, nil
	}
	a := authority.New(t)
	config := &tls.Config{Certificates: []tls.Certificate{a.Issue("server", nil)}}
	rt := pbtest.NewRuntime(t)
	plain, err := broker.Listen(rt, "pb://127.0.0.1:0", broker.Login(enter, users, cred.AllowAnonymous()))
	require.NoError(t, err)
	hashed := cred.Only(users, cred.KindUsernamePassword)
	secure, err := broker.Listen(rt, "pbs://127.0.0.1:0", broker.Login(enter, hashed), broker.WithTLS(config))
	require.NoError(t, err)
	trust := &tls.Config{RootCAs: a.Pool()}
	for _, c := range []struct {
		url string
		o   Options
		ok  bool
	}{
		{plain.URL(), Options{User: "moe", Password: "sesame"}, true},
		{plain.URL(), Options{User: "moe", Password: "wrong"}, false},
		{plain.URL(), Options{Anonymous: true}, true},
		{secure.URL(), Options{User: "moe", Password: "sesame", TLS: trust}, true},
		{secure.URL(), Options{User: "moe", Password: "wrong", TLS: trust}, false},
		{secure.URL(), Options{Anonymous: true, TLS: trust}, false},
	} {
		target, err := ParseTarget(c.url)
		require.NoError(t, err)
		conn, err := Dial(t.Context(), target, c.o)
		require.NoError(t, err)
		avatar, err := conn.Login(t.Context(), target, c.o)
		if c.ok {
			require.NoError(t, err)
			got := conn.Call(t.Context(), avatar, "hello", Args{})
			require.NoError(t, got.Err)
			assert.Equal(t, "hello", got.Value)
		} else {
			require.Error(t, err)
		}
		conn.Close()
	}
	target, err := ParseTarget(secure.URL())
	require.NoError(t, err)
	_, err = Dial(t.Context(), target, Options{})
	require.ErrorContains(t, err, "the TLS handshake")
}

// TestStrangeLogins answers logins with other things than a challenge and an avatar.
func TestStrangeLogins(t *testing.T) {
	for _, answer := range []banana.Expr{1, list{"tuple", 1, 2}, list{"tuple", "salt", 2}, list{"tuple", "salt"}} {
		c, peer := scripted(t)
		failed := make(chan error, 1)
		go func() {
			_, err := c.Login(t.Context(), Target{Name: "root"}, Options{User: "moe"})
			failed <- err
		}()
		want(t, peer, "login")
		send(t, peer, list{"answer", 1, answer})
		require.ErrorContains(t, <-failed, "no login of Perspective Broker")
	}
	c, peer := scripted(t)
	failed := make(chan error, 1)
	go func() {
		_, err := c.Login(t.Context(), Target{}, Options{Anonymous: true})
		failed <- err
	}()
	want(t, peer, "loginAnonymous")
	send(t, peer, list{"answer", 1, strings.Repeat("x", 500)})
	require.ErrorContains(t, <-failed, "not an avatar")
	name, err := c.Login(t.Context(), Target{Name: "thing"}, Options{})
	require.NoError(t, err)
	assert.Equal(t, "thing", name)
}

func TestRaw(t *testing.T) {
	client, server := sockets(t)
	a, b := NewRaw(client), NewRaw(server)
	require.NoError(t, b.Send(banana.AppendOffer(nil), stock.Timeout))
	names, err := a.Offer(stock.Timeout)
	require.NoError(t, err)
	assert.Equal(t, []string{"pb", "none"}, names)
	require.NoError(t, a.Choose(banana.ProfilePB, stock.Timeout))
	require.NoError(t, b.Send(encode(t, 5), stock.Timeout))
	_, err = a.Offer(stock.Timeout)
	require.ErrorContains(t, err, "not a list of dialects")
	_, err = a.Next(1) // a nanosecond
	require.Error(t, err)
	require.NoError(t, server.(*net.TCPConn).CloseWrite())
	_, err = a.Offer(stock.Timeout)
	require.ErrorIs(t, err, ErrHungUp)
	client.Close()
	require.Error(t, a.Send([]byte("x"), stock.Timeout))
	_, err = a.Next(stock.Timeout)
	require.Error(t, err)
}
