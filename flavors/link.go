package flavors

import (
	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Linkable is a handle that can be tied to the life of an actor: a [RemoteReference] or a [Cached].
type Linkable interface {
	runtime() *actor.Runtime
	// link notes that one more actor holds the handle, unlink that one of them has ended.
	link()
	unlink()
}

// Link ties a handle to the life of the actor in whose turn it is called: what the handle stands for is held as long as
// the actor lives, and let go when the actor ends, in whatever way. When several actors link one handle, the last of
// them lets it go. The returned function lets go earlier.
func Link(ctx protoactor.Context, handle Linkable) (unlink func()) {
	if ctx == nil || handle == nil || handle.runtime() == nil {
		return func() {}
	}
	handle.link()
	// The lease holds the handle itself: what is linked is not forgotten.
	return supervision.LeasesOf(handle.runtime()).Hold(ctx.Self(), handle.unlink).Release
}

func (r *RemoteReference) runtime() *actor.Runtime {
	if !r.isMade() {
		return nil
	}
	return r.remote.conn.Runtime()
}
func (r *RemoteReference) link()   { r.remote.count.Link() }
func (r *RemoteReference) unlink() { r.remote.release((*seam.Refcount).Unlink) }

// counted is a handle that came from the peer: a *RemoteReference or a *Cached.
type counted interface{ count() *seam.Refcount }

func (r *RemoteReference) count() *seam.Refcount { return &r.remote.count }
func (c *Cached[T]) count() *seam.Refcount       { return &c.cache.count }
