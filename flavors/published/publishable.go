package published

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/seam"
)

// internal is what package flavors has for this one only.
var internal = flavors.Internal.Export(seam.Token{})

// Publishable makes the struct that embeds it a [flavors.Cacheable] whose copies outlive their sessions: what a peer
// has kept from an earlier one is good as long as nothing has been published since, and is not sent again. The struct
// has a method
//
//	PublishedID() string
//
// that names it among the originals of its kind, the same name in every session. Its state is a dictionary of the
// fields with a pb tag, unless it has one of
//
//	StateToPublishFor(perspective any) any
//	StateToPublish() any
//
// Like every change of an original, a change of what is published goes through [flavors.Update]; a
// [Publishable.Republish] within it says that copies made before are out of date. A peer compares when it is next
// sent the original; those that hold a copy now are told by the updates that the application sends, if it sends any.
//
// Peers under different perspectives keep copies of their own. A perspective that is not nil needs a method
// PerspectiveName() string, and may have ServiceName() string.
type Publishable struct {
	flavors.Cacheable
	// timestamp is the bits of the seconds since the Unix epoch, a float64 as on the wire; 0 until it is first asked for.
	timestamp atomic.Uint64
}

type (
	publishedIdentifier interface{ PublishedID() string }
	stateToPublishFor   interface {
		StateToPublishFor(perspective any) any
	}
	stateToPublish   interface{ StateToPublish() any }
	perspectiveNamer interface{ PerspectiveName() string }
	serviceNamer     interface{ ServiceName() string }
)

// Republish says that what is published has changed: copies kept from before will be fetched anew.
func (p *Publishable) Republish() { p.RepublishAt(time.Now()) }

// RepublishAt is [Publishable.Republish] for what has changed at a known time, such as that of a file: an original that
// is made again from the same file is then what it was, and copies from before the restart stay good. A time that is
// not behind the present timestamp counts as just behind it.
func (p *Publishable) RepublishAt(t time.Time) {
	for {
		old := p.timestamp.Load()
		at := float64(t.UnixNano()) / float64(time.Second)
		if old != 0 {
			at = max(at, math.Nextafter(math.Float64frombits(old), math.Inf(1)))
		}
		if p.timestamp.CompareAndSwap(old, math.Float64bits(at)) {
			return
		}
	}
}

// Timestamp is when what is published last changed, in seconds since the Unix epoch, as peers are told it. An original
// that was never republished has that of its first mention.
func (p *Publishable) Timestamp() float64 {
	if p.timestamp.Load() == 0 {
		at := float64(time.Now().UnixNano()) / float64(time.Second)
		p.timestamp.CompareAndSwap(0, math.Float64bits(at))
	}
	return math.Float64frombits(p.timestamp.Load())
}

// StateToCacheAndObserveFor tells a peer what it needs to see whether what it has kept is still good, and from where to
// fetch the rest.
func (p *Publishable) StateToCacheAndObserveFor(perspective any, _ *flavors.Observer) any {
	self := internal.Original(&p.Cacheable)
	if self == nil {
		return refusedState{errors.New("published: this original has not been sent, so nobody can observe it")}
	}
	named, ok := self.(publishedIdentifier)
	if !ok {
		return refusedState{fmt.Errorf("published: a %T needs a method PublishedID() string to be published", self)}
	}
	service, name, err := namesOf(perspective)
	if err != nil {
		return refusedState{err}
	}
	// The peer fetches the state through this view.
	view, err := flavors.NewViewPoint(perspective, self)
	if err != nil {
		return refusedState{err}
	}
	return jelly.NewDict(
		jelly.Entry{Key: "remote", Value: view},
		jelly.Entry{Key: "publishedID", Value: named.PublishedID()},
		jelly.Entry{Key: "perspective", Value: name},
		jelly.Entry{Key: "service", Value: service},
		jelly.Entry{Key: "timestamp", Value: p.Timestamp()},
	)
}

// noName stands for a perspective or a service that is not there: Twisted's word, which ends up in names of files.
const noName = "None"

func namesOf(perspective any) (service, name string, err error) {
	if perspective == nil {
		return noName, noName, nil
	}
	named, ok := perspective.(perspectiveNamer)
	if !ok {
		// Without a name, what one user is shown would be kept for another.
		return "", "", fmt.Errorf(
			"published: a perspective to whom something is published needs a method PerspectiveName() string; %T has none",
			perspective,
		)
	}
	service = noName
	if s, ok := perspective.(serviceNamer); ok {
		service = s.ServiceName()
	}
	return service, named.PerspectiveName(), nil
}

// ViewGetStateToPublish gives a peer what it does not have yet. It is called over the wire, by those who were sent the
// original.
func (p *Publishable) ViewGetStateToPublish(perspective any) any {
	switch v := internal.Original(&p.Cacheable).(type) {
	case nil:
		return nil // It has not been sent, so no peer can ask.
	case stateToPublishFor:
		return v.StateToPublishFor(perspective)
	case stateToPublish:
		return v.StateToPublish()
	default:
		return internal.State(v)
	}
}

// refusedState is a state that cannot be had.
type refusedState struct{ err error }

// JellyTo fails.
func (s refusedState) JellyTo(*jelly.Encoder, any) error { return s.err }
