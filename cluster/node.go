package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/rs/zerolog"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/cluster/internal/boottime"
	"github.com/perspectivebroker/pb/cluster/internal/directory"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// Member is a node of the cluster.
type Member struct {
	// Name is the node's name, Address the URL of its links.
	Name, Address string
	// Kinds are the kinds of objects that it offers, sorted.
	Kinds []string
	// Leaving is set while it hands over its objects.
	Leaving bool
}

// Node is a member of a cluster. Its methods may be called from any goroutine.
type Node struct {
	rt    *actor.Runtime
	log   *zerolog.Logger
	opts  Options
	id    *identity
	dir   *directory.Directory
	links *links
	gate  *gate

	userIdle time.Duration
	registry *jelly.Registry // of links and of the gate
	mirrors  mirrors

	ctx    context.Context // ends with the node
	cancel context.CancelCauseFunc
	work   sync.WaitGroup

	passing sync.RWMutex // held to read while a call is passed on, to write while a shard begins to be held
	handing sync.Mutex   // held while shards are given up

	mu sync.Mutex
	// Guarded by mu.
	kinds   map[string]*kind
	slots   map[objectKey]*slot
	refs    map[objectKey]weak.Pointer[Ref]
	holds   map[directory.Shard]hold     // shards whose objects get no calls, because they move
	ending  map[directory.Shard]struct{} // shards that this node gives up
	changed chan struct{}                // closed and replaced with every change that a call may wait for
	left    bool
}

// objectKey names a placed object.
type objectKey struct{ kind, id string }

// hold says that calls to the objects of a shard wait, because its owner gives it up.
type hold struct{ node string }

// Join makes the process a node of a cluster. It returns when the node is a member and other nodes can connect. ctx
// bounds only the joining. The node ends with [Node.Leave], [Node.Close] or the runtime, or before its certificate
// expires; see [Node.Done].
func Join(ctx context.Context, rt *actor.Runtime, opts Options) (*Node, error) {
	if err := rt.Check(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	opts, id, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	log := rt.Logger().With().Str("node", opts.Name).Logger()
	n := &Node{
		rt: rt, log: &log, opts: opts, id: id, changed: make(chan struct{}), userIdle: userIdle,
		kinds: map[string]*kind{}, slots: map[objectKey]*slot{}, refs: map[objectKey]weak.Pointer[Ref]{},
		holds: map[directory.Shard]hold{}, ending: map[directory.Shard]struct{}{},
	}
	n.mirrors = mirrors{made: map[*flavors.RemoteReference]weak.Pointer[flavors.CacheRelay]{}}
	// These are taken from nodes only: with a source, a client could make others believe that it is a Cacheable.
	n.registry = jelly.NewRegistryOver(opts.Registry)
	for _, class := range []string{sourceClass, placedClass} {
		if err := flavors.RegisterReference(n.registry, class); err != nil {
			return nil, err
		}
	}
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	if err := n.start(ctx); err != nil {
		n.end(err)
		return nil, err
	}
	rt.OnClose(actor.PhaseDisconnect, "cluster node "+opts.Name, func(context.Context) error {
		n.Close()
		return nil
	})
	return n, nil
}

func (n *Node) start(ctx context.Context) (err error) {
	if n.links, err = newLinks(n); err != nil {
		return err
	}
	if n.gate, err = newGate(ctx, n); err != nil {
		return err
	}
	address := n.opts.Advertise
	if address == "" {
		address = n.links.url()
	}
	n.dir = directory.New(directory.Config{
		Store: n.opts.Store, Prefix: n.opts.Prefix, Name: n.opts.Name, Address: address, TTL: n.opts.TTL,
		Clock: boottime.Now, Log: n.log,
		Fenced:  n.fenced,
		Lost:    n.lost,
		Changed: n.directoryChanged,
	})
	n.links.accept()
	if err := n.dir.Join(ctx); err != nil {
		return err
	}
	n.work.Go(n.rebalance)
	go n.watchCertificate() // Leaving waits for the node's work.
	return nil
}

// Name returns the node's name.
func (n *Node) Name() string { return n.opts.Name }

// LinkURL returns the URL at which the node accepts links, with the port that was bound.
func (n *Node) LinkURL() string { return n.links.url() }

// Members returns the members of the cluster as this node sees them, sorted by name.
func (n *Node) Members() []Member {
	var all []Member
	for _, m := range n.dir.Members() {
		all = append(all, Member{m.Name, m.Address, m.Kinds, m.Leaving})
	}
	return all
}

// Kind offers a kind of objects on this node. The factory is called with the id of the object that is activated, or
// with a [Placement], and returns a pointer to a struct that embeds flavors.Referenceable, flavors.Viewable or
// flavors.Avatar; it may return an error as well, with which the calls that wait fail. It runs on a goroutine of its
// own and may block, for example to load the object's state. A View method of a placed object gets a [User].
//
// Nodes may offer different kinds. An object is placed on one of those that offer its kind.
func (n *Node) Kind(name string, factory any, opts ...KindOption) error {
	k, err := newKind(name, factory, opts)
	if err != nil {
		return err
	}
	n.mu.Lock()
	if n.kinds[name] != nil {
		n.mu.Unlock()
		return fmt.Errorf("cluster: kind %q is offered already", name)
	}
	n.kinds[name] = k
	names := slices.Collect(maps.Keys(n.kinds))
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(n.ctx, PlacingTimeout)
	defer cancel()
	return n.dir.SetKinds(ctx, names)
}

// Get returns the reference to the object of a kind and an id. It asks nobody. On one node there is one *Ref for each
// object.
func (n *Node) Get(kind, id string) *Ref {
	key := objectKey{kind, id}
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.refs[key].Value(); r != nil {
		return r
	}
	r := newRef(n, key)
	n.refs[key] = weak.Make(r)
	runtime.AddCleanup(r, n.forgetRef, key)
	return r
}

// forgetRef is called when a Ref is in use no more.
func (n *Node) forgetRef(key objectKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w, ok := n.refs[key]; ok && w.Value() == nil {
		delete(n.refs, key)
	}
}

// Where returns the node that owns an object, or else the one that would place it now; owned says which. The name is
// empty if no node offers the kind.
func (n *Node) Where(ref *Ref) (node string, owned bool) {
	m, owned, _ := n.dir.Lookup(ref.shard)
	return m.Name, owned
}

// Stats are figures of a node.
type Stats struct {
	// Links is how many other nodes it is connected to.
	Links int
	// Placed is how many placed objects live on it.
	Placed int
	// Refs is how many placed objects it has references to.
	Refs int
	// Waiting is how many calls wait for their objects to be placed.
	Waiting int
}

// Stats returns the node's figures.
func (n *Node) Stats() Stats {
	s := Stats{Links: n.links.count()}
	for _, p := range n.slotsOf(func(*slot) bool { return true }) {
		if p.isLive() {
			s.Placed++
		}
	}
	for _, r := range n.refsOf(func(*Ref) bool { return true }) {
		s.Refs++
		s.Waiting += r.waitingCount()
	}
	return s
}

// Close ends the node at once: links are closed, and placed objects are dropped without being saved. Other nodes place
// them anew when the lease has ended.
func (n *Node) Close() { n.end(ErrLeft) }

// Done returns a channel that is closed when the node has ended, or begins to end at once. A node ends by itself if its
// certificate expires: it leaves in order a minute before.
func (n *Node) Done() <-chan struct{} { return n.ctx.Done() }

// Err returns why the node has ended: [ErrLeft] after Leave and Close, [ErrCertificate] if its certificate expires. It
// is nil while the node has not ended.
func (n *Node) Err() error { return context.Cause(n.ctx) }

func (n *Node) end(cause error) {
	n.cancel(cause)
	n.dropAll(cause)
	if n.links != nil {
		n.links.close(cause)
	}
	if n.gate != nil {
		n.gate.close()
	}
	if n.dir != nil {
		n.dir.Close()
	}
	n.broadcast()
	n.work.Wait()
}

// broadcast wakes the calls that wait for a change.
func (n *Node) broadcast() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
}

