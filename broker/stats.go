package broker

// Stats are the figures of one connection or of all connections of a runtime. Fields of type uint64 only grow. A
// snapshot is taken while work goes on, so the figures may be of slightly different moments.
type Stats struct {
	// CallsOut counts our calls, including updates of Cacheables that ask for an answer.
	CallsOut Calls
	// CallsIn counts the peer's calls, including updates of its Cacheables.
	CallsIn Calls
	// BytesIn and BytesOut count bytes read from and written to the socket, with TLS the bytes inside it.
	BytesIn, BytesOut uint64
	// FramesIn and FramesOut count protocol messages: calls, answers, decrefs and so on.
	FramesIn, FramesOut uint64
	// Exports is how many of our objects the peer holds references to. Imports is how many of the peer's objects this side
	// holds references to. Published objects do not count.
	Exports, Imports int
	// Relays is how many of the Exports are objects of other peers, and [flavors.Relay]s: calls to them are passed on.
	Relays int
	// Caches is how many of our Cacheables the peer keeps copies of. LocalCaches is how many copies this side keeps of the
	// peer's.
	Caches, LocalCaches int
	// Results is how many results of the peer's calls are kept because the peer may still name them, under dialect pb+1.
	Results int
	// Collections is how many garbage collections were requested to find unused references and caches.
	Collections uint64
	// BytesWaiting is how many bytes wait to be written.
	BytesWaiting int
	// BytesUnanswered is how many bytes the unanswered calls of the peer had on the wire.
	BytesUnanswered int
	// Refusals counts what was rejected, for the peer and for callers on this side. Rejections that never occurred are
	// absent.
	Refusals map[Rejection]uint64
}

// Calls counts calls in one direction. Made is the sum of the other fields.
type Calls struct {
	// Made is how many calls there were.
	Made uint64
	// Answered is how many ended with a value. A call that wants no answer counts once it is sent or executed.
	Answered uint64
	// Failed is how many ended with an error, or were unanswered when the connection ended.
	Failed uint64
	// Cancelled is how many the caller gave up. The peer learns of it under dialect pb+1, otherwise CallsIn has none.
	Cancelled uint64
	// Pending is how many are unanswered. A call that this side has cancelled stays pending until its answer arrives and
	// is dropped, and one that the peer has cancelled until its method has returned.
	Pending int
}

// ConnStats counts the connections of a runtime.
type ConnStats struct {
	// Accepted is how many connections were accepted, Dialed how many were dialed.
	Accepted, Dialed uint64
	// Open is how many are negotiated and have not ended. Opening is how many are negotiating.
	Open, Opening int
	// Unopened is how many ended before they were negotiated. Closed includes them.
	Unopened uint64
	// Closed is how many have ended, by reason.
	Closed map[CloseReason]uint64
}

// RuntimeStats is what [StatsOf] reports.
type RuntimeStats struct {
	// Stats is the sum over all connections, including those that have ended.
	Stats
	// Conns counts the connections.
	Conns ConnStats
	// BytesHeld is the memory that Limits.MemoryTotal bounds. While anything waits to be written to a connection, it may
	// be 4 KiB off for that connection.
	BytesHeld int
	// MethodsIn has the calls of peers by the method that was called, MethodsOut those to peers. They are sorted by type
	// and name and include connections that have ended. Methods that do not exist share the entry [UnknownMethod]. A call
	// that is refused before it gets to an object is counted in Refusals only.
	MethodsIn, MethodsOut []MethodStats
	// Failures has the latest calls that failed, at most 64, oldest first.
	Failures []CallFailure
}
