package main

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWatch(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			r := start(t, "watch", "-count", "2", s.url, "pond", "main", "['swan']")
			assert.Equal(t, "state ['swan']", r.out.line(t, "state"))
			require.Equal(t, 0, pb(t, "call", s.url, "pondAdd", "main", "duck").status)
			require.Equal(t, 0, pb(t, "call", s.url, "pondRemove", "main", "swan").status)
			assert.Equal(t, "add 'duck'", r.out.line(t, "add"))
			assert.Equal(t, "remove 'swan'", r.out.line(t, "remove"))
			assert.Equal(t, 0, r.wait())

			r = start(t, "watch", "-json", s.url, "pond", "main", "[]")
			assert.JSONEq(t, `{"state": ["duck"]}`, r.out.line(t, "state"))
			require.Equal(t, 0, pb(t, "call", s.url, "pondAdd", "main", "b'x'").status)
			line := r.out.line(t, "method")
			assert.JSONEq(t, `{"method": "add", "args": [{"$bytes": "eA=="}], "kw": {}}`, line)
			assert.True(t, json.Valid([]byte(line)))
			assert.Equal(t, statusInterrupted, r.interrupt())

			failed := pb(t, "watch", s.url, "add", "1")
			assert.Equal(t, statusFailed, failed.status)
			assert.Contains(t, failed.errors, "no Cacheable")
			assert.Equal(t, statusUsage, pb(t, "watch", "-count", "-1", s.url, "add").status)
		})
	}
}

// TestWatchOrder sends many updates with the state, and hangs up.
func TestWatchOrder(t *testing.T) {
	data := expr(t, list{"answer", 1, list{"a.Pond", 4, list{"list", 0}}})
	const updates = 5000
	for i := range updates {
		kw := list{"dictionary", list{"by\x1b", i}}
		data = append(data, expr(t, list{"cachemessage", i, 4, "set\x1b", i % 2, list{"tuple", i}, kw})...)
	}
	url := answering(t, func(banana.Profile) []byte { return data })
	r := pb(t, "watch", "-count", "5000", url, "m")
	require.Equal(t, 0, r.status, r.errors)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	require.Len(t, lines, updates+1)
	assert.Equal(t, "state [0]", lines[0])
	assert.Equal(t, `'set\x1b' 4999, 'by\x1b'=4999`, lines[updates])

	hangsUp := fakePeer(t, func(sock net.Conn) {
		awaitCall(sock)
		_, _ = sock.Write(data)
		_ = sock.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, sock)
	})
	r = pb(t, "watch", hangsUp, "m")
	assert.Equal(t, statusConnection, r.status)
	assert.Equal(t, updates+1, strings.Count(r.out, "\n"))
}