// change returns a channel that is closed with the next change.
func (n *Node) change() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

// directoryChanged is called by the directory.
func (n *Node) directoryChanged() {
	if n.dir == nil {
		return
	}
	n.mu.Lock()
	for s, h := range n.holds {
		if m, owned, _ := n.dir.Lookup(s); !owned || m.Name != h.node {
			delete(n.holds, s) // Its owner has given it up.
		}
	}
	n.mu.Unlock()
	n.links.update(n.dir.Members())
	n.broadcast()
}

// fenced is called by the directory when the lease is not good any more.
func (n *Node) fenced(cause error) {
	n.dropAll(Unavailable.Errorf("the node %s has lost its lease: %w", n.opts.Name, cause))
}

// lost is called by the directory when a shard of this node has another owner, or none.
func (n *Node) lost(s directory.Shard) {
	for _, p := range n.slotsOf(func(p *slot) bool { return p.shard == s }) {
		p.drop(Unavailable.Errorf("the node %s has lost the object", n.opts.Name))
	}
}

func (n *Node) dropAll(cause error) {
	for _, p := range n.slotsOf(func(*slot) bool { return true }) {
		p.drop(cause)
	}
}

func (n *Node) slotsOf(want func(*slot) bool) []*slot {
	n.mu.Lock()
	defer n.mu.Unlock()
	var some []*slot
	for _, p := range n.slots {
		if want(p) {
			some = append(some, p)
		}
	}
	return some
}

func (n *Node) refsOf(want func(*Ref) bool) []*Ref {
	n.mu.Lock()
	defer n.mu.Unlock()
	var some []*Ref
	for _, w := range n.refs {
		if r := w.Value(); r != nil && want(r) {
			some = append(some, r)
		}
	}
	return some
}

// offers returns a kind, nil if the node does not offer it.
func (n *Node) offers(name string) *kind {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kinds[name]
}

// slot returns the place of an object on this node, nil if the node does not offer the kind.
func (n *Node) slot(key objectKey) *slot {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.slots[key]
	if k := n.kinds[key.kind]; p == nil && k != nil {
		p = newSlot(n, k, key)
		n.slots[key] = p
	}
	return p
}

// removeSlot takes a slot out of the table, if it is there.
func (n *Node) removeSlot(p *slot) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.slots[p.key] == p {
		delete(n.slots, p.key)
	}
}

// isHeld reports whether calls to the objects of a shard wait.
func (n *Node) isHeld(s directory.Shard) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, held := n.holds[s]
	return held
}

// errorOf is what a caller sees of an error of this package.
func errorOf(err error) error {
	switch {
	case err == nil, errors.Is(err, Unavailable), errors.Is(err, NodeLost):
		return err
	}
	return Unavailable.Wrap(err)
}
