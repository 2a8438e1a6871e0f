package cluster

import (
	"context"
	"fmt"
	"time"
)

// leaveBefore is how long before its certificate expires a node leaves the cluster, or a quarter of the time that is
// left when it joins, if that is shorter.
const leaveBefore = time.Minute

// watchCertificate has the node leave in order before its certificate expires: afterwards no other node would take its
// calls, and its objects could not be reached.
func (n *Node) watchCertificate() {
	left := time.Until(n.id.until)
	timer := time.NewTimer(left - min(leaveBefore, left/4))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-n.ctx.Done():
		return
	}
	n.log.Error().Time("expires", n.id.until).
		Msg("cluster: the certificate of this node is about to expire; leaving the cluster")
	ctx, cancel := context.WithDeadline(context.Background(), n.id.until)
	defer cancel()
	cause := fmt.Errorf("%w: it expires at %v", ErrCertificate, n.id.until.Format(time.RFC3339))
	if err := n.leave(ctx, cause); err != nil {
		n.log.Warn().Err(err).Msg("cluster: the node has not left in order")
	}
}

// watchExpiry ends a link when the certificate of the peer expires. TLS checks it only when the link is made.
func (k *link) watchExpiry(until time.Time) {
	timer := time.AfterFunc(time.Until(until), func() {
		k.node.log.Warn().Str("peer", k.peer).Msg("cluster: the certificate of a node has expired; ending its link")
		k.conn.Abort(fmt.Errorf("%w: that of %q has expired", ErrCertificate, k.peer))
	})
	context.AfterFunc(k.conn.Context(), func() { timer.Stop() })
}
