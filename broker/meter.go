package broker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// The bytes that peers have under way with us are metered, per connection and for the whole runtime: calls that are not
// answered, what else was read and is not carried out yet, and what waits to be written. For the connection a call
// counts the bytes of its frame, in the total what it takes in memory at most once it is decoded, which is many times
// that where values are small.
//
// When too much waits to be written to a peer its calls are parked (flavors.BrokerConn), and when too many bytes of its
// calls are unanswered reading pauses, which holds up an honest peer as little as a slow network would. Two peers that
// both pause would never go on, and calls may wait for answers that the peer sends behind others which we do not read:
// so the pause ends after a while, and then further calls are refused with Busy. A peer that does not read and goes on
// for so long that even the refusals pile up is left.

const (
	// commandSize is what a command takes beside its values, roughly.
	commandSize = 256
	// easeTime is how long reading pauses for calls that are not answered before it goes on by one read.
	easeTime = 200 * time.Millisecond
	// dropWaters is how many times Limits.PauseWater of answers may wait. Only those get so far that come later than their
	// method returned: of calls that are parked there are none.
	dropWaters = 4
	// congestedEaseTime is how long a peer that is slow to read may take for the next piece before that is so.
	congestedEaseTime = 2 * time.Second
	// roomPatience is how long reading pauses for room to decode a large call before it is refused.
	roomPatience = 2 * time.Second
)

// meter counts the bytes of one connection's calls that are not answered, and of all that was read and is not carried
// out. What that is in memory has been taken from the connection's account.
type meter struct {
	account *account
	eased   chan struct{} // a token when the count has fallen; buffered
	read    atomic.Int64  // weight of what the broker was handed and has not carried out

	mu sync.Mutex
	// Guarded by mu.
	bytes  int
	weight int
}

func newMeter(account *account) *meter {
	return &meter{account: account, eased: make(chan struct{}, 1)}
}

// begun counts a call whose weight has been taken.
func (m *meter) begun(bytes, weight int) {
	m.mu.Lock()
	m.bytes += bytes
	m.weight += weight
	m.mu.Unlock()
}

// answered gives back what a call was counted for.
func (m *meter) answered(bytes, weight int) {
	m.mu.Lock()
	m.bytes -= bytes
	m.weight -= weight
	m.mu.Unlock()
	m.account.add(-weight)
	select {
	case m.eased <- struct{}{}:
	default:
	}
}

// ahead counts what is about to be handed to the broker.
func (m *meter) ahead(in *batch) { m.read.Add(int64(in.weight)) }

// carriedOut is the opposite. What is no call is given back.
func (m *meter) carriedOut(in *batch) {
	m.read.Add(int64(-in.weight))
	m.account.add(-in.others)
}

// count is how many bytes the calls have on the wire, weight what they count for in the runtime's total.
func (m *meter) count() (bytes, weight int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes, m.weight
}

// waitEased waits until so many calls have been answered that it is easy, for some time at the most, and reports
// whether that is so.
func (m *meter) waitEased(ctx context.Context, easy func() bool, patience time.Duration) bool {
	if easy() {
		return true
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for !easy() {
		select {
		case <-m.eased:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return true
		}
	}
	return true
}

// crowded reports whether those that the connection shares its part of the total with have too much under way.
func (c *connection) crowded() bool { return c.account.crowded() }

// ration is a limit of the connection as it is now: no more than its share while it is crowded.
func (c *connection) ration(limit, share int) int {
	if c.crowded() {
		return min(share, limit)
	}
	return limit
}

func (c *connection) share() int { return int(c.account.b.share()) }

// pauseWater is how many bytes may wait to be written before reading pauses now.
func (c *connection) pauseWater() int {
	limit := c.ration(c.limits.PauseWater, c.share())
	if c.account.stranger.Load() {
		return min(limit, leastShare) // Nothing that a stranger is told is longer.
	}
	return limit
}

// highWater is how many bytes may wait to be written before our own calls wait or fail now.
func (c *connection) highWater() int { return c.ration(c.limits.HighWater, c.share()) }

// bytesIn is how many bytes of calls may be unanswered now before more are refused.
func (c *connection) bytesIn() int { return c.ration(c.limits.BytesIn, c.share()) }

// mayImport is how many of the peer's objects this side may hold now.
func (c *connection) mayImport() int { return c.ration(c.limits.Imports, importShare) }

// tooMuchIn says why no further call is taken. What was read and not looked at does not count here.
func (c *connection) tooMuchIn() Reason {
	switch crowded := c.crowded(); {
	case crowded && c.takenWeight.Load() > int64(c.bytesIn()):
		return RefusedTotal
	case !crowded && c.taken.Load() > int64(c.bytesIn()):
		return RefusedBytesIn
	}
	return NotRefused
}

// easy says that so few bytes of calls are unanswered that reading need not slow down.
func (c *connection) easy() bool {
	bytes, weight := c.in.count()
	if c.crowded() {
		bytes = weight
	}
	return bytes <= c.bytesIn()/4
}

// count has the command that was read last counted, for which weight has been taken: a call until it is answered,
// anything else until it is carried out.
func (c *connection) count(in *batch, bytes, weight int) {
	in.weight += weight
	if cmd := &in.commands[len(in.commands)-1]; cmd.IsCall() {
		cmd.size, cmd.weight = bytes, weight
		c.in.begun(bytes, weight)
	} else {
		in.others += weight
	}
}

// Congested implements flavors.BrokerConn.
func (c *connection) Congested() bool { return !c.over.Load() && c.out.waiting() > c.pauseWater() }

// WhenClear implements flavors.BrokerConn.
func (c *connection) WhenClear(f func()) { c.out.whenClear(f) }

// mayRead waits until there is room for what the peer may send next. A peer that does not read its answers has its
// calls parked, so that there will be no more of them.
func (c *connection) mayRead() {
	c.account.yield()
	c.waitCarriedOut()
	if c.in.waitEased(c.ctx, c.easy, easeTime) {
		return
	}
	// While it reads, however slowly, its calls had better wait in the network than be refused.
	for before := c.bytesOut.Load(); c.Congested(); before = c.bytesOut.Load() {
		if c.in.waitEased(c.ctx, c.easy, congestedEaseTime) || c.bytesOut.Load() == before {
			return
		}
	}
}

// patience is how long reading pauses for so much room before a call is refused. What is small waits for room in the
// connection's own share.
func (c *connection) patience(n int) time.Duration {
	if n <= c.share() {
		return easeTime
	}
	return roomPatience
}

// behind says that so much was read which is not carried out that nothing more is read.
func (c *connection) behind() bool { return c.in.read.Load() > int64(c.bytesIn()) }

// waitCarriedOut waits while the broker is behind, as it is for long only where the application's code that makes
// copies takes its time. That code waits for nothing that is still to be read: it would stand behind the copy itself.
func (c *connection) waitCarriedOut() {
	if !c.behind() {
		return
	}
	again := time.NewTicker(roomTime)
	defer again.Stop()
	for c.behind() {
		select {
		case <-again.C:
		case <-c.ctx.Done():
			return
		}
	}
}

// refusals is how many bytes may wait to be written before a peer that has to be answered with another refusal is left.
func (c *connection) refusals() int { return 2 * c.pauseWater() }
