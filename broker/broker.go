package broker

import (
	"time"

	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/broker/internal/table"
	"github.com/perspectivebroker/pb/internal/seam"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// broker is the actor of one connection. It alone owns the tables, and reference counts change only in its turn, so the
// order on the wire is the order in the tables. It runs no user code and never blocks.
type broker struct {
	c *connection

	tables
	outFigures outFigures
	promises   promises           // of this side
	kept       kept               // for the peer
	stamping   *seam.OutgoingCall // the call that is being stamped, or nil

	backlog       []*batch // read but not executed, in order
	next          int      // index in backlog[0] of the next command
	instantiator  *protoactor.PID
	instantiating bool     // the instantiator has the current command; later ones wait
	at            delivery // the current command

	refMarks, cacheMarks collectMarks
	collecting           bool // a garbage collection has been requested
	paused               bool // the next command waits for it

	waiting []any // messages to send once the connection is open

	learned    uint           // number of methods of which the decoder was told
	deliveries uint64         // number of the peer's calls delivered
	held       []*heldMessage // in the order in which they were handed over
	requesting int            // how many of them have requested states

	// How the connection ends; see ending.go.
	ending  error     // the cause while the outbox is flushed
	closing *closeNow // the close request to repeat when no message is held any more
	hungUp  bool      // the peer has closed its side; its last calls may still begin
	lingers bool      // the encoder has ended this side of the socket; the reader discards the rest

	// For the frame that is being stamped.
	reserved int      // bytes in the outbox that its message gives back; 0 once it has
	undo     []func() // undoes what was counted
	states   map[seam.Core]*cacheState
	refBase  int    // the highest reference id
	filling  []byte // the contents of its placeholders
	fillEnds []int  // the end of each in filling
	nextFill int

	deadline *patience.Timer // for the handshake, later for closing
	grace    *time.Timer     // for the oldest lingering entry; nil if there is none
	alive    *time.Timer     // for the next keepalive check; nil without keepalive
	silence  *patience.Timer // for the answer to the last ping
	asked    int64           // when the last ping was sent, by uptime
	lastCall time.Duration   // when the peer's last call was read, by figures.Now
	toldAway time.Duration   // when the peer was told that this side goes away, likewise; 0 if it was not
	move     *patience.Timer // how long its calls are still taken (P-9.15); nil if they are not
	moving   bool            // a moveCheck is due
	looked   time.Duration   // when it was last asked whether the peer still calls
	left     bool            // the session has moved: the connection ends when it is not in use any more
	made     uint64          // how many calls had been made then, at the latest look
	fatal    error           // ends the connection after the current command
	unknown  int             // number of unknown commands
}

// tables has the tables of a connection. They belong to the broker actor.
type tables struct {
	ids       table.IDs
	exports   table.Exports[exportKey, exported]     // each entry holds its core once
	caches    table.Caches[seam.Core, seam.Observer] // likewise
	lingering table.Lingering
	imports   table.Imports
	local     table.LocalCaches[seam.LocalCache]
	pending   table.Pending[seam.OutgoingCall]
	counted   int // bytes that the account counts for the tables
}

type (
	export    = table.Entry[exportKey, exported]
	exportKey struct {
		core        seam.Core
		prefix      string
		perspective any
	}
	// exported is what is known of an export.
	exported struct {
		// caller is on whose behalf calls through the export are made. It knows the object if reached is set.
		caller  seam.Caller
		reached bool
		// general means that no arguments of its methods are decoded directly.
		general bool
		// more is what few exports have; nil if this one does not.
		more *exportedMore
	}
	exportedMore struct {
		// view is what a [local …] stands for, if that is not the object itself: the view that the user sent, or one
		// that was made in its place. made reports the latter.
		view any
		made bool
		// onRelease are called when the export is dropped.
		onRelease []func()
		// unwatch ends the watch for the end of the object's own connection; nil for objects of this side.
		unwatch func() bool
		// perspective is that of the user who was sent an object of another peer first; nil if no user was.
		perspective any
		// told is how many mentions the peer has to give back until what it has received by then is not known to be
		// gone: those up to the latest that said so. 0 if none did.
		told int
	}
	cached = table.Entry[seam.Core, seam.Observer]
)

// observerGone says that an original has been told that the peer has released its cache.
type observerGone struct{ entry *cached }

// delivery is the current call, update or answer while its values are bound.
type delivery struct {
	cmd      *incoming
	read     time.Duration // when, by figures.Now
	many     bool          // many commands were read with it
	received []seam.Handle
	export   *export            // the target of a call; nil if there is none
	copy     seam.LocalCache    // the target of an update; nil if there is none
	answers  bool               // the command is an answer
	call     *seam.OutgoingCall // the answered call; nil if it was cancelled
}

// after posts a message to the broker after d.
func (b *broker) after(d time.Duration, message any) *time.Timer {
	c := b.c
	return time.AfterFunc(d, func() { c.post(message) })
}

// afterWaiting is after for waiting on the peer or the application: pauses of this process do not count.
func (b *broker) afterWaiting(d time.Duration, message any) *patience.Timer {
	c := b.c
	return patience.AfterFunc(d, func() { c.post(message) })
}

func stopTimer(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}

// append writes a frame without placeholders. It ignores a closed outbox: the connection has ended.
func (b *broker) append(f func(dst []byte) []byte) {
	_ = b.c.appendOut(smallFrame, 0, func(dst []byte) ([]byte, error) { return f(dst), nil })
}
