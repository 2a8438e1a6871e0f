package broker

import (
	"github.com/perspectivebroker/pb/actor"
)

// Stats is what one connection has done and has under way, or all connections of a runtime together. Counts only grow;
// those of type int go up and down. A snapshot is taken while work goes on, so its figures are each true but need not
// be of the very same moment.
type Stats struct {
	// CallsOut are our calls of the peer, updates of Cacheables that ask for an answer among them.
	CallsOut Calls
	// CallsIn are the peer's calls of ours, updates of its Cacheables among them.
	CallsIn Calls
	// BytesIn and BytesOut are bytes read from and written to the socket, under TLS the bytes within it.
	BytesIn, BytesOut uint64
	// FramesIn and FramesOut are messages of the protocol: calls, answers, decrefs and so on.
	FramesIn, FramesOut uint64
	// Exports is how many objects of ours the peer holds references to, Imports how many of the peer's this side does.
	// Published ones do not count.
	Exports, Imports int
	// Caches is how many of our Cacheables the peer keeps copies of, LocalCaches how many copies this side keeps of the
	// peer's.
	Caches, LocalCaches int
	// Collections is how many garbage collections were asked for, to give back references and caches that nobody holds any
	// more.
	Collections uint64
	// BytesWaiting is how many bytes wait to be written, in buffers or on their way there.
	BytesWaiting int
	// BytesUnanswered is how many bytes the calls of the peer have on the wire that are not answered yet.
	BytesUnanswered int
	// Refusals is what was refused to the peer, and to callers on this side, by reason. Reasons that never occurred are
	// left out.
	Refusals map[Rejection]uint64
}

// Calls counts calls in one direction. Made is always the sum of the others.
type Calls struct {
	// Made is how many calls there were.
	Made uint64
	// Answered is how many ended with a value; a call that wants no answer has been answered when it has been sent, or
	// carried out.
	Answered uint64
	// Failed is how many ended with an error, or were cut off by the end of the connection.
	Failed uint64
	// Cancelled is how many were given up by their caller before the answer came. The protocol cannot tell the other side
	// so: of the peer's calls there are none.
	Cancelled uint64
	// Pending is how many are not answered. A call that was given up is among them until its late answer has come and been
	// let go.
	Pending int
}

// ConnStats counts the connections of a runtime.
type ConnStats struct {
	// Accepted is how many came in, Dialed how many this side made.
	Accepted, Dialed uint64
	// Open is how many have been negotiated and not ended; Opening how many are not negotiated yet.
	Open, Opening int
	// Unopened is how many ended before they were negotiated; they are among those of Closed as well.
	Unopened uint64
	// Closed is how many have ended, by cause.
	Closed map[CloseReason]uint64
}

// RuntimeStats is what [StatsOf] reports.
type RuntimeStats struct {
	// Stats is the sum over all connections. What connections have counted that have ended is in it.
	Stats
	// Conns counts the connections themselves.
	Conns ConnStats
	// BytesHeld is what Limits.MemoryTotal bounds, see there.
	BytesHeld int
}

// StatsOf says what all connections of a runtime have done and have under way, those that it accepted and those that it
// dialed.
func StatsOf(rt *actor.Runtime) RuntimeStats {
	if rt.Check() != nil {
		return RuntimeStats{}
	}
	return registryOf(rt).stats(rt)
}
