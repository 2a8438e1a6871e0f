package interop

import (
	"strconv"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
)

func referenceClauses() []clause {
	return []clause{
		{name: "P-5.1 P-5.2 an object of the server's, there and back", talk: func(peer *wire.Peer) {
			peer.Write(message(1, "root", "counter", `[tuple]`))
			peer.Want(`[answer 1 [remote $counter]]`)
			peer.Write(message(2, "$counter", "incr", `[tuple 3]`))
			peer.Want(`[answer 2 3]`)
			peer.Write(message(3, "root", "echo", `[tuple [local $counter]]`))
			peer.Want(`[answer 3 [remote $counter]]`)
		}},
		{name: "P-5.2 an object of the client's, there and back", talk: func(peer *wire.Peer) {
			peer.Ignore(`[decref _]`)
			peer.Write(message(1, "root", "hold", `[tuple [unicode mine] [remote 7]]`))
			peer.Want(`[answer 1 [None]]`)
			peer.Write(message(2, "root", "held", `[tuple [unicode mine]]`))
			peer.Want(`[answer 2 [local 7]]`)
		}},
		{name: "P-5.3 each receipt is given back", talk: func(peer *wire.Peer) {
			peer.Write(message(1, "root", "hold", `[tuple [unicode mine] [remote 7]]`))
			peer.Want(`[answer 1 [None]]`)
			peer.Write(message(2, "root", "release", `[tuple [unicode mine]]`))
			peer.Want(`[decref 7]`, `[answer 2 [None]]`)
			peer.WantIdle()
		}},
		{name: "P-5.4 what nobody holds is gone, and its id is not used again", talk: func(peer *wire.Peer) {
			peer.Write(message(1, "root", "counter", `[tuple]`))
			peer.Want(`[answer 1 [remote $counter]]`)
			peer.Write(`[decref $counter]`, message(2, "$counter", "value", `[tuple]`))
			peer.Want(`[error 2 ["twisted.spread.pb.CopyableFailure" _]]`)
			seen := map[banana.Expr]bool{peer.Var("counter"): true}
			for i := range 5 {
				id := "next" + strconv.Itoa(i)
				peer.Write(message(3, "root", "counter", `[tuple]`))
				peer.Want(`[answer 3 [remote $` + id + `]]`)
				if seen[peer.Var(id)] {
					peer.Fatalf("id %v was used before", peer.Var(id))
				}
				seen[peer.Var(id)] = true
				peer.Write(`[decref $` + id + `]`)
			}
		}},
		{name: "P-5.5 one object has one id while it is held, and each mention counts", talk: func(peer *wire.Peer) {
			peer.Write(message(1, "root", "counter", `[tuple]`))
			peer.Want(`[answer 1 [remote $counter]]`)
			peer.Write(message(2, "$counter", "self", `[tuple]`))
			peer.Want(`[answer 2 [remote $counter]]`)
			peer.Write(`[decref $counter]`, message(3, "$counter", "incr", `[tuple]`))
			peer.Want(`[answer 3 1]`)
			peer.Write(`[decref $counter]`, message(4, "$counter", "incr", `[tuple]`))
			peer.Want(`[error 4 ["twisted.spread.pb.CopyableFailure" _]]`)
		}},
		{name: "P-5.6 the server calls what it was given", talk: func(peer *wire.Peer) {
			peer.Ignore(`[decref _]`)
			peer.Write(message(1, "root", "callback", `[tuple [remote 7] [unicode greet] [list [unicode Moe] [remote 8]]]`))
			peer.Want(`[message $id 7 greet 1 [tuple [unicode Moe] [local 8]] [dictionary]]`)
			peer.Write(`[answer $id [list 1 2]]`)
			peer.Want(`[answer 1 [list 1 2]]`)
		}},
		{name: "P-5.8 what is shared beside a reference keeps its numbers", talk: func(peer *wire.Peer) {
			peer.Ignore(`[decref _]`)
			peer.Write(message(1, "root", "hold", `[tuple [unicode mine] [remote 7]]`))
			peer.Want(`[answer 1 [None]]`)
			peer.Write(message(2, "root", "echo", `[tuple [list [reference 1 [list [remote 7]]] [dereference 1]]]`))
			peer.Want(`[answer 2 [list [reference 1 [list [local 7]]] [dereference 1]]]`)
		}},
	}
}
