package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/cluster/internal/directory"
)

// shardsAtOnce is how many shards move at a time when a node joins.
const shardsAtOnce = 32

// handOverTimeout is how long objects may take to finish their calls and to save their state when they move.
const handOverTimeout = time.Minute

// Leave ends the node in order: it takes no more objects, its objects finish their calls and save their state, and
// other nodes place them. Calls wait meanwhile, and do not fail. It returns when the node has left, or ctx has ended;
// then what was not done is dropped. Shut down the listeners for clients before.
func (n *Node) Leave(ctx context.Context) error { return n.leave(ctx, ErrLeft) }

func (n *Node) leave(ctx context.Context, cause error) error {
	n.mu.Lock()
	left := n.left
	n.left = true
	n.mu.Unlock()
	if left {
		return ErrLeft
	}
	defer n.end(cause)
	err := n.dir.SetLeaving(ctx)
	if err == nil {
		n.handing.Lock()
		n.handOver(ctx, ctx, n.dir.AllOwned())
		n.handing.Unlock()
		n.drainRefs(ctx)
		err = n.dir.Revoke(ctx)
	}
	n.links.shutdown(ctx)
	return err
}

// drainRefs waits until calls of this node's own clients have found the new places of their objects.
func (n *Node) drainRefs(ctx context.Context) {
	for n.Stats().Waiting > 0 && ctx.Err() == nil {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// rebalance hands over what another node should own, whenever the cluster changes.
func (n *Node) rebalance() {
	for n.ctx.Err() == nil {
		change := n.change()
		if n.handOverSome() {
			continue
		}
		select {
		case <-change:
		case <-n.ctx.Done():
		}
	}
}

// handOverSome hands over some of what another node should own. It reports false if there is nothing.
func (n *Node) handOverSome() bool {
	n.handing.Lock()
	defer n.handing.Unlock()
	some := n.dir.Misplaced()
	if len(some) == 0 || !n.dir.Admit() {
		return false
	}
	ctx, cancel := context.WithTimeout(n.ctx, handOverTimeout)
	defer cancel()
	n.handOver(ctx, n.ctx, some[:min(len(some), shardsAtOnce)])
	return true
}

// handOver gives up shards without a failed call: nodes stop sending calls to their objects, what has arrived is
// carried out, the objects end, and the shards are free. ctx bounds how long objects may take, releasing how long the
// store may.
func (n *Node) handOver(ctx, releasing context.Context, shards []directory.Shard) {
	if len(shards) == 0 {
		return
	}
	n.setEnding(shards, true)
	defer n.setEnding(shards, false)
	given := map[directory.Shard]struct{}{}
	var kinds []string
	var numbers []int
	for _, s := range shards {
		given[s] = struct{}{}
		kinds, numbers = append(kinds, s.Kind), append(numbers, s.Number)
	}
	n.holdShards(n.opts.Name, given)
	var asked sync.WaitGroup
	for _, k := range n.links.all() {
		asked.Go(func() {
			if err := k.quiesce(ctx, kinds, numbers); err != nil {
				n.log.Warn().Err(err).Str("peer", k.peer).Msg("cluster: a node has not confirmed that objects move")
			}
		})
	}
	asked.Wait()
	var ending sync.WaitGroup
	for _, p := range n.slotsOf(func(p *slot) bool { _, ok := given[p.shard]; return ok }) {
		ending.Go(func() { p.passivate(ctx, nil) })
	}
	ending.Wait()
	var giving sync.WaitGroup
	for _, s := range shards {
		giving.Go(func() {
			if err := n.dir.Release(releasing, s); err != nil {
				n.log.Warn().Err(err).Str("kind", s.Kind).Int("shard", s.Number).Msg("cluster: cannot give up a shard")
			}
		})
	}
	giving.Wait()
}

func (n *Node) setEnding(shards []directory.Shard, ending bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range shards {
		if ending {
			n.ending[s] = struct{}{}
		} else {
			delete(n.ending, s)
		}
	}
}

func (n *Node) isEnding(s directory.Shard) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ending := n.ending[s]
	return ending
}
