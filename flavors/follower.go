package flavors

import (
	"errors"
	"fmt"
	"sync"

	"github.com/perspectivebroker/pb/supervision"
)

// Follower follows an original, a [Cacheable], in the process in which it lives: it gets the state and the updates
// that a peer's copy would get. It is for passing an original on to the copies of peers of another process.
type Follower struct {
	core     *objectCore
	observer *Observer

	mu      sync.Mutex
	added   bool // guarded by mu
	stopped bool // guarded by mu
}

var errFollow = errors.New("flavors: Follow needs a pointer to a struct that embeds Cacheable, a reference to an " +
	"object of the peer for which it is followed, and a function")

// Follow begins to follow an original for a peer, of which peer is any object, under a perspective. update is called
// with each update in the turn of the original, beginning with the first [Follower.State]. Until [Follower.Stop] the
// original keeps its actor, and has an observer for the peer.
func Follow(
	original any, peer *RemoteReference, perspective any, update func(method string, args []any),
) (*Follower, error) {
	if !peer.isMade() || update == nil {
		return nil, errFollow
	}
	core, err := coreOf(original)
	if err != nil {
		return nil, err
	}
	if core.branch != supervision.Caches {
		return nil, errFollow
	}
	conn := peer.remote.conn
	if err := core.UsableIn(conn.Runtime()); err != nil {
		return nil, err
	}
	core.Hold(conn.Runtime())
	f := &Follower{core: core, observer: newObserver(conn, core, perspective)}
	f.observer.follow = update
	return f, nil
}

// State asks the original for its state, and gives it to reply in the original's turn. The updates that follow are
// those after this state. The first call adds the observer. reply is called once; the state must be encoded before it
// returns, because later the original may change it.
func (f *Follower) State(reply func(state any, err error)) {
	if f == nil || f.core == nil || reply == nil {
		if reply != nil {
			reply(nil, errFollow)
		}
		return
	}
	said := false
	say := func(state any, err error) {
		if !said {
			said = true
			reply(state, err)
		}
	}
	f.core.do(func() {
		state := any(plainState{f.core.Value()})
		if v, ok := f.core.Value().(stateToCacheFor); ok {
			state = v.StateToCacheAndObserveFor(f.observer.perspective, f.observer)
		}
		f.mu.Lock()
		add := !f.added && !f.stopped
		f.added = true
		f.mu.Unlock()
		if add {
			f.core.addObserver(f.observer)
		}
		say(state, nil)
	}).OnComplete(func(_ any, err error) {
		if err == nil {
			err = fmt.Errorf("flavors: %s gave no state", f.core)
		}
		say(nil, err)
	})
}

// Stop ends the following. It is called once.
func (f *Follower) Stop() {
	if f == nil || f.core == nil {
		return
	}
	f.mu.Lock()
	stopped, added := f.stopped, f.added
	f.stopped = true
	f.mu.Unlock()
	switch {
	case stopped:
	case added:
		f.core.Unobserve((*observer)(f.observer), f.core.Release)
	default:
		f.core.Release()
	}
}
