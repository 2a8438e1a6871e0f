package flavors

import (
	"context"
	"errors"
	"github.com/perspectivebroker/pb/internal/seam"
	"iter"
	"runtime"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/rs/zerolog"
)

// Observer is the way from an original to the copy that one peer keeps of it. There is one for each connection that
// holds the original, however often it was sent there. Observers can be compared and used as map keys.
type Observer struct {
	conn        seam.Conn
	core        *objectCore
	perspective any

	// luid is the broker's: what the peer knows the copy by. Zero until the state has been sent.
	luid int64

	failures atomic.Int64 // updates that the peer could not apply
}

// newObserver makes the observer for an original that is about to be sent. Package broker calls it.
func newObserver(conn seam.Conn, core *objectCore, perspective any) *Observer {
	return &Observer{conn: conn, core: core, perspective: perspective}
}

// Conn is the connection on whose other side the copy is.
func (o *Observer) Conn() Conn {
	if o == nil {
		return nil
	}
	return publicConn(o.conn)
}

// Perspective is the one under which the original was first sent over that connection.
func (o *Observer) Perspective() any { return o.perspective }

// observer is the part of an Observer that is for package broker only. It implements seam.Observer.
type observer Observer

// observerOf returns the Observer that package broker has.
func observerOf(o seam.Observer) *Observer { return (*Observer)(o.(*observer)) }

// Luid implements seam.Observer.
func (o *observer) Luid() int64 { return o.luid }

// SetLuid implements seam.Observer.
func (o *observer) SetLuid(luid int64) { o.luid = luid }

// Unsent implements seam.Observer.
func (o *observer) Unsent(method string, err error) { (*Observer)(o).unsent(method, err) }

// CallRemote calls an observe method of the copy: [cachemessage …]. The Deferred fails when the observer or its
// connection is gone, and with the peer's failure when the peer could not apply the update; that is logged as well.
func (o *Observer) CallRemote(method string, args ...any) *actor.Deferred {
	if o == nil || o.conn == nil {
		return actor.Failed(DeadReference.New("the observer is nil, or was not made by somebody's coming to observe"))
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
	_ = o.conn.SendCall(call) // What an observer is not sent costs its connection.
	return call.Result
}

// answered looks whether the peer could apply an update. The caller need not look at the answer, as with stock, whose
// log then has an unhandled error.
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
			Str("object", o.core.typeName()).
			Str("update", clipText(method, maxQuotedName)).
			Msg("the peer could not apply an update; its copy is stale")
	})
}

// unsent logs an update that could not be sent: from then on the copy shows something else than the original.
func (o *Observer) unsent(method string, err error) {
	usercode.Log(func() {
		o.conn.Logger().
			Warn().
			Err(usercode.LogError(err)).
			Str("object", o.core.typeName()).
			Str("update", clipText(method, maxQuotedName)).
			Msg("an update could not be sent; the peer's copy is out of date")
	})
}

// maxUpdatesLogged is how many updates that one peer could not apply to a copy are worth a warning.
const maxUpdatesLogged = 3

func (o *Observer) newCall(method string) *seam.OutgoingCall {
	call := &seam.OutgoingCall{Cache: true, Observer: (*observer)(o), Method: method, Perspective: o.perspective}
	call.Init(o.conn, nil)
	return call
}

// Observers are the observers of one original at one moment.
type Observers struct{ list []*Observer }

// Len is how many there are.
func (os Observers) Len() int { return len(os.list) }

// All ranges over them.
func (os Observers) All() iter.Seq[*Observer] {
	return func(yield func(*Observer) bool) {
		for _, o := range os.list {
			if !yield(o) {
				return
			}
		}
	}
}

// CallRemote calls an observe method of every copy and asks for no answers. What is the same for all of them is encoded
// once. A peer that takes its updates too slowly does not hold up the others; one that takes none for so long that too
// much waits for it loses its connection, rather than an update. The error joins what kept updates from being encoded;
// nothing was sent to these observers.
func (os Observers) CallRemote(method string, args ...any) error {
	var shared encodedFor
	var errs []error
	for _, o := range os.list {
		if context.Cause(o.conn.Context()) != nil {
			continue // Its end is under way to us.
		}
		call := o.newCall(method)
		c := o.conn.JellyContext(o.perspective)
		if call.Encoded = shared.get(c); call.Encoded == nil {
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
				shared = encodedFor{c.Profile, c.Limits, call.Encoded}
			}
		}
		_ = o.conn.SendCall(call)
	}
	runtime.KeepAlive(args)
	return errors.Join(errs...)
}

// encodedFor is what was encoded last, and for what kind of connection. Those of one listener are alike.
type encodedFor struct {
	profile banana.Profile
	limits  banana.Limits
	bytes   []byte
}

func (e *encodedFor) get(c jelly.Context) []byte {
	if e.bytes == nil || e.profile != c.Profile || e.limits != c.Limits {
		return nil
	}
	return e.bytes
}

// encoded is what a fragment without holes says to everybody.
func encoded(f *jelly.Fragment) []byte {
	b, _ := f.Append(make([]byte, 0, f.Len()), nil)
	f.Free()
	return b
}
