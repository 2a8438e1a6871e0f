package cluster

import (
	"context"
	"fmt"
	"runtime"
	"weak"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster/internal/directory"
	"github.com/perspectivebroker/pb/flavors"
)

// linkService is what another node calls over a link.
type linkService struct {
	flavors.Referenceable
	node *Node
	conn *broker.Conn
	peer string // empty until the node has said hello
}

// RemoteHello is the first call of a node that has connected. Its name is that of its certificate, which is not known
// before the handshake.
func (s *linkService) RemoteHello(name string) (string, error) {
	state := s.conn.TLS()
	if state == nil {
		return "", flavors.Unauthorized.New("a link needs TLS")
	}
	peer, until, err := s.node.id.peer(*state)
	switch {
	case err != nil:
		return "", flavors.Unauthorized.Wrap(err)
	case peer != name:
		return "", flavors.Unauthorized.Errorf("the node %q has a certificate for %q", name, peer)
	case peer == s.node.opts.Name:
		return "", flavors.Unauthorized.Errorf("%q is the name of this node", name)
	case s.peer != "":
		return "", flavors.Unauthorized.New("the node has said hello before")
	}
	k, err := s.node.links.add(peer, s.conn, until)
	if err != nil {
		return "", Unavailable.Wrap(err)
	}
	s.peer = peer
	context.AfterFunc(s.conn.Context(), func() { s.node.links.remove(k) })
	return s.node.opts.Name, nil
}

// RemotePlace returns a reference to an object of this node, for a user of the other node.
func (s *linkService) RemotePlace(kind, id, user, gateway string) (*actor.Deferred, error) {
	if s.peer == "" {
		return nil, flavors.Unauthorized.New("say hello first")
	}
	d := actor.NewDeferred(s.node.rt)
	key := objectKey{kind, id}
	started := s.node.rt.Go("placing an object", func() {
		ctx, cancel := context.WithTimeout(s.node.ctx, PlacingTimeout)
		defer cancel()
		if err := s.node.claim(ctx, key); err != nil {
			d.Complete(nil, elsewhere.Wrap(err))
			return
		}
		p := s.node.slot(key) // A kind that is offered stays so.
		d.Complete(map[string]any{
			"ref":         p.handle(User{user, gateway}),
			"incarnation": int64(s.node.dir.Lease()),
			"per_user":    p.kind.viewable,
		}, nil)
	})
	if !started {
		return nil, elsewhere.Wrap(ErrLeft)
	}
	return d, nil
}

// RemoteQuiesce has this node send no more calls to the objects of shards that the other node gives up. They wait
// until the shards have another owner, and so do those that the link has not sent because a caller does not read. The
// answer follows all calls that were sent before.
func (s *linkService) RemoteQuiesce(kinds []string, numbers []int) error {
	if s.peer == "" || len(kinds) != len(numbers) {
		return flavors.Unauthorized.New("say hello first")
	}
	shards := map[directory.Shard]struct{}{}
	for i := range kinds {
		shards[directory.Shard{Kind: kinds[i], Number: numbers[i]}] = struct{}{}
	}
	s.node.holdShards(s.peer, shards)
	s.node.takeBack(shards)
	return nil
}

// takeBack has the calls to the objects of shards come back that links have not sent.
func (n *Node) takeBack(shards map[directory.Shard]struct{}) {
	var sent []*flavors.RemoteReference
	for _, r := range n.refsOf(func(r *Ref) bool { _, ok := shards[r.shard]; return ok }) {
		sent = append(sent, r.linkRefs()...)
	}
	flavors.TakeBack(sent...)
}

// RemoteGone says that the connection has ended on which the other node had an object that it has passed on to this
// one.
func (s *linkService) RemoteGone(ref *flavors.RemoteReference) error {
	defer ref.Release()
	if s.peer == "" || ref.Conn() != flavors.Conn(s.conn) {
		return flavors.Unauthorized.New("the object is not of this link")
	}
	flavors.EndReference(ref, errClientGone)
	return nil
}

// holdShards makes calls to the objects of shards wait.
func (n *Node) holdShards(owner string, shards map[directory.Shard]struct{}) {
	n.passing.Lock()
	n.mu.Lock()
	for s := range shards {
		n.holds[s] = hold{owner}
	}
	n.mu.Unlock()
	n.passing.Unlock()
	// What the directory has seen already does not come again.
	n.directoryChanged()
}

// claim makes this node the owner of an object's shard, if it should be.
func (n *Node) claim(ctx context.Context, key objectKey) error {
	shard := directory.ShardOf(key.kind, key.id)
	switch {
	case n.offers(key.kind) == nil:
		return fmt.Errorf("the node %s does not offer the kind %q", n.opts.Name, key.kind)
	case n.isEnding(shard):
		return fmt.Errorf("the node %s gives up %s %q", n.opts.Name, key.kind, key.id)
	}
	_, err := n.dir.Acquire(ctx, shard)
	return err
}

// handle is what another node has a reference to: an object of this node under a user. It outlives slots, so that the
// reference stays good.
type handle struct{ placed }

// placed is a Relay to a placed object.
type placed struct{ *flavors.Relay }

// placedClass is the class of references to placed objects. A node hands out any number of them.
const placedClass = "perspectivebroker.cluster.Placed"

// ReferenceClass is the class of references to the object.
func (placed) ReferenceClass() (class string, extras []any) { return placedClass, nil }

// handle returns the same handle as long as the slot is there and the other node holds it.
func (p *slot) handle(user User) *handle {
	if !p.kind.viewable {
		user = User{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.handles[user].Value(); h != nil {
		return h
	}
	n, key := p.node, p.key
	h := &handle{}
	h.Relay = flavors.NewRelay(func(inv *flavors.Invocation) {
		if !n.enter(key, slotCall{inv: inv, user: user}) {
			inv.Answer(nil, Unavailable.Errorf("the node %s does not offer the kind %q", n.opts.Name, key.kind))
		}
	})
	p.handles[user] = weak.Make(h)
	runtime.AddCleanup(h, p.forgetHandle, user)
	return h
}

// forgetHandle is called when a handle is in use no more.
func (p *slot) forgetHandle(user User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h, ok := p.handles[user]; ok && h.Value() == nil {
		delete(p.handles, user)
	}
	if p.state == slotEmpty && len(p.handles) == 0 { // No call came.
		p.emptyLocked()
	}
}
