package broker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/banana"
)

// The bytes that peers have under way with us are metered, per connection and for the whole runtime: calls that are not answered, what
// else was read and is not carried out yet, and what waits to be written. For the connection a call counts the bytes of its frame, in the total
// roughly what it takes in memory, which is many times that where values are small.
//
// When too much waits to be written to a peer its calls are parked, see flavors.Conn, and when too many bytes of its calls are unanswered
// reading pauses, which holds up an honest peer as little as a slow network would. Two peers that both pause would never go on, and calls
// may wait for answers that the peer sends behind others which we do not read: so the pause ends after a while, and then further calls are
// refused with Busy. A peer that does not read and goes on for so long that even the refusals pile up is left.

const (
	// commandSize and elementSize are what a command, and each element of Banana in it, take in memory besides its bytes, roughly.
	commandSize = 256
	elementSize = 24
	// share is what a connection may have under way when the runtime has too much.
	share = 256 << 10
	// easeTime is how long reading pauses for calls that are not answered before it goes on by one read.
	easeTime = 200 * time.Millisecond
	// dropWaters is how many times Limits.PauseWater of answers may wait. Only those get so far that come later than their method
	// returned: of calls that are parked there are none.
	dropWaters = 4
	// congestedEaseTime is how long a peer that is slow to read may take for the next piece before that is so.
	congestedEaseTime = 2 * time.Second
)

// totalKey finds the runtime's total.
type totalKey struct{}

// totalOf is the number of bytes under way on all connections of a runtime.
func totalOf(rt *actor.Runtime) *atomic.Int64 {
	return rt.Extension(totalKey{}, func() any { return new(atomic.Int64) }).(*atomic.Int64)
}

// meter counts the bytes of one connection's calls that are not answered, and of all that was read and is not carried out.
type meter struct {
	total *atomic.Int64
	eased chan struct{} // a token when the count has fallen; buffered
	read  atomic.Int64  // weight of what the broker was handed and has not carried out

	mu sync.Mutex
	// Guarded by mu.
	bytes  int
	weight int
	others int // of what is no call, read and not carried out
	closed bool
}

func newMeter(total *atomic.Int64) *meter {
	return &meter{total: total, eased: make(chan struct{}, 1)}
}

// add counts a call, or takes it off again.
func (m *meter) add(bytes, weight int) {
	m.mu.Lock()
	if !m.closed {
		m.bytes += bytes
		m.weight += weight
		m.total.Add(int64(weight))
	}
	m.mu.Unlock()
	if bytes < 0 {
		select {
		case m.eased <- struct{}{}:
		default:
		}
	}
}

// ahead counts what is about to be handed to the broker, calls among it.
func (m *meter) ahead(in *batch) {
	m.read.Add(int64(in.weight))
	m.addOthers(in.others)
}

// carriedOut is the opposite.
func (m *meter) carriedOut(in *batch) {
	m.read.Add(int64(-in.weight))
	m.addOthers(-in.others)
}

func (m *meter) addOthers(n int) {
	if n == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.others += n
		m.total.Add(int64(n))
	}
}

// count is how many bytes the calls have on the wire, weight what they count for in the runtime's total.
func (m *meter) count() (bytes, weight int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes, m.weight
}

// close takes everything off the total, when the connection has ended. Methods that run on no longer count.
func (m *meter) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.total.Add(int64(-m.weight - m.others))
	m.bytes, m.weight, m.others = 0, 0, 0
}

// waitEased waits until so many calls have been answered that it is easy, for some time at the most, and reports whether that is so.
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

// crowded says that the runtime as a whole has too much under way.
func (c *Conn) crowded() bool { return c.in.total.Load() > int64(c.limits.Total) }

// ration is a limit of the connection as it is now: no more than its share while the runtime has too much.
func (c *Conn) ration(limit, share int) int {
	if c.crowded() {
		return min(share, limit)
	}
	return limit
}

// pauseWater is how many bytes may wait to be written before reading pauses now.
func (c *Conn) pauseWater() int { return c.ration(c.limits.PauseWater, share) }

// highWater is how many bytes may wait to be written before our own calls wait or fail now.
func (c *Conn) highWater() int { return c.ration(c.limits.HighWater, share) }

// bytesIn is how many bytes of calls may be unanswered now before more are refused.
func (c *Conn) bytesIn() int { return c.ration(c.limits.BytesIn, share) }

// mayImport is how many of the peer's objects this side may hold now.
func (c *Conn) mayImport() int { return c.ration(c.limits.Imports, importShare) }

// tooMuchIn says why no further call is taken. What was read and not looked at does not count here.
func (c *Conn) tooMuchIn() Reason {
	switch crowded := c.crowded(); {
	case crowded && c.takenWeight.Load() > int64(c.bytesIn()):
		return RefusedTotal
	case !crowded && c.taken.Load() > int64(c.bytesIn()):
		return RefusedBytesIn
	}
	return NotRefused
}

// easy says that so few bytes of calls are unanswered that reading need not slow down.
func (c *Conn) easy() bool {
	bytes, weight := c.in.count()
	if c.crowded() {
		bytes = weight
	}
	return bytes <= c.bytesIn()/4
}

// count has the command that was read last counted: a call until it is answered, anything else until it is carried out.
func (c *Conn) count(in *batch, bytes, elements int) {
	weight := bytes + commandSize + elements*elementSize
	in.weight += weight
	if cmd := &in.commands[len(in.commands)-1]; cmd.sym == banana.SymMessage || cmd.sym == banana.SymCacheMessage {
		cmd.size, cmd.weight = bytes, weight
		c.in.add(bytes, weight)
	} else {
		in.others += weight
	}
}

// Congested implements flavors.Conn.
func (c *Conn) Congested() bool { return !c.over.Load() && c.out.waiting() > c.pauseWater() }

// WhenClear implements flavors.Conn.
func (c *Conn) WhenClear(f func()) { c.out.whenClear(f) }

// mayRead waits until there is room for what the peer may send next. A peer that does not read its answers has its calls parked, so
// that there will be no more of them.
func (c *Conn) mayRead() {
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

// behind says that so much was read which is not carried out that nothing more is read.
func (c *Conn) behind() bool { return c.in.read.Load() > int64(c.bytesIn()) }

// waitCarriedOut waits while the broker is behind, as it is for long only where the application's code that makes copies takes its time. That
// code waits for nothing that is still to be read: it would stand behind the copy itself.
func (c *Conn) waitCarriedOut() {
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
func (c *Conn) refusals() int { return 2 * c.pauseWater() }
