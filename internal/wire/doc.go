// Package wire provides a scripted peer for tests. The peer speaks Perspective Broker one expression at a time, so a
// protocol test reads like a transcript.
//
//	peer := wire.Connect(t, "127.0.0.1:8787")
//	peer.Join()                                                  // negotiation and version
//	peer.Write(`[message 1 root getTwo 1 [tuple] [dictionary]]`)
//	peer.Want(`[answer 1 [remote $two]]`)                        // binds $two
//	peer.Write(`[decref $two]`)
//	peer.WantClosed()
//
// # Notation
//
// Lists are bracketed. Integers and floats are written as such, strings bare or quoted as in Go. A bare word and the
// same word in quotes are the same string; a word of the profile's vocabulary is sent as a vocabulary token.
//
// In a pattern, _ matches any one value, ... at the end of a list matches the rest, and $name matches any value and
// binds it; later uses of $name must match the bound value. In an expression to write, $name stands for the bound
// value.
//
// [Peer.WantIdle] checks that nothing else arrives without sleeping: it makes a call and requires the answer to be the
// next expression.
package wire
