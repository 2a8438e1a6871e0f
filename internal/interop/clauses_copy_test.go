package interop

import "github.com/perspectivebroker/pb/internal/wire"

func copyClauses() []clause {
	return []clause{
		{name: "P-7.1 a copy", talk: func(peer *wire.Peer) {
			peer.Write(message(1, "root", "point", `[tuple 3 4]`))
			peer.Want(`[answer 1 ["conformance.Point" [dictionary [[unicode x] 3] [[unicode y] 4]]]]`)
			peer.Write(message(2, "root", "takePoint", `[tuple ["conformance.Point" [dictionary [[unicode x] 5] ["y" 6]]]]`))
			peer.Want(`[answer 2 [list 5 6]]`)
		}},
		{name: "P-7.2 P-7.3 P-7.4 a cache of the server's", talk: func(peer *wire.Peer) {
			peer.Write(message(1, "root", "pond", `[tuple [unicode clauses] [list 1]]`))
			peer.Want(`[answer 1 ["conformance.Pond" $pond [list 1]]]`)
			peer.Write(message(2, "root", "pond", `[tuple [unicode clauses] [list]]`))
			peer.Want(`[answer 2 [cached $pond]]`)
			peer.Write(message(3, "root", "pondAdd", `[tuple [unicode clauses] 2]`))
			peer.Want(`[cachemessage $update $pond add $required [tuple 2] [dictionary]]`, `[answer 3 [None]]`)
			if peer.Var("required") != int64(0) {
				peer.Write(`[answer $update [None]]`)
			}
			peer.Write(message(4, "root", "pondObservers", `[tuple [unicode clauses]]`))
			peer.Want(`[answer 4 1]`)
			peer.Write(`[decache $pond]`, `[decache $pond]`)
			peer.Want(`[uncache $pond]`)
			peer.Write(message(5, "root", "pondObservers", `[tuple [unicode clauses]]`))
			peer.Want(`[answer 5 0]`)
		}},
		{name: "P-7.2 P-7.4 a cache of the client's", talk: func(peer *wire.Peer) {
			peer.Write(message(1, "root", "takePond", `[tuple ["conformance.Pond" 9 [list [unicode a]]]]`))
			peer.Want(`[answer 1 [None]]`)
			peer.Write(`[cachemessage 2 9 add 1 [tuple [unicode b]] [dictionary]]`)
			peer.Want(`[answer 2 [None]]`)
			peer.Write(message(3, "root", "pondState", `[tuple]`))
			peer.Want(`[answer 3 [list [unicode a] [unicode b]]]`)
			peer.Write(message(4, "root", "returnPond", `[tuple]`))
			peer.Want(`[answer 4 [lcache 9]]`)
			peer.Write(message(5, "root", "ignorePond", `[tuple]`))
			peer.Want(`[decache 9]`, `[answer 5 [None]]`)
			peer.Write(`[uncache 9]`)
			peer.WantIdle()
		}},
		{
			name:    "P-7.6 what came with something refused",
			differs: "it keeps the original for good",
			talk: func(peer *wire.Peer) {
				peer.Write(message(1, "root", "echo", `[tuple [list ["conformance.Pond" 9 [list]] ["evil.Class" 1]]]`))
				peer.Ignore(`[error 1 _]`) // Before the other or behind it.
				peer.Want(`[decache 9]`)
				peer.Write(`[uncache 9]`)
				peer.WantIdle()
			},
		},
		{name: "P-7.7 a cache that was never sent", talk: func(peer *wire.Peer) {
			peer.Write(message(1, "root", "echo", `[tuple [cached 4711]]`))
			peer.Want(`[error 1 _]`)
			peer.Write(message(2, "root", "echo", `[tuple [lcache 4711]]`))
			peer.Want(`[error 2 _]`)
			peer.WantIdle()
		}},
		{name: "P-7.7 a decache of nothing", talk: func(peer *wire.Peer) {
			peer.Write(`[decache 4711]`)
			peer.WantClosed()
		}},
		{name: "P-7.7 an uncache of nothing", talk: func(peer *wire.Peer) {
			peer.Write(`[uncache 4711]`)
			peer.WantClosed()
		}},
	}
}
