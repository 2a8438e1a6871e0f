package cluster

import (
	"slices"
	"time"

	"github.com/perspectivebroker/pb/flavors"
)

// TableSizes returns how many objects the node has a place for, and to how many it knows a reference.
func (n *Node) TableSizes() (slots, refs int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.slots), len(n.refs)
}

// SetUserIdle replaces userIdle. It is called before the node is used.
func (n *Node) SetUserIdle(d time.Duration) { n.userIdle = d }

// Users returns for how many users of an object the node has references to it, handles for other nodes, and views.
func (n *Node) Users(kind, id string) (refs, handles, views int) {
	r := n.Get(kind, id)
	r.mu.Lock()
	if r.route != nil {
		refs = r.route.refs.len()
	}
	r.mu.Unlock()
	n.mu.Lock()
	p := n.slots[objectKey{kind, id}]
	n.mu.Unlock()
	if p == nil {
		return refs, 0, 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live != nil {
		views = p.live.views.len()
	}
	return refs, len(p.handles), views
}

// Parks reports whether calls wait for the link over which those of an object go.
func (n *Node) Parks(kind, id string) bool {
	return slices.ContainsFunc(n.Get(kind, id).linkRefs(), flavors.PassesOn)
}

// Reroute has calls to an object go to another node, which is not asked, and returns how many calls came back that a
// link had not sent.
func (n *Node) Reroute(kind, id, node string) (back int) {
	r := n.Get(kind, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setRouteLocked(&route{node: node}, User{}, nil)
	return len(r.queue.back)
}
