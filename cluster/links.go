package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster/internal/directory"
	"github.com/perspectivebroker/pb/cluster/store"
	"github.com/perspectivebroker/pb/flavors"
)

// Times of links.
const (
	linkIdle     = time.Second
	linkSilence  = LinkTimeout - linkIdle
	linkDeadline = 2 * time.Second // for connecting
	redialFirst  = 20 * time.Millisecond
	redialMost   = time.Second
)

// linkLimits are those between nodes, which trust each other and speak for many clients.
func linkLimits() broker.Limits {
	l := broker.DefaultLimits()
	l.Exports, l.Imports, l.Caches = 1<<20, 1<<20, 1<<20
	l.CallsIn, l.CallsOut = 1<<20, 1<<20
	l.BytesIn = 64 << 20
	return l
}

// links has the connections to other nodes: one for each, which the node with the lesser name makes.
type links struct {
	node     *Node
	listener *broker.Listener
	ready    chan struct{} // closed when links are accepted

	mu sync.Mutex
	// Guarded by mu.
	up      map[string]*link
	dialing map[string]struct{} // by the node's name
	closed  bool
}

// link is a connection to another node.
type link struct {
	node *Node
	peer string
	conn *broker.Conn
}

func newLinks(n *Node) (*links, error) {
	l := &links{node: n, ready: make(chan struct{}), up: map[string]*link{}, dialing: map[string]struct{}{}}
	root := broker.RootFactory(func(conn *broker.Conn) (any, error) {
		select {
		case <-l.ready:
			return &linkService{node: n, conn: conn}, nil
		case <-n.ctx.Done():
			return nil, ErrLeft
		}
	})
	var err error
	l.listener, err = broker.Listen(n.rt, n.opts.Listen, root, l.options(), broker.WithTLS(n.id.listener()))
	if err != nil {
		return nil, fmt.Errorf("cluster: links: %w", err)
	}
	return l, nil
}

func (l *links) options() broker.Option {
	return broker.WithOptions(
		broker.WithRelaying(), broker.WithLimits(linkLimits()), broker.WithKeepalive(linkIdle, linkSilence),
		broker.WithRegistry(l.node.registry), broker.WithLostAs(NodeLost), broker.WithOriginEnded(tellGone),
		l.node.substitutes(), broker.WithFreeClass(placedClass),
	)
}

// tellGone tells another node that a client is gone whose object it has a reference to.
func tellGone(conn *broker.Conn, gone flavors.Gone) {
	err := flavors.Send(conn.Context(), conn.Root(), "gone", gone)
	if err != nil && conn.Context().Err() == nil {
		conn.Logger().Warn().Err(err).Msg("cluster: cannot tell a node that a client is gone")
	}
}

func (l *links) url() string { return l.listener.URL() }

func (l *links) accept() { close(l.ready) }

func (l *links) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.up)
}

// get returns the link to a node, nil if there is none.
func (l *links) get(peer string) *link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up[peer]
}

func (l *links) all() []*link {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*link
	for _, k := range l.up {
		all = append(all, k)
	}
	return all
}

// update connects to the members that this node has to connect to.
func (l *links) update(members []directory.Member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range members {
		if _, busy := l.dialing[m.Name]; busy || l.closed || m.Name <= l.node.opts.Name {
			continue
		}
		l.dialing[m.Name] = struct{}{}
		l.node.work.Go(func() { l.dial(m.Name) })
	}
}

// dial keeps a link up as long as there is the member.
func (l *links) dial(peer string) {
	pause := redialFirst
	for l.node.ctx.Err() == nil {
		m, ok := l.member(peer)
		if !ok {
			return
		}
		k, err := l.connect(m)
		if err == nil {
			pause = redialFirst
			<-k.conn.Done()
			l.remove(k)
			continue
		}
		level := zerolog.DebugLevel
		if pause == redialFirst && l.node.ctx.Err() == nil { // Once is enough.
			level = zerolog.WarnLevel
		}
		l.node.log.WithLevel(level).Err(err).Str("peer", peer).Msg("cluster: cannot connect to a node; trying again")
		select {
		case <-time.After(pause):
		case <-l.node.ctx.Done():
		}
		pause = min(2*pause, redialMost)
	}
}

