package banana_test

import (
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/codec/banana"
)

// A call on the wire: root.add(1, 2), request number 1.
func ExampleAppendList() {
	p := banana.ProfilePB
	b := banana.AppendList(nil, 7)
	b = banana.AppendSymbol(b, p, banana.SymMessage)
	b = banana.AppendInt(b, 1)
	b = banana.AppendString(b, p, "root")
	b = banana.AppendString(b, p, "add")
	b = banana.AppendInt(b, 1)
	b = banana.AppendList(b, 3)
	b = banana.AppendSymbol(b, p, banana.SymTuple)
	b = banana.AppendInt(b, 1)
	b = banana.AppendInt(b, 2)
	b = banana.AppendList(b, 1)
	b = banana.AppendSymbol(b, p, banana.SymDictionary)
	fmt.Printf("% x\n", b)
	fmt.Println(banana.FormatFrame(b, p, 0))
	// Output:
	// 07 80 1a 87 01 81 04 82 72 6f 6f 74 03 82 61 64 64 01 81 03 80 0b 87 01 81 02 81 01 80 05 87
	// [message 1 "root" "add" 1 [tuple 1 2] [dictionary]]
}

// A stream arrives in pieces. The caller keeps the incomplete rest.
func ExampleScanner() {
	pieces := []string{"\x02\x80\x13", "\x87\x06\x81\x02", "\x82hi"}
	var s banana.Scanner
	s.Init(banana.ProfilePB, banana.Limits{String: 1024})
	var buf []byte
	for _, piece := range pieces {
		buf = append(buf, piece...)
		for {
			n, err := s.Next(buf)
			if err != nil {
				fmt.Println("close the connection:", err)
				return
			}
			if n == 0 {
				break
			}
			fmt.Println(banana.FormatFrame(buf[:n], s.Profile(), 80))
			buf = buf[n:]
		}
	}
	// Output:
	// [version 6]
	// "hi"
}

// Input that is not Banana is refused, with a hint at the other protocol.
func ExampleScanner_anotherProtocol() {
	var s banana.Scanner
	_, err := s.Next([]byte("GET / HTTP/1.1\r\nHost: pb.example.org:8800\r\nUser-Agent: curl/7.88.1\r\n\r\n"))
	var limit *banana.LimitError
	fmt.Println(errors.As(err, &limit), limit.Limit, limit.Max)
	fmt.Printf("%.20q\n", limit.Seen)
	// Output:
	// true prefix 64
	// "GET / HTTP/1.1\r\nHost"
}

// Tokens are read without copying. A keyword may be a word or spelled out.
func ExampleReader() {
	frame, _ := banana.EncodeExpr(banana.ProfilePB, []banana.Expr{"answer", 7, []banana.Expr{"unicode", "hello"}})
	var r banana.Reader
	r.Reset(frame, banana.ProfilePB)
	for {
		token, err := r.Next()
		if err != nil {
			break
		}
		switch symbol, isWord := token.Symbol(); {
		case isWord:
			fmt.Println("word", symbol)
		case token.Kind == banana.List:
			fmt.Println("list of", token.Int)
		case token.IsInt():
			fmt.Println("integer", token.Big())
		default:
			fmt.Printf("string %q\n", token.Bytes)
		}
	}
	// Output:
	// list of 3
	// word answer
	// integer 7
	// list of 2
	// string "unicode"
	// string "hello"
}

// The accepting side offers, the connecting side chooses.
func ExampleChooseProfile() {
	offer := banana.AppendOffer(nil)
	chosen, err := banana.ChooseProfile(offer)
	fmt.Println(chosen, err)

	agreed, err := banana.ParseChoice(banana.AppendChoice(nil, chosen))
	fmt.Println(agreed, err)

	_, err = banana.ParseChoice([]byte("\x03\x82foo"))
	fmt.Println(err)
	// Output:
	// pb <nil>
	// pb <nil>
	// banana: no profile in common: the peer named ["foo"], we speak ["pb" "none"]
}

func ExampleDecodeExpr() {
	e, n, err := banana.DecodeExpr([]byte("\x03\x80\x0b\x87\x01\x81\x02\x82hi"), banana.ProfilePB, banana.Limits{})
	fmt.Println(banana.Format(e), n, err)
	// Output: [tuple 1 "hi"] 10 <nil>
}

// A string that a peer would refuse is refused before it is sent.
func ExampleLimits_CheckString() {
	fmt.Println(banana.Limits{}.CheckString(1 << 20))
	// Output: banana: cannot send a string of 1048576 bytes: peers accept at most 655360; send it in pieces
}
