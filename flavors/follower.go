package flavors

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
)

// Follower passes an original, a [Cacheable] of this process, on to the copies of peers of another process, where a
// [CacheRelay] gets its state and its updates. These are sent once, whatever number of copies there are.
type Follower struct {
	core     *objectCore
	observer *Observer
	feed     *RemoteReference

	mu      sync.Mutex
	added   bool // guarded by mu
	stopped bool // guarded by mu
}

var errFollow = errors.New("flavors: Follow needs a pointer to a struct that embeds Cacheable, and the feed of a " +
	"CacheRelay of the peer for which it is followed")

// The calls of a feed.
const (
	feedState  = "state"  // with the state
	feedUpdate = "update" // with the name of the update, and the tuple of its arguments
	feedFailed = "failed" // with why there is no state
)

// Follow begins to follow an original under a perspective, for the [CacheRelay] of a peer whose feed is given. Updates
// are sent from the first [Follower.SendState] on. Until [Follower.Stop] the original keeps its actor, and has an
// observer for the peer. A peer that reads updates so slowly that too much waits for it loses its connection.
func Follow(original any, feed *RemoteReference, perspective any) (*Follower, error) {
	if !feed.isMade() {
		return nil, errFollow
	}
	core, err := coreOf(original)
	if err != nil {
		return nil, err
	}
	if core.branch != supervision.Caches {
		return nil, errFollow
	}
	conn := feed.remote.conn
	if err := core.UsableIn(conn.Runtime()); err != nil {
		return nil, err
	}
	core.Hold(conn.Runtime())
	f := &Follower{core: core, observer: newObserver(conn, core, perspective), feed: feed}
	f.observer.follow = f.update
	return f, nil
}

// SendState sends the state that the original has in its next turn. The updates that are sent afterwards are those
// after this state. The first call adds the observer.
func (f *Follower) SendState() {
	if f == nil || f.core == nil {
		return
	}
	sent := false
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
		sent = true
		if err := f.send(feedState, state); err != nil {
			_ = f.send(feedFailed, usercode.ErrorText(err)) // If it cannot be sent, the connection has ended.
		}
	}).OnComplete(func(_ any, err error) {
		if !sent {
			if err == nil {
				err = fmt.Errorf("flavors: %s gave no state", f.core)
			}
			_ = f.send(feedFailed, usercode.ErrorText(err))
		}
	})
}

// update sends an update, in the turn of the original.
func (f *Follower) update(method string, args []any) {
	if err := f.send(feedUpdate, method, jelly.Tuple(args)); err != nil && f.feed.Err() == nil {
		f.observer.unsent(method, err)
	}
}

// send calls the feed under the perspective of the copies.
func (f *Follower) send(method string, args ...any) error {
	return f.feed.mustSend(f.observer.perspective, method, args)
}

// mustSend sends a call without an answer that must not be left out: a connection that cannot take it ends.
func (r *RemoteReference) mustSend(perspective any, method string, args []any) error {
	call := &seam.OutgoingCall{MustSend: true}
	if err := r.prepare(context.Background(), call, method, nil); err != nil {
		return err
	}
	fragment, err := encodeCall(r.remote.conn, perspective, method, args)
	if err != nil {
		call.Free()
		return err
	}
	call.Fragment.Free()
	call.Fragment = fragment
	return r.remote.conn.SendCall(call)
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
