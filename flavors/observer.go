package flavors

import (
	"errors"
	"iter"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/rs/zerolog"
)

// Observer is one peer's observation of a Cacheable: updates go through it to the peer's copy. There is one for each
// connection, however often the original was sent there. Observers can be compared and used as map keys.
type Observer struct {
	conn        seam.Conn
	core        seam.Core // of the original
	perspective any       // under which values are encoded
	viewer      any       // the one that the original is told
	typeName    string    // of the original

	// luid is what the peer knows the copy by. It belongs to the broker, and is zero until the state has been sent.
	luid int64

	follow func(method string, args []any) // gets the updates of a Follower; otherwise nil

	failures atomic.Int64 // updates that the peer could not apply
}

// newObserver makes the observer for an original that is about to be sent.
func newObserver(conn seam.Conn, core seam.Core, perspective any) *Observer {
	typeName, _, _ := strings.Cut(core.String(), "[")
	return &Observer{conn: conn, core: core, perspective: perspective, viewer: perspective, typeName: typeName}
}

// Conn returns the connection to the peer that has the copy.
func (o *Observer) Conn() Conn {
	if o == nil {
		return nil
	}
	return publicConn(o.conn)
}

// Perspective returns the one under which the original was first sent over that connection.
func (o *Observer) Perspective() any { return o.viewer }

// observer is the part of an Observer that is for package broker only. It implements seam.Observer.
type observer Observer

// observerOf returns the Observer that package broker has.
func observerOf(o seam.Observer) *Observer { return (*Observer)(o.(*observer)) }

// Luid implements seam.Observer.
func (o *observer) Luid() int64 { return o.luid }

// SetLuid implements seam.Observer.
func (o *observer) SetLuid(luid int64) { o.luid = luid }

// TypeName implements seam.Observer.
func (o *observer) TypeName() string { return o.typeName }

// Unsent implements seam.Observer.
func (o *observer) Unsent(method string, err error) { (*Observer)(o).unsent(method, err) }

// CallRemote calls an observe method of the copy: [cachemessage …]. The Deferred fails if the observer or its
// connection has ended, and with the peer's failure if the peer could not apply the update. That is logged as well.
func (o *Observer) CallRemote(method string, args ...any) *actor.Deferred {
	if o == nil || o.conn == nil {
		return actor.Failed(DeadReference.New("the observer is nil, or was not given to StateToCacheAndObserveFor"))
	}
	if o.follow != nil {
		o.follow(method, args)
		return actor.Succeeded(nil)
	}
	fragment, err := encodeCall(o.conn, o.perspective, method, args)
	if err != nil {
		o.unsent(method, err)
		return actor.Failed(err)
	}
	call := o.newCall(method)
	call.Fragment = fragment
	call.WantAnswer()
	call.Result.OnComplete(func(_ any, err error) { o.answered(method, err) })
	_ = o.conn.SendCall(call) // An update that cannot be sent ends the connection.
	return call.Result
}

// answered logs an update that the peer could not apply. The caller need not check the Deferred.
func (o *Observer) answered(method string, err error) {
	if err == nil || !IsRemote(err) || o.conn.Context().Err() != nil {
		return
	}
	line := zerolog.DebugLevel
	if o.failures.Add(1) <= maxUpdatesLogged {
		line = zerolog.WarnLevel
	}
	usercode.Log(func() {
		o.conn.Logger().
			WithLevel(line).
			Err(err).
			Stringer("object", o.core).
			Str("update", clipText(method, maxQuotedName)).
			Msg("the peer could not apply an update; its copy is stale")
	})
}

// unsent logs an update that could not be sent. The copy is out of date from then on.
func (o *Observer) unsent(method string, err error) {
	usercode.Log(func() {
		o.conn.Logger().
			Warn().
			Err(usercode.LogError(err)).
			Stringer("object", o.core).
			Str("update", clipText(method, maxQuotedName)).
			Msg("an update could not be sent; the peer's copy is out of date")
	})
}

// maxUpdatesLogged is how many updates that one peer could not apply to a copy are logged as warnings.
const maxUpdatesLogged = 3

// hasEnded reports whether the connection has ended, so that the observer will be removed.
func (o *Observer) hasEnded() bool { return o.conn.Context().Err() != nil }

func (o *Observer) newCall(method string) *seam.OutgoingCall {
	return seam.NewUpdate(o.conn, (*observer)(o), method, o.perspective)
}

// Observers is the set of observers of an original at one moment.
type Observers struct{ list []*Observer }

// Len returns the number of observers.
func (os Observers) Len() int { return len(os.list) }

// All returns an iterator over the observers, in the order in which they began.
func (os Observers) All() iter.Seq[*Observer] {
	return func(yield func(*Observer) bool) {
		for _, o := range os.list {
			if !yield(o) {
				return
			}
		}
	}
}

// CallRemote calls an observe method of every copy and asks for no answers. It encodes once what is the same for all,
// and uses several processors if there are many observers. When it returns, the update has been handed to each
// connection, in front of everything that is sent there later. A peer that reads slowly does not delay the others; one
// that reads so slowly that too much waits for it loses its connection, not the update. The error joins those of
// updates that could not be encoded, which were not sent.
func (os Observers) CallRemote(method string, args ...any) error {
	var shared, sent encodedFor
	var errs []error
	for i, o := range os.list {
		if o.hasEnded() {
			continue
		}
		if o.follow != nil {
			o.follow(method, args)
			continue
		}
		kind := o.conn.Encoding()
		if sent.get(kind) != nil {
			continue // The fan-out has sent it.
		}
		call := o.newCall(method)
		if call.Encoded = shared.get(kind); call.Encoded == nil {
			fragment, err := encodeCall(o.conn, o.perspective, method, args)
			if err != nil {
				o.unsent(method, err)
				errs = append(errs, err)
				continue
			}
			if fragment.Personal() {
				call.Fragment = fragment
			} else {
				call.Encoded = encoded(fragment)
				shared = encodedFor{kind, call.Encoded}
			}
		}
		_ = o.conn.SendCall(call)
		if rest := os.list[i+1:]; sent.bytes == nil && shared.bytes != nil && len(rest) >= 2*fanOutPart {
			f := fanOut{observers: rest, method: method, encoded: shared}
			if f.send(); !f.left.Load() {
				break
			}
			sent = shared
		}
	}
	runtime.KeepAlive(args)
	return errors.Join(errs...)
}

// encodedFor is the arguments that were encoded last, and for which kind of connection.
type encodedFor struct {
	kind  seam.Encoding
	bytes []byte
}

func (e *encodedFor) get(kind seam.Encoding) []byte {
	if e.kind != kind {
		return nil
	}
	return e.bytes
}

// encoded returns the bytes of a fragment without placeholders, which are the same for all peers.
func encoded(f *jelly.Fragment) []byte {
	b, _ := f.Append(make([]byte, 0, f.Len()), nil)
	f.Free()
	return b
}
