package interop

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
)

// openings are the first bytes of other protocols' programs and of scanners.
func openings() []stream {
	noise := make([]byte, 4096)
	dice := rand.New(rand.NewPCG(3, 5))
	for i := range noise {
		noise[i] = byte(dice.Uint32())
	}
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x5a", 500)
	return []stream{
		opening(
			"an HTTP request",
			closed,
			"GET / HTTP/1.1\r\nHost: a-name-that-is-long-enough-to-fill-the-prefix-of-anything.example\r\n\r\n",
		),
		opening("a TLS hello", closed, hello),
		opening(
			"an SSH banner",
			closed,
			"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\r\n"+strings.Repeat("\x00\x00\x05\x14\x06\x14", 100),
		),
		opening("an SMTP greeting", closed, strings.Repeat("EHLO mail.example.org\r\n", 10)),
		opening("a Redis command", closed, strings.Repeat("*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n", 10)),
		opening("noise", closed, string(noise)),
		opening("nothing but zeros", closed, strings.Repeat("\x00", 1000)),
		opening("nothing but ones", closed, strings.Repeat("\xff", 1000)),
		opening("nothing at all", left, ""),
		opening("half a profile", left, "\x02\x82p"),
		opening("a profile that was not offered", closed, "\x04\x82perl"),
		opening("a profile without a name", closed, "\x00\x82"),
		opening("a number for a profile", closed, "\x05\x81"),
		opening("a list of profiles", closed, "\x01\x80\x02\x82pb"),
		opening("a profile of a megabyte", closed, "\x00\x00\x40\x82"+strings.Repeat("p", 10_000)),
		opening("an endless offer", closed, strings.Repeat("\x01\x80", 2000)),
		opening("the profile none", closed, "\x04\x82none"+"\x02\x80\x07\x82version\x05\x81"),
		opening("the profile twice", closed, "\x02\x82pb\x02\x82pb"),
		opening("version 5", closed, "\x02\x82pb"+"\x02\x80\x13\x87\x05\x81"),
		opening("a version in words", closed, "\x02\x82pb"+"\x02\x80\x13\x87\x03\x82six"),
		opening("a version of a thousand bits", closed, "\x02\x82pb"+"\x02\x80\x13\x87"+strings.Repeat("\x7f", 63)+"\x85"),
	}
}

// frames violate Banana, or are no commands.
func frames() []stream {
	deep := func(n int) []byte { return bytes.Repeat([]byte{1, 0x80}, n) }
	header := func(n int64, typ byte) []byte {
		digits := banana.AppendInt(nil, n)
		digits[len(digits)-1] = typ
		return digits
	}
	out := []stream{
		raw("a prefix of 65 bytes", closed, append(bytes.Repeat([]byte{1}, 65), 0x81)),
		raw("a prefix without an end", closed, bytes.Repeat([]byte{1}, 5000)),
		raw("a string of a terabyte", closed, append(header(1<<40, 0x82), "abc"...)),
		raw("a string of a byte too many", closed, header(640<<10+1, 0x82)),
		raw("a list of 2^40 elements", closed, header(1<<40, 0x80)),
		raw("a list of one too many", closed, header(640<<10+1, 0x80)),
		raw("a list nested a hundred thousand deep", closed, deep(100_000)),
		raw("a word that the vocabulary lacks", closed, []byte{2, 0x80, 99, 0x87, 1, 0x81}),
		raw("a word far beyond the vocabulary", closed, append([]byte{1, 0x80}, header(1<<60, 0x87)...)),
		raw("half a list, then nothing", left, []byte{7, 0x80, 26, 0x87, 1}),
		raw("half a string, then nothing", left, []byte{1, 0x80, 100, 0x82, 'x'}),
		raw("half a float, then nothing", left, []byte{1, 0x80, 0x84, 1, 2, 3}),
		send("a bare number", closed, `5`),
		send("a bare string", closed, `message`),
		send("a bare float", closed, `2.5`),
		send("an empty list", closed, `[]`),
		send("a number for a command", closed, `[1 2]`),
		send("a list for a command", closed, `[[message] 1]`),
		{name: "a call byte by byte", then: served, play: func(p *wire.Peer) {
			for _, b := range encoded(p, `[message 1 root add 1 [tuple 20 22] [dictionary]]`) {
				p.WriteBytes([]byte{b})
			}
			p.Want(`[answer 1 42]`)
		}},
		{name: "a call in the middle of which the peer goes", then: left, play: func(p *wire.Peer) {
			call := encoded(p, `[message 1 root add 1 [tuple 20 22] [dictionary]]`)
			p.WriteBytes(call[:len(call)/2])
		}},
	}
	for _, typ := range []byte{0x88, 0x89, 0x8a, 0x8b, 0x90, 0xc0, 0xfe, 0xff} {
		out = append(out, raw(fmt.Sprintf("the type byte %x", typ), closed, []byte{1, 0x80, 1, typ}))
	}
	return out
}

// encoded returns the encoding of an expression. It fails a test or a peer.
func encoded(p interface{ Fatalf(string, ...any) }, text string) []byte {
	e, err := wire.Parse(text)
	if err != nil {
		p.Fatalf("%v", err)
	}
	b, err := banana.EncodeExpr(banana.ProfilePB, e)
	if err != nil {
		p.Fatalf("%v", err)
	}
	return b
}
