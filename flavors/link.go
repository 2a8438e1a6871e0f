package flavors

import (
	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Linkable is a handle that can be linked to the life of an actor: a [RemoteReference] or a [Cached].
type Linkable interface {
	runtime() *actor.Runtime
	// link adds a linked actor, unlink removes one.
	link()
	unlink()
}

// Link keeps a handle's object alive as long as the actor in whose turn it is called: the handle is released when the
// actor ends, for whatever reason. If several actors link a handle, the last to end releases it. The returned function
// ends the link earlier.
func Link(ctx protoactor.Context, handle Linkable) (unlink func()) {
	if ctx == nil || handle == nil || handle.runtime() == nil {
		return func() {}
	}
	handle.link()
	// The lease keeps the handle itself alive.
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

func (r *RemoteReference) count() *seam.Refcount { return &r.remote.count }
func (c *Cached[T]) count() *seam.Refcount       { return &c.cache.count }
