package interop

import (
	"fmt"
	"slices"
	"strings"

	"github.com/perspectivebroker/pb/internal/wire"
)

// commands are commands with a wrong number or type of operands.
func commands() []stream {
	return []stream{
		send("a message without operands", closed, `[message]`),
		send("a message of three operands", closed, `[message 1 root add]`),
		send("a message of one operand too many", closed, `[message 1 root add 1 [tuple 1 2] [dictionary] 7]`),
		send("a message with a word for a number", closed, `[message one root add 1 [tuple 1 2] [dictionary]]`),
		send("a message with a list for a number", closed, `[message [1] root add 1 [tuple 1 2] [dictionary]]`),
		send("a message to a list", closed, `[message 1 [root] add 1 [tuple 1 2] [dictionary]]`),
		send("a message to a float", closed, `[message 1 1.5 add 1 [tuple 1 2] [dictionary]]`),
		send("a message whose method is a number", closed, `[message 1 root 5 1 [tuple 1 2] [dictionary]]`),
		refused("a message whose arguments are a number", `[message 1 root echo 1 5 [dictionary]]`),
		refused("a message whose arguments are a dictionary", `[message 1 root echo 1 [dictionary] [dictionary]]`),
		refused("a message whose keywords are a tuple", `[message 1 root echo 1 [tuple 1] [tuple]]`),
		refused("a message whose keywords are numbers", `[message 1 root kwargs 1 [tuple] [dictionary [1 2]]]`),
		send("a decref without an operand", closed, `[decref]`),
		send("a decref of a word", closed, `[decref root]`),
		send("a decref of what was never sent", closed, `[decref 12345]`),
		send("a decref of a negative id", closed, `[decref -1]`),
		send("a decref of a thousand bits", closed, `[decref `+"1"+strings.Repeat("0", 130)+`]`),
		{name: "a decref too many", then: closed, play: func(p *wire.Peer) {
			p.Write(`[message 1 root counter 1 [tuple] [dictionary]]`)
			p.Want(`[answer 1 [remote $counter]]`)
			p.Write(`[decref $counter]`, `[decref $counter]`)
		}},
		{name: "a decref of a cache", then: closed, play: func(p *wire.Peer) {
			p.Write(`[message 1 root pond 1 [tuple [unicode weedy] [list]] [dictionary]]`)
			p.Want(`[answer 1 [conformance.Pond $pond [list]]]`)
			p.Write(`[decref $pond]`)
		}},
		send("a decache of what was never sent", closed, `[decache 12345]`),
		send("an uncache of what never came", closed, `[uncache 12345]`),
		send("an uncache of a word", closed, `[uncache x]`),
		{name: "a decache too many", then: closed, play: func(p *wire.Peer) {
			p.Write(`[message 1 root pond 1 [tuple [unicode weedy] [list]] [dictionary]]`)
			p.Want(`[answer 1 [conformance.Pond $pond [list]]]`)
			p.Write(`[decache $pond]`, `[decache $pond]`)
		}},
		send("a cachemessage of two operands", closed, `[cachemessage 1 2]`),
		refused("a cachemessage to what never came", `[cachemessage 1 4711 add 1 [tuple 1] [dictionary]]`),
		{name: "a thousand unknown commands", then: served, play: func(p *wire.Peer) {
			for range 1000 {
				p.Write(`[frobnicate 1 2 3]`)
				p.Want(`[didNotUnderstand frobnicate]`)
			}
		}},
		{name: "an unknown command of half a megabyte", then: served, play: func(p *wire.Peer) {
			p.Write(fmt.Sprintf("[%s]", strings.Repeat("x", 500_000)))
			p.Want(`[didNotUnderstand _]`)
		}},
		send("words that were not understood", served, slices.Repeat([]string{`[didNotUnderstand message]`}, 1000)...),
		send("a second version that is another", closed, `[version 7]`),
		send("a version without a number", closed, `[version]`),
	}
}

