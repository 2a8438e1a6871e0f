package interop

import "github.com/perspectivebroker/pb/internal/wire"

func messageClauses() []clause {
	return []clause{
		{name: "P-4.1 P-4.2 a call and its answer", talk: func(peer *wire.Peer) {
			peer.Write(`[message 77 root add 1 [tuple 1 2] [dictionary]]`)
			peer.Want(`[answer 77 3]`)
			peer.Write(`[message 78 root add 1 [tuple 1] [dictionary [[unicode b] 5]]]`)
			peer.Want(`[answer 78 6]`)
		}},
		{name: "P-4.3 an error", talk: func(peer *wire.Peer) {
			peer.Write(`[message 1 root fail 1 [tuple [unicode error] [unicode why]] [dictionary]]`)
			peer.Want(`[error 1 ["twisted.spread.pb.CopyableFailure" _]]`)
		}},
		{name: "P-4.4 no answer where none is required", talk: func(peer *wire.Peer) {
			peer.Write(`[message 1 root add 0 [tuple 1] [dictionary]]`)
			peer.Write(`[message 2 root fail 0 [tuple [unicode error] [unicode why]] [dictionary]]`)
			peer.Write(`[message 3 root noSuchThing 0 [tuple] [dictionary]]`)
			peer.Write(`[message 4 4711 add 0 [tuple] [dictionary]]`)
			peer.WantIdle()
		}},
		{name: "P-4.5 an object that is not there", talk: func(peer *wire.Peer) {
			for _, object := range []string{`4711`, `-1`, `attic`} {
				peer.Forget("failure")
				peer.Write(message(1, object, "add", `[tuple 1]`))
				peer.Want(`[error 1 ["twisted.spread.pb.CopyableFailure" $failure]]`)
				wantEntry(peer, "type", "twisted.spread.pb.Error")
			}
			peer.WantIdle()
		}},
		{name: "P-4.1 numbers of any size", talk: func(peer *wire.Peer) {
			const long = "1180591620717411303424" // 2^70
			peer.Write(message(1, long, "echo", `[tuple 1]`))
			peer.Want(`[error 1 ["twisted.spread.pb.CopyableFailure" _]]`)
			peer.Write(message(2, "-"+long, "echo", `[tuple 1]`))
			peer.Want(`[error 2 ["twisted.spread.pb.CopyableFailure" _]]`)
			for _, id := range []string{long, "-" + long} {
				peer.Write(`[message ` + id + ` root echo ` + long + ` [tuple 5] [dictionary]]`)
				peer.Want(`[answer ` + id + ` 5]`)
				peer.Write(`[message ` + id + ` root nothing 1 [tuple 5] [dictionary]]`)
				peer.Want(`[error ` + id + ` ["twisted.spread.pb.CopyableFailure" _]]`)
				peer.Write(`[cachemessage ` + id + ` ` + long + ` add 1 [tuple] [dictionary]]`)
				peer.Want(`[error ` + id + ` ["twisted.spread.pb.CopyableFailure" _]]`)
			}
			peer.Write(message(4, "root", "echo", `[tuple [cached `+long+`]]`))
			peer.Want(`[error 4 ["twisted.spread.pb.CopyableFailure" _]]`)
			peer.Write(message(5, "root", "echo", `[tuple [lcache `+long+`]]`))
			peer.Want(`[error 5 ["twisted.spread.pb.CopyableFailure" _]]`)
			peer.WantIdle()
		}},
		{
			name:    "P-4.1 a reference of any size",
			differs: "it takes the first, and None for the second",
			talk: func(peer *wire.Peer) {
				peer.Write(message(1, "root", "echo", `[tuple [remote 1180591620717411303424]]`))
				peer.Want(`[error 1 ["twisted.spread.pb.CopyableFailure" _]]`)
				peer.Write(message(2, "root", "echo", `[tuple [local 1180591620717411303424]]`))
				peer.Want(`[error 2 ["twisted.spread.pb.CopyableFailure" _]]`)
				peer.WantIdle()
			},
		},
		{name: "P-4.9 an answer to a number of more than 64 bits", talk: func(peer *wire.Peer) {
			peer.Write(`[answer 1180591620717411303424 1]`)
			peer.WantClosed()
		}},
		{name: "P-4.9 a decref of a number of more than 64 bits", talk: func(peer *wire.Peer) {
			peer.Write(`[decref 1180591620717411303424]`)
			peer.WantClosed()
		}},
		{name: "P-4.6 a method that is not there", talk: func(peer *wire.Peer) {
			peer.Write(message(1, "root", "noSuchThing", `[tuple]`))
			peer.Want(`[error 1 ["twisted.spread.pb.CopyableFailure" $failure]]`)
			wantEntry(peer, "type", "twisted.spread.flavors.NoSuchMethod")
			wantParents(peer, "twisted.spread.flavors.NoSuchMethod", "builtins.AttributeError", "builtins.Exception")
		}},
		{name: "P-4.7 a command that is not there", differs: "its own reply cannot be encoded on Python 3, and it hangs up",
			talk: func(peer *wire.Peer) {
				peer.Write(`[abracadabra 1 2 3]`)
				peer.Want(`[didNotUnderstand abracadabra]`)
				peer.WantIdle()
			}},
		{name: "P-4.7 being told so is no reason to do anything", talk: func(peer *wire.Peer) {
			peer.Write(`[didNotUnderstand whatever]`)
			peer.WantIdle()
		}},
		{name: "P-4.9 an answer to nothing", talk: func(peer *wire.Peer) {
			peer.Write(`[answer 4711 1]`)
			peer.WantClosed()
		}},
		{name: "P-4.9 an error to nothing", talk: func(peer *wire.Peer) {
			peer.Write(`[error 4711 [None]]`)
			peer.WantClosed()
		}},
		{name: "P-4.9 a decref of nothing", talk: func(peer *wire.Peer) {
			peer.Write(`[decref 4711]`)
			peer.WantClosed()
		}},
		{name: "P-4.9 a message with too few parts", talk: func(peer *wire.Peer) {
			peer.Write(`[message 1 root]`)
			peer.WantClosed()
		}},
		{name: "P-4.10 keywords by bytes and by text", talk: func(peer *wire.Peer) {
			peer.Write(`[message 1 root add 1 [tuple 1] [dictionary ["b" 5]]]`)
			peer.Want(`[answer 1 6]`)
		}},
		{name: "P-4.11 one object's calls run in order", talk: func(peer *wire.Peer) {
			peer.Write(message(1, "root", "counter", `[tuple]`))
			peer.Want(`[answer 1 [remote $counter]]`)
			peer.Write(
				message(2, "$counter", "incr", `[tuple 5]`),
				message(3, "$counter", "incr", `[tuple]`),
				message(4, "$counter", "value", `[tuple]`),
			)
			peer.Want(`[answer 2 5]`, `[answer 3 6]`, `[answer 4 6]`)
		}},
		{name: "P-4.12 both directions number their own", talk: func(peer *wire.Peer) {
			peer.Ignore(`[decref _]`)
			peer.Write(message(1, "root", "callback", `[tuple [remote 1] [unicode hello] [list 8]]`))
			peer.Want(`[message $id 1 hello 1 [tuple 8] [dictionary]]`)
			peer.Write(message(2, "root", "add", `[tuple 1 1]`))
			peer.Want(`[answer 2 2]`)
			peer.Write(`[answer $id [unicode done]]`)
			peer.Want(`[answer 1 [unicode done]]`)
		}},
	}
}
