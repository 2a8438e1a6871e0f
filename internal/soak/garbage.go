package main

import (
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/perspectivebroker/pb/codec/banana"
)

// throwGarbage connects as somebody who is no peer: with bytes of no meaning, with expressions that are no commands, with
// calls and no eye for the answers, or with silence. Then it waits a moment.
func (c *controller) throwGarbage(r *rand.Rand) {
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
	case 0: // of another protocol, or of none
		_, _ = sock.Write(noise(r))
	case 1: // after a good beginning
		_, _ = sock.Write(append(hello, noise(r)...))
	case 2: // a call that is cut off
		b := appendCall(hello, 1)
		_, _ = sock.Write(b[:len(hello)+r.IntN(len(b)-len(hello))])
	case 3: // who calls and does not read
		b := hello
		for i := range int64(5000) {
			b = appendCall(b, i)
		}
		_, _ = sock.Write(b)
		time.Sleep(time.Second)
		return
	default: // silence
	}
	_, _ = io.Copy(io.Discard, sock)
}

func noise(r *rand.Rand) []byte {
	b := make([]byte, 1+r.IntN(2000))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// appendCall appends [message n "shop" "echo" 1 [tuple text] [dictionary]].
func appendCall(b []byte, n int64) []byte {
	const p = banana.ProfilePB
	b = banana.AppendInt(banana.AppendSymbol(banana.AppendList(b, 7), p, banana.SymMessage), n)
	b = banana.AppendString(banana.AppendString(b, p, "shop"), p, "echo")
	b = banana.AppendInt(b, 1)
	b = banana.AppendString(banana.AppendSymbol(banana.AppendList(b, 2), p, banana.SymTuple), p, string(make([]byte, 500)))
	return banana.AppendSymbol(banana.AppendList(b, 1), p, banana.SymDictionary)
}
