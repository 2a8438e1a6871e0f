package broker

import (
	"time"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// Limits bound what one peer can cost. A zero or negative field means its default. A peer that breaks a limit loses its
// call or its connection.
type Limits struct {
	// Banana bounds prefixes, strings, lists, nesting and frames. The defaults are those of package banana, which are
	// Twisted's where Twisted has one.
	Banana banana.Limits
	// Nesting is how deep the values of a call, an answer or an update may nest, in both directions. Lists, tuples,
	// dictionaries, sets and objects count; the lists by which Jelly encodes them do not. The tuple of the arguments is
	// the first level; an object and its state are two. Default jelly.DefaultNesting, 512, which is more than the
	// recursion of a stock peer allows. Banana.Depth bounds the lists into which these values are encoded; its default is
	// enough for all of them.
	Nesting int
	// Exports is how many objects the peer may hold references to. Default 1024 (Twisted's MAX_BROKER_REFS).
	Exports int
	// Caches is how many of our Cacheables the peer may keep copies of, and how many copies this side keeps of the peer's.
	// Default 1024 (Twisted's MAX_BROKER_REFS).
	Caches int
	// Imports is how many of the peer's objects this side may hold references to, including unused ones that the garbage
	// collector has not found yet, and how many references one message may mention. Beyond it a call or answer fails with
	// ErrTooManyImports, or with jelly.ErrTooManyReferences if one message mentions too many. Default 16,384; a stock peer
	// hands out 1,024 at most, a peer with this library its Limits.Exports.
	Imports int
	// CallsIn is how many calls of the peer may be unanswered. Further calls fail with Busy. Default 65,536.
	CallsIn int
	// BytesIn is how many bytes the peer's unanswered calls may have on the wire. Further calls fail with Busy. Above a
	// quarter of it this side reads more slowly. It stops reading while that many bytes are read but not yet processed,
	// for example because a SetCopyableState is slow. In memory a call takes up to forty times its bytes. Default 16 MiB.
	BytesIn int
	// MemoryTotal is how many bytes peers may make this runtime hold, on all connections together: messages that are not
	// processed, calls that are not answered, bytes that wait to be written, partly received messages, references, copies
	// and challenges. Memory is counted before it is allocated. A message counts for an upper bound of its decoded size,
	// up to sixty times its bytes ([jelly.Prices]); a reference counts 512 bytes, an exported object and a copy 1 KiB.
	//
	// When the total is reached, a message that does not fit waits for 2 s, or for Stall if it is an answer, and then
	// fails with Busy without being decoded. Each connection always has its share: 256 KiB, or less if more than 128
	// connections share 32 MiB, but at least 16 KiB; as much again for the message that it receives; and its entries in
	// tables. While the total is exceeded, WriteHighWater and MaxWriteBacklog are the share, and a connection may hold no
	// more than 1,024 references.
	//
	// The process takes up to MemoryTotal, these shares, its own data, and the garbage that the collector has not
	// reclaimed (GOGC, GOMEMLIMIT). Default 128 MiB.
	MemoryTotal int
	// Strangers is how many connections may be without a login, if a login is published ([LoginRoot], [IdentityRoot]).
	// Beyond it the one that has waited longest is dropped. All of them together may use an eighth of MemoryTotal, which
	// users do not use. If they need more, those that hold most are dropped. Default 4096.
	Strangers int
	// CallsOut is how many of our calls may be unanswered. Further calls fail with ErrTooManyCalls. Default 65,536.
	CallsOut int
	// WriteHighWater is how many bytes may wait to be written before our own calls wait (Call) or fail (CallRemote).
	// Default 1 MiB.
	WriteHighWater int
	// MaxWriteBacklog is how many bytes may wait to be written before the peer's calls wait until the peer has read. At
	// twice as many, a call that must be rejected ends the connection. At four times as many, a late answer is dropped and
	// its call fails with Busy. Default 16 MiB.
	MaxWriteBacklog int
	// Handshake is how long the negotiation may take. Default 10 s.
	Handshake time.Duration
	// Stall is how long a write, or the receipt of a message of more than 256 KiB, may make no progress. Default 30 s.
	Stall time.Duration
	// StateTimeout is how long a Cacheable may take to supply its state. A message that waits longer fails. Default 10 s.
	StateTimeout time.Duration
	// ReleaseGrace is how long an object that the peer has released stays resolvable, as long as calls are unanswered
	// whose answers may mention it. Default 10 s. These objects do not count in Exports and Caches; there are at most as
	// many again.
	ReleaseGrace time.Duration
}

// DefaultLimits returns the limits that apply by default.
func DefaultLimits() Limits {
	return Limits{
		Banana:          banana.Limits{}.WithDefaults(),
		Nesting:         jelly.DefaultNesting,
		Exports:         1024,
		Caches:          1024,
		Imports:         16384,
		CallsIn:         65536,
		BytesIn:         16 << 20,
		MemoryTotal:     128 << 20,
		Strangers:       4096,
		CallsOut:        65536,
		WriteHighWater:  1 << 20,
		MaxWriteBacklog: 16 << 20,
		Handshake:       10 * time.Second,
		Stall:           30 * time.Second,
		StateTimeout:    10 * time.Second,
		ReleaseGrace:    10 * time.Second,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	l.Banana = l.Banana.WithDefaults()
	setDefault(&l.Nesting, d.Nesting)
	setDefault(&l.Exports, d.Exports)
	setDefault(&l.Caches, d.Caches)
	setDefault(&l.Imports, d.Imports)
	setDefault(&l.CallsIn, d.CallsIn)
	setDefault(&l.BytesIn, d.BytesIn)
	setDefault(&l.MemoryTotal, d.MemoryTotal)
	setDefault(&l.Strangers, d.Strangers)
	setDefault(&l.CallsOut, d.CallsOut)
	setDefault(&l.WriteHighWater, d.WriteHighWater)
	setDefault(&l.MaxWriteBacklog, d.MaxWriteBacklog)
	setDefault(&l.Handshake, d.Handshake)
	setDefault(&l.Stall, d.Stall)
	setDefault(&l.StateTimeout, d.StateTimeout)
	setDefault(&l.ReleaseGrace, d.ReleaseGrace)
	return l
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
