package interop

import (
	"fmt"
	"strings"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
)

func bananaClauses() []clause {
	clauses := []clause{
		{name: "P-1.1 P-1.2 P-1.3 P-2.1 headers, lists, strings, on the first bytes of any server", opening: true,
			talk: func(peer *wire.Peer) {
				peer.WantOffer()
			}},
		{name: "P-2.1 P-9.1 the offer, to the byte", opening: true, differs: "Stock does not know pb+1.",
			talk: func(peer *wire.Peer) {
				peer.WantBytes([]byte("\x03\x80" + "\x04\x82pb+1" + "\x02\x82pb" + "\x04\x82none"))
			}},
		{name: "P-1.5 floats", talk: func(peer *wire.Peer) {
			peer.Write(`[message 1 root echo 1 [tuple -2.5] [dictionary]]`)
			peer.WantBytes([]byte(answer + "\x84\xc0\x04\x00\x00\x00\x00\x00\x00"))
		}},
		{name: "P-1.6 a string that is a word travels as one", talk: func(peer *wire.Peer) {
			peer.WriteBytes(echo("\x06\x82remote"))
			peer.WantBytes([]byte(answer + "\x10\x87"))
			for i := 1; i <= 31; i++ {
				word := string(rune(i)) + "\x87"
				peer.WriteBytes(echo(word))
				peer.WantBytes([]byte(answer + word))
			}
		}},
		{name: "P-1.9 the largest string", talk: func(peer *wire.Peer) {
			largest := "\x00\x00\x28\x82" + strings.Repeat("\x00", 640*1024)
			peer.WriteBytes(echo(largest))
			peer.WantBytes([]byte(answer + largest))
		}},
	}
	clauses = append(clauses, integerClauses()...)
	clauses = append(clauses, toleratedClauses()...)
	return append(clauses, fatalClauses()...)
}

func integerClauses() []clause {
	var clauses []clause
	most := strings.Repeat("\x7f", 64)
	for text, want := range map[string]string{
		"0":             "\x00\x81",
		"1":             "\x01\x81",
		"128":           "\x00\x01\x81",
		"2147483647":    "\x7f\x7f\x7f\x7f\x07\x81",
		"2147483648":    "\x00\x00\x00\x00\x08\x85",
		"-1":            "\x01\x83",
		"-2147483648":   "\x00\x00\x00\x00\x08\x83",
		"-2147483649":   "\x01\x00\x00\x00\x08\x86",
		"2**448-1":      most + "\x85",
		"-(2**448 - 1)": most + "\x86",
	} {
		clauses = append(clauses, clause{name: "P-1.4 integer " + text, talk: func(peer *wire.Peer) {
			peer.WriteBytes(echo(want))
			peer.WantBytes([]byte(answer + want))
		}})
	}
	return clauses
}

func toleratedClauses() []clause {
	var clauses []clause
	for name, test := range map[string]struct{ sent, back string }{
		"digits that say nothing":   {"\x05\x00\x00\x81", "\x05\x81"},
		"no digits":                 {"\x81", "\x00\x81"},
		"a wide number as int":      {"\x00\x00\x00\x00\x00\x01\x81", "\x00\x00\x00\x00\x00\x01\x85"},
		"a small number as long":    {"\x05\x85", "\x05\x81"},
		"minus zero":                {"\x00\x83", "\x00\x81"},
		"digits in front of floats": {"\x09\x84\x3f\xf0\x00\x00\x00\x00\x00\x00", "\x84\x3f\xf0\x00\x00\x00\x00\x00\x00"},
	} {
		clauses = append(clauses, clause{name: "P-1.7 " + name, talk: func(peer *wire.Peer) {
			peer.WriteBytes(echo(test.sent))
			peer.WantBytes([]byte(answer + test.back))
		}})
	}
	return clauses
}

// fatalClauses are about elements that close the connection.
func fatalClauses() []clause {
	var clauses []clause
	for name, sent := range map[string]string{
		"P-1.6 word 0":                     "\x00\x87",
		"P-1.6 word 32":                    "\x20\x87",
		"P-1.8 65 digits":                  strings.Repeat("\x01", 65) + "\x81",
		"P-1.8 digits without end":         strings.Repeat("\x01", 70),
		"P-1.9 a string too long":          "\x01\x00\x28\x82",
		"P-1.9 a list too long":            "\x01\x00\x28\x80",
		"P-1.10 type byte 88":              "\x01\x88",
		"P-1.10 type byte ff":              "\xff",
		"P-4.8 a frame that is an integer": "\x01\x81",
		"P-4.8 a frame that is a string":   "\x02\x82hi",
	} {
		clauses = append(clauses, clause{name: name, talk: func(peer *wire.Peer) {
			peer.WriteBytes([]byte(sent))
			peer.WantClosed()
		}})
	}
	return clauses
}

func openingClauses() []clause {
	clauses := []clause{
		{name: "P-2.2 P-2.3 P-2.4 calls may stand right behind the profile", opening: true, talk: func(peer *wire.Peer) {
			peer.WriteBytes([]byte("\x02\x82pb"))
			peer.WriteBytes(echo("\x07\x81"))
			peer.WantOffer()
			peer.WantBytes([]byte("\x02\x80\x13\x87\x06\x81"))
			peer.Speak(banana.ProfilePB)
			peer.Want(`[answer 1 7]`)
			peer.Write(`[version 6]`)
			peer.WantIdle()
		}},
		{name: "P-2.7 profile none has no vocabulary", opening: true, talk: func(peer *wire.Peer) {
			peer.WantOffer()
			peer.Write(`none`)
			peer.WantBytes([]byte("\x02\x80\x07\x82version\x06\x81"))
			peer.Write(`[version 6]`, `[message 1 root echo 1 [tuple [list 1 none]] [dictionary]]`)
			peer.WantBytes([]byte("\x03\x80\x06\x82answer\x01\x81\x03\x80\x04\x82list\x01\x81\x04\x82none"))
			peer.WriteBytes([]byte("\x01\x87"))
			peer.WantClosed()
		}},
	}
	for _, choice := range []string{`java`, `[pb]`, `1`} {
		clauses = append(clauses, clause{name: "P-2.5 profile " + choice, opening: true, talk: func(peer *wire.Peer) {
			peer.WantOffer()
			peer.Write(choice)
			peer.WantClosed()
		}})
	}
	for _, version := range []string{`[version 5]`, `[version]`, `[version "6"]`} {
		clauses = append(clauses, clause{name: fmt.Sprintf("P-2.6 %s", version), opening: true, talk: func(peer *wire.Peer) {
			peer.WantOffer()
			peer.Write(`pb`)
			peer.Speak(banana.ProfilePB)
			peer.Want(`[version 6]`)
			peer.Write(version)
			peer.WantClosed()
		}})
	}
	return clauses
}
