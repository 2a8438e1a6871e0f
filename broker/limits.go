package broker

import (
	"time"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// Limits bound what one peer can cost. A zero field means its default. Breaking a limit costs the peer its call or its
// connection.
type Limits struct {
	// Banana bounds prefix, strings, lists, nesting and frames. Defaults: package banana's, which are Twisted's where it
	// has any.
	Banana banana.Limits
	// Nesting is how deep the values of a call, an answer or an update may be nested, in both directions. It counts lists,
	// tuples, dictionaries, sets and objects, not what Jelly and Banana put around them; the tuple of the arguments is the
	// first, an object and its state are two. Default jelly.DefaultNesting, 512: beyond what the recursion of a stock peer
	// carries. Banana.Depth bounds the lists that these become; its default is enough for all of them.
	Nesting int
	// Exports is how many objects the peer may hold references to at a time. Default 1024 (Twisted's MAX_BROKER_REFS).
	Exports int
	// Caches is how many of our Cacheables the peer may keep copies of at a time, and how many copies this side keeps of
	// the peer's. Default 1024 (Twisted's MAX_BROKER_REFS).
	Caches int
	// Imports is how many of the peer's objects this side may hold references to at a time, those that nobody holds any
	// more among them until the garbage collector has noticed, and how many references one message may mention. What would
	// be one more fails its call or answer with ErrTooManyImports, of mentions with jelly.ErrTooManyReferences. Default
	// 16,384: a stock peer hands out 1,024 at the most, one of this library its Limits.Exports.
	Imports int
	// CallsIn is how many calls of the peer's may be unanswered at a time; further ones fail with Busy. Default 65,536.
	CallsIn int
	// BytesIn is how many bytes the peer's unanswered calls may have on the wire; further ones fail with Busy. From a
	// quarter of it on they are read more slowly. Where so much was read, calls or not, that is not even carried out,
	// because SetCopyableState or the like takes its time, nothing more is read. In memory a call takes up to forty times
	// as much. Default 16 MiB.
	BytesIn int
	// Total is how many bytes peers may make this runtime hold, on all connections together: calls that are not answered
	// and what else is not carried out, what waits to be written, buffers for messages that have come in part, references,
	// copies and challenges. It is counted before it is allocated. A message counts for what its values take at most once
	// they are decoded, up to sixty times its size ([jelly.Prices]); a reference counts 512 bytes, an exported object and
	// a copy 1 KiB each.
	//
	// When the total is reached, a message that is in the way of it waits for 2 s, or for Stall if it is an answer, and is
	// refused with Busy then, without being decoded. Each connection may still have its share: 256 KiB, or less where more
	// than 128 connections share 32 MiB, and never less than 16 KiB; as much again for the buffer of the message that it
	// receives; and its entries in tables. Beyond the total, HighWater and PauseWater count from the share, and a
	// connection may hold no more than 1,024 references.
	//
	// The process takes up to Total and these shares, what it has itself, and what Go's collector lets stand beside it
	// (GOGC, GOMEMLIMIT). Default 128 MiB.
	Total int
	// Strangers is how many connections may be without a login at a time, where a login is published ([LoginRoot],
	// [IdentityRoot]). With one more the one that has waited longest is dropped. All of them together have an eighth of
	// Total, which users do not use; where they want more, those that hold most are dropped. Default 4096.
	Strangers int
	// CallsOut is how many of our calls may be unanswered at a time; further ones fail with ErrTooManyCalls. Default
	// 65,536.
	CallsOut int
	// HighWater is how many bytes may wait to be written before our own calls wait (Call) or fail (CallRemote). Default 1
	// MiB.
	HighWater int
	// PauseWater is how many bytes may wait to be written before the peer's calls are parked: not run until it has read.
	// At twice as many a call that has to be refused ends the connection; at four times as many an answer that comes late
	// is dropped, and its call fails with Busy. Default 16 MiB.
	PauseWater int
	// Handshake is how long the negotiation may take. Default 10 s.
	Handshake time.Duration
	// Stall is how long a write may make no progress, and a message of more than 256 KiB that has come in part. Default 30
	// s.
	Stall time.Duration
	// StateTimeout is how long a Cacheable may take to give its state; a message that waits longer for one fails. Default
	// 10 s.
	StateTimeout time.Duration
	// Grace is how long an object that the peer has let go stays resolvable while calls are under way whose answers may
	// still mention it. Default 10 s. These objects do not count in Exports and Caches; there are at most as many of them
	// again.
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
	DefaultStrangers    = 4096
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
	setDefault(&l.Strangers, DefaultStrangers)
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
