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

// internal has what package flavors exports to this module only.
var internal = flavors.Internal.Export(seam.Token{})

// Publishable makes the struct that embeds it a [flavors.Cacheable] whose copies outlive their sessions. A state that a
// peer kept in an earlier session remains valid until the next [Publishable.Republish], and is not sent again. The
// struct must have a method
//
//	PublishedID() string
//
// that returns the same id in each session, unique among the originals of its class. The state is a dictionary of the
// fields with a pb tag, unless the struct has one of these methods:
//
//	StateToPublishFor(perspective any) any
//	StateToPublish() any
//
// To change the state, call [flavors.Update] and Republish within it. A peer compares timestamps when it next receives
// the original. Present copies learn of the change only by the updates that the application sends.
//
// Each perspective has its own copy. A perspective that is not nil needs a method PerspectiveName() string, and may
// have ServiceName() string.
type Publishable struct {
	flavors.Cacheable
	// timestamp holds the bits of a float64, the seconds since the Unix epoch; 0 before the first use.
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

// Republish sets the timestamp to now, so that states kept before are fetched again.
func (p *Publishable) Republish() { p.RepublishAt(time.Now()) }

// RepublishAt is like [Publishable.Republish] with the time of the change, such as a file's. An original that is made
// again from the same file after a restart then has the same timestamp, so kept states stay valid. If t is not after
// the present timestamp, the new timestamp is the next larger number.
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

// Timestamp returns the time of the last Republish, in seconds since the Unix epoch. Without one it is the time of the
// first call of Timestamp, at the latest the first sending.
func (p *Publishable) Timestamp() float64 {
	if p.timestamp.Load() == 0 {
		at := float64(time.Now().UnixNano()) / float64(time.Second)
		p.timestamp.CompareAndSwap(0, math.Float64bits(at))
	}
	return math.Float64frombits(p.timestamp.Load())
}

// StateToCacheAndObserveFor returns what a peer needs to check a kept state, and a reference from which to fetch it.
func (p *Publishable) StateToCacheAndObserveFor(perspective any, _ *flavors.Observer) any {
	self := internal.Original(&p.Cacheable)
	if self == nil {
		return refusedState{errors.New("published: this original has not been sent")}
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

// noName stands for a missing perspective or service, as in Twisted. It becomes part of file names.
const noName = "None"

func namesOf(perspective any) (service, name string, err error) {
	if perspective == nil {
		return noName, noName, nil
	}
	named, ok := perspective.(perspectiveNamer)
	if !ok {
		// Without a name, one user's state would be kept for another.
		return "", "", fmt.Errorf(
			"published: the perspective of a published original needs a method PerspectiveName() string; %T has none",
			perspective,
		)
	}
	service = noName
	if s, ok := perspective.(serviceNamer); ok {
		service = s.ServiceName()
	}
	return service, named.PerspectiveName(), nil
}

// ViewGetStateToPublish returns the state. Peers that received the original call it.
func (p *Publishable) ViewGetStateToPublish(perspective any) any {
	switch v := internal.Original(&p.Cacheable).(type) {
	case nil:
		return nil // never sent
	case stateToPublishFor:
		return v.StateToPublishFor(perspective)
	case stateToPublish:
		return v.StateToPublish()
	default:
		return internal.State(v)
	}
}

// refusedState fails to encode.
type refusedState struct{ err error }

// JellyTo returns the error.
func (s refusedState) JellyTo(*jelly.Encoder, any) error { return s.err }
