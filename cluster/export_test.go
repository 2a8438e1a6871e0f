package cluster

// TableSizes returns how many objects the node has a place for, and to how many it knows a reference.
func (n *Node) TableSizes() (slots, refs int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.slots), len(n.refs)
}
