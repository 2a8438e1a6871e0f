package cluster

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/cluster/internal/directory"
)

// shardsAtOnce is how many shards move at a time when a node joins.
const shardsAtOnce = 32

// handOverTimeout is how long objects may take to finish their calls and to save their state when they move.
const handOverTimeout = time.Minute

// storeTimeout is how long a node that leaves waits for each answer of the store. Without it other nodes place the
// objects when the lease has ended.
const storeTimeout = 5 * time.Second

// Leave ends the node in order: it takes no more objects, its objects finish their calls and save their state, and
// other nodes place them. Calls wait meanwhile, and do not fail. It returns when the node has left, or ctx has ended;
// then what was not done is dropped. If the store does not answer, the rest is done, a warning is logged, and other
// nodes place the objects when the lease has ended. Shut down the listeners for clients before, with less time than ctx
// has: a client that does not read takes all of it.
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
	told := n.askStore(ctx, "cannot tell the others that this node leaves", n.dir.SetLeaving)
	n.handing.Lock()
	n.handOver(ctx, n.dir.AllOwned(), func(shards []directory.Shard) {
		told = told && n.askStore(ctx, "cannot give up what this node owns", func(ctx context.Context) error {
			return n.release(ctx, shards)
		})
	})
	n.handing.Unlock()
	if told {
		n.drainRefs(ctx)
	}
	n.askStore(ctx, "cannot end the lease of this node", n.dir.Revoke)
	n.links.shutdown(ctx)
	return context.Cause(ctx)
}

// askStore has the store do something for a node that leaves, and reports whether it has.
func (n *Node) askStore(ctx context.Context, failed string, ask func(ctx context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := ask(ctx)
	if err != nil {
		n.log.Warn().Err(err).Msgf("cluster: %s; its objects can be placed when its lease has ended", failed)
	}
	return err == nil
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
	n.handOver(ctx, some[:min(len(some), shardsAtOnce)], func(shards []directory.Shard) {
		if err := n.release(n.ctx, shards); err != nil {
			n.log.Warn().Err(err).Int("shards", len(shards)).Msg("cluster: cannot give up shards")
		}
	})
	return true
}

// handOver gives up shards without a failed call: nodes stop sending calls to their objects, what has arrived is
// carried out, and the objects end. Then release is called. ctx bounds how long objects may take.
func (n *Node) handOver(ctx context.Context, shards []directory.Shard, release func(shards []directory.Shard)) {
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
	release(shards)
}

// release makes shards free.
func (n *Node) release(ctx context.Context, shards []directory.Shard) error {
	failed := make([]error, len(shards))
	var giving sync.WaitGroup
	for i, s := range shards {
		giving.Go(func() { failed[i] = n.dir.Release(ctx, s) })
	}
	giving.Wait()
	return cmp.Or(failed...)
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