// member returns a member. If there is none, dialing it is over.
func (l *links) member(peer string) (directory.Member, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, ok := l.node.dir.Member(peer)
	if !ok {
		delete(l.dialing, peer)
	}
	return m, ok
}

func (l *links) connect(m directory.Member) (*link, error) {
	ctx, cancel := context.WithTimeout(l.node.ctx, linkDeadline)
	defer cancel()
	service := broker.RootFactory(func(conn *broker.Conn) (any, error) {
		return &linkService{node: l.node, conn: conn, peer: m.Name}, nil
	})
	conn, err := broker.Dial(ctx, l.node.rt, m.Address,
		l.options(), broker.WithTLS(l.node.id.dialer(m.Name)), broker.WithPublished("root", service))
	if err != nil {
		return nil, err
	}
	if _, err := flavors.Call[string](ctx, conn.Root(), "hello", l.node.opts.Name); err != nil {
		conn.Abort(err)
		return nil, fmt.Errorf("greeting the node %s: %w", m.Name, err)
	}
	_, until, err := l.node.id.peer(*conn.TLS())
	if err != nil {
		conn.Abort(err)
		return nil, err
	}
	return l.add(m.Name, conn, until)
}

// add notes a connection to a node, whose certificate is good until a time. It replaces an earlier one, which the other
// node knows to have ended.
func (l *links) add(peer string, conn *broker.Conn, until time.Time) (*link, error) {
	k := &link{node: l.node, peer: peer, conn: conn}
	l.mu.Lock()
	old, closed := l.up[peer], l.closed
	if !closed {
		l.up[peer] = k
	}
	l.mu.Unlock()
	switch {
	case closed:
		conn.Abort(ErrLeft)
		return nil, ErrLeft
	case old != nil:
		old.conn.Abort(errors.New("cluster: the node has connected anew"))
	}
	k.watchExpiry(until)
	l.node.log.Info().Str("peer", peer).Msg("cluster: link up")
	l.node.broadcast()
	return k, nil
}

// remove notes that a link has ended.
func (l *links) remove(k *link) {
	l.mu.Lock()
	if l.up[k.peer] == k {
		delete(l.up, k.peer)
	}
	l.mu.Unlock()
	l.node.log.Info().Str("peer", k.peer).AnErr("cause", context.Cause(k.conn.Context())).Msg("cluster: link lost")
	l.node.broadcast()
}

func (l *links) close(cause error) {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	_ = l.listener.Close()
	for _, c := range l.listener.Conns() {
		c.Abort(cause)
	}
	for _, k := range l.all() {
		k.conn.Abort(cause)
	}
}

// shutdown ends the links in good order.
func (l *links) shutdown(ctx context.Context) {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	_ = l.listener.Close()
	var closing sync.WaitGroup
	for _, k := range l.all() {
		closing.Go(func() { _ = k.conn.Close(ctx) }) // It ends in any case.
	}
	closing.Wait()
}

// place asks the node for a reference to an object that it owns.
func (k *link) place(ctx context.Context, key objectKey, user User) (
	ref *flavors.RemoteReference, incarnation store.LeaseID, perUser bool, err error,
) {
	type answer struct {
		Ref         *flavors.RemoteReference `pb:"ref"`
		Incarnation int64                    `pb:"incarnation"`
		PerUser     bool                     `pb:"per_user"`
	}
	p, err := flavors.Call[answer](ctx, k.conn.Root(), "place", key.kind, key.id, user.Name, user.Gateway)
	return p.Ref, store.LeaseID(p.Incarnation), p.PerUser, err
}

// quiesce has the node send no more calls to the objects of shards. When it returns, all calls that it had sent before
// have arrived.
func (k *link) quiesce(ctx context.Context, kinds []string, numbers []int) error {
	_, err := flavors.Call[any](ctx, k.conn.Root(), "quiesce", kinds, numbers)
	return err
}
