// Package trace prints conversations of Perspective Broker, one line a message, from what was seen of them: by a relay
// while it happens, in a recording, in a raw stream, or in a capture of packets.
//
// # Lines
//
//	17:03:05.120844 1 > [message 1 "root" "add" 1 [tuple 1 2] [dictionary]]
//	17:03:05.121305 1 < [answer 1 3] add 461µs
//
// The columns are the time (UTC), the connection's number, the direction (> to the server, < from it) and the
// expression. An answer is followed by the method of its call and the time that it took. Everything a peer chose is
// escaped. A stream that is not Banana gives one line in angle brackets; the rest of its direction is not shown.
//
// # Recordings
//
// A recording is the line "pb recording 1" and then events, each one written at once:
//
//	kind (1 byte) | time (8 bytes, nanoseconds since 1970, big-endian) | connection, length (uvarints) | data
//
// The kinds are > and < for bytes in a direction, and ) and ( for the end of that direction.
package trace
