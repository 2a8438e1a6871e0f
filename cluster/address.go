package cluster

import "github.com/perspectivebroker/pb/codec/jelly"

// Between nodes, and between a node and its gate, a Ref is sent as its kind and id. The receiver makes its own Ref of
// them, so that calls take one hop, whatever way the reference has come.

// addressOf returns what is sent in place of an object.
func (n *Node) addressOf(object any) (kind, id string, ok bool) {
	r, ok := object.(*Ref)
	if !ok || r.node != n || len(r.key.kind)+len(r.key.id) > jelly.MaxAddress {
		return "", "", false
	}
	return r.key.kind, r.key.id, true
}

// resolve returns what another node means by an address.
func (n *Node) resolve(kind, id string) any { return n.Get(kind, id) }
