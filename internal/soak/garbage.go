package main

import (
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/command"
)

// sendGarbage connects and sends random bytes, a truncated call, many calls without reading the answers, or nothing.
// Then it waits for a moment.
func (c *controller) sendGarbage(r *rand.Rand) {
	defer time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
	sock, err := net.Dial("tcp", c.address)
	if err != nil {
		return
	}
	defer sock.Close()
	c.count(&c.garbage)
	_ = sock.SetDeadline(time.Now().Add(2 * time.Second))
	hello := banana.AppendString(nil, banana.ProfileNone, "pb")
	switch r.IntN(5) {
	case 0: // random bytes
		_, _ = sock.Write(randomBytes(r))
	case 1: // random bytes after the negotiation
		_, _ = sock.Write(append(hello, randomBytes(r)...))
	case 2: // a truncated call
		b := appendCall(hello, 1)
		_, _ = sock.Write(b[:len(hello)+r.IntN(len(b)-len(hello))])
	case 3: // calls without reading the answers
		b := hello
		for i := range int64(5000) {
			b = appendCall(b, i)
		}
		_, _ = sock.Write(b)
		time.Sleep(time.Second)
		return
	default: // nothing
	}
	_, _ = io.Copy(io.Discard, sock)
}

func randomBytes(r *rand.Rand) []byte {
	b := make([]byte, 1+r.IntN(2000))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// appendCall appends [message n "service" "echo" 1 [tuple text] [dictionary]].
func appendCall(b []byte, n int64) []byte {
	const p = banana.ProfilePB
	b = command.AppendMessage(b, p, command.Number{Int: n}, command.Object{Name: "service"}, "echo", true)
	b = banana.AppendSymbol(banana.AppendList(b, 2), p, banana.SymTuple)
	b = banana.AppendString(b, p, string(make([]byte, 500)))
	return banana.AppendSymbol(banana.AppendList(b, 1), p, banana.SymDictionary)
}
