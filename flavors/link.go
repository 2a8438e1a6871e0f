package flavors

import (
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Link ties a reference to the life of the actor in whose turn it is called: the reference is held as long as the actor lives, and let
// go when the actor ends, in whatever way. When several actors link one reference, the last of them lets it go. The returned
// function lets go earlier.
func Link(ctx protoactor.Context, ref *RemoteReference) (unlink func()) {
	m := ref.remote
	m.mu.Lock()
	m.links++
	m.mu.Unlock()
	// The closure holds the handle itself: a linked reference is not forgotten.
	lease := supervision.LeasesOf(m.conn.Runtime()).Hold(ctx.Self(), func() { ref.unlinked() })
	return lease.Release
}

func (r *RemoteReference) unlinked() {
	m := r.remote
	m.letGo(func() int {
		m.links--
		if m.links > 0 {
			return 0
		}
		return m.receipts
	})
}
