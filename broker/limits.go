package broker

import (
	"time"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// Limits bound what one peer can cost. A zero field means its default. Breaking a limit costs the peer its call or its connection.
type Limits struct {
	// Banana bounds prefix, strings, lists, nesting and frames. Defaults: package banana's, which are Twisted's where it has any.
	Banana banana.Limits
	// Nesting is how deep the values of a call, an answer or an update may be nested, in both directions. It counts lists, tuples,
	// dictionaries, sets and objects, not what Jelly and Banana put around them; the tuple of the arguments is the first, an object and its
	// state are two. Default jelly.DefaultNesting, 512: beyond what the recursion of a stock peer carries. Banana.Depth bounds the lists that
	// these become; its default is enough for all of them.
	Nesting int
	// Exports is how many objects the peer may hold references to at a time. Default 1024 (Twisted's MAX_BROKER_REFS).
	Exports int
	// Caches is how many of our Cacheables the peer may keep copies of at a time, and how many copies this side keeps of the peer's.
	// Default 1024 (Twisted's MAX_BROKER_REFS).
	Caches int
	// Imports is how many of the peer's objects this side may hold references to at a time, those that nobody holds any more among them until
	// the garbage collector has noticed, and how many references one message may mention. What would be one more fails its call or answer
	// with ErrTooManyImports, of mentions with jelly.ErrTooManyReferences. Default 16,384: a stock peer hands out 1,024 at the most, one of this library its Limits.Exports.
	Imports int
	// CallsIn is how many calls of the peer's may be unanswered at a time; further ones fail with Busy. Default 65,536.
	CallsIn int
	// BytesIn is how many bytes the peer's unanswered calls may have on the wire; further ones fail with Busy. From a quarter of it on they
	// are read more slowly. Where so much was read, calls or not, that is not even carried out, because SetCopyableState or the like takes
	// its time, nothing more is read. In memory a call takes up to forty times as much. Default 16 MiB.
	BytesIn int
	// Total is how many bytes all connections of the runtime together may have in unanswered calls and what else is not carried out, in what
	// waits to be written, in messages that have come in part, and in references. What was read counts by what it takes in memory, roughly:
	// besides its bytes 256 for each command and 24 for each element of Banana. Of references each connection has 1,024 for nothing, and the
	// others count 512 bytes each. Beyond the limit each connection may have 256 KiB of each of the former and its 1,024 references, and
	// 256 KiB is what HighWater and PauseWater count from. Default 128 MiB.
	Total int
	// CallsOut is how many of our calls may be unanswered at a time; further ones fail with ErrTooManyCalls. Default 65,536.
	CallsOut int
	// HighWater is how many bytes may wait to be written before our own calls wait (Call) or fail (CallRemote). Default 1 MiB.
	HighWater int
	// PauseWater is how many bytes may wait to be written before the peer's calls are parked: not run until it has read. At twice as many a
	// call that has to be refused ends the connection; at four times as many an answer that comes late is dropped, and its call
	// fails with Busy. Default 16 MiB.
	PauseWater int
	// Handshake is how long the negotiation may take. Default 10 s.
	Handshake time.Duration
	// Stall is how long a write may make no progress, and a message of more than 256 KiB that has come in part. Default 30 s.
	Stall time.Duration
	// StateTimeout is how long a Cacheable may take to give its state; a message that waits longer for one fails. Default 10 s.
	StateTimeout time.Duration
	// Grace is how long an object that the peer has let go stays resolvable while calls are under way whose answers may still
	// mention it. Default 10 s.
	Grace time.Duration
}

// Defaults of [Limits].
const (
	DefaultExports      = 1024
	DefaultCaches       = 1024
	DefaultImports      = 16384
	DefaultCalls        = 65536
	DefaultBytesIn      = 16 << 20
	DefaultTotal        = 128 << 20
	DefaultHighWater    = 1 << 20
	DefaultPauseWater   = 16 << 20
	DefaultHandshake    = 10 * time.Second
	DefaultStall        = 30 * time.Second
	DefaultStateTimeout = 10 * time.Second
	DefaultGrace        = 10 * time.Second
)

func (l Limits) withDefaults() Limits {
	setDefault(&l.Nesting, jelly.DefaultNesting)
	setDefault(&l.Exports, DefaultExports)
	setDefault(&l.Caches, DefaultCaches)
	setDefault(&l.Imports, DefaultImports)
	setDefault(&l.StateTimeout, DefaultStateTimeout)
	setDefault(&l.CallsIn, DefaultCalls)
	setDefault(&l.BytesIn, DefaultBytesIn)
	setDefault(&l.Total, DefaultTotal)
	setDefault(&l.CallsOut, DefaultCalls)
	setDefault(&l.HighWater, DefaultHighWater)
	setDefault(&l.PauseWater, DefaultPauseWater)
	setDefault(&l.Handshake, DefaultHandshake)
	setDefault(&l.Stall, DefaultStall)
	setDefault(&l.Grace, DefaultGrace)
	return l
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
