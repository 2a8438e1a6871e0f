// Package wire is a scripted peer: it speaks Perspective Broker one expression at a time, so that a protocol
// test reads like the conversation it tests.
//
//	peer := wire.Connect(t, "127.0.0.1:8787")
//	peer.Join()                                                  // negotiation and version
//	peer.Write(`[message 1 root getTwo 1 [tuple] [dictionary]]`)
//	peer.Want(`[answer 1 [remote $two]]`)                        // $two is what stood there
//	peer.Write(`[decref $two]`)
//	peer.WantClosed()
//
// # Notation
//
// Lists stand in brackets, integers and floats as themselves, strings bare or quoted as in Go; a bare word and
// the same word in quotes are one and the same string, sent as a word of the vocabulary where it is one. In
// what is wanted, _ stands for any one value, ... at the end of a list for any rest, and $name for any value,
// which it remembers; in what is written, $name stands for what was remembered.
//
// A peer never waits in order to see that nothing comes: [Peer.WantIdle] makes a call of its own and wants its
// answer to be the next thing that arrives.
package wire