// targets are calls to objects that do not exist or belong to others.
func targets() []stream {
	method := func(name, method string) stream {
		return refused(name, fmt.Sprintf(`[message 1 root %s 1 [tuple] [dictionary]]`, method))
	}
	return []stream{
		refused("a call to an id that was never sent", `[message 1 12345 add 1 [tuple 1 2] [dictionary]]`),
		refused("a call to a negative id", `[message 1 -1 add 1 [tuple 1 2] [dictionary]]`),
		refused("a call to a name that is not published", `[message 1 cellar add 1 [tuple 1 2] [dictionary]]`),
		refused(
			"a call to a name of half a megabyte",
			`[message 1 `+strings.Repeat("x", 500_000)+` add 1 [tuple 1 2] [dictionary]]`,
		),
		{name: "a call to what was let go", then: served, play: func(p *wire.Peer) {
			p.Write(`[message 1 root counter 1 [tuple] [dictionary]]`)
			p.Want(`[answer 1 [remote $counter]]`)
			p.Write(`[decref $counter]`, `[message 2 $counter incr 1 [tuple] [dictionary]]`)
			p.Want(`[error 2 ...]`)
		}},
		{name: "a call to an object of another connection", then: served, play: func(p *wire.Peer) {
			// Ids start anew on each connection, so the id after this peer's only counter belongs to no object of it.
			p.Write(`[message 1 root counter 1 [tuple] [dictionary]]`)
			p.Want(`[answer 1 [remote $counter]]`)
			p.Write(`[message 2 2 incr 1 [tuple] [dictionary]]`, `[decref $counter]`)
			p.Want(`[error 2 ...]`)
		}},
		method("a method that is not there", "cellar"),
		method("a method without a name", `""`),
		method("a method by its Go name", "RemoteEcho"),
		method("a method by its Python name", "remote_echo"),
		method("a method of every Python object", "__init__"),
		method("a method of every Referenceable of ours", "Do"),
		method("a method with a name that is no text", `"\xff\xfe\x00"`),
		method("a method with a name of half a megabyte", strings.Repeat("x", 500_000)),
		refused("a method with too many arguments", `[message 1 root counter 1 [tuple 1 2 3] [dictionary]]`),
		refused("a method with too few arguments", `[message 1 root hold 1 [tuple] [dictionary]]`),
		refused("a method with arguments of other types", `[message 1 root add 1 [tuple [list] [dictionary]] [dictionary]]`),
		refused(
			"a method with a keyword that it does not know",
			`[message 1 root add 1 [tuple 1] [dictionary [[unicode cellar] 1]]]`,
		),
		refused("a login where there is none", `[message 1 root login 1 [tuple x] [dictionary]]`),
	}
}

// answers are answers without a request, and malformed ones.
func answers() []stream {
	// called makes the server call an object of the peer's, with the request id $id.
	called := func(p *wire.Peer) {
		p.Ignore(`[decref 1]`)
		p.Write(`[message 1 root callback 1 [tuple [remote 1] [unicode m] [list]] [dictionary]]`)
		p.Want(`[message $id 1 m 1 [tuple] _]`)
	}
	return []stream{
		send("an answer to no call", closed, `[answer 77 1]`),
		send("an answer without a value", closed, `[answer 1]`),
		send("an answer with a word for a number", closed, `[answer one 1]`),
		send("an error for no call", closed, `[error 77 [None]]`),
		{name: "an answer that comes twice", then: closed, play: func(p *wire.Peer) {
			called(p)
			p.Write(`[answer $id 5]`)
			p.Want(`[answer 1 5]`)
			p.Write(`[answer $id 5]`)
		}},
		{name: "an answer that cannot be taken", then: served, play: func(p *wire.Peer) {
			called(p)
			p.Write(`[answer $id ["os.System" [dictionary]]]`)
			p.Want(`[error 1 ...]`)
		}},
		{name: "an error that is no failure", then: served, play: func(p *wire.Peer) {
			called(p)
			p.Write(`[error $id 5]`)
			p.Want(`[error 1 ...]`)
		}},
		{name: "an error that is half a failure", then: served, play: func(p *wire.Peer) {
			called(p)
			p.Write(
				`[error $id ["twisted.spread.pb.CopyableFailure" [dictionary [[unicode value] [list]] [[unicode parents] 5]]]]`,
			)
			p.Want(`[error 1 ...]`)
		}},
		{name: "an answer to a call that waits while the peer goes", then: left, play: called},
		{name: "a call that answers itself by calling", then: served, play: func(p *wire.Peer) {
			called(p)
			p.Write(`[message 2 root callback 1 [tuple [remote 1] [unicode n] [list]] [dictionary]]`)
			p.Want(`[message $second 1 n 1 [tuple] _]`)
			p.Write(`[answer $second 2]`, `[answer $id 1]`)
			p.Want(`[answer 2 2]`, `[answer 1 1]`)
		}},
	}
}
