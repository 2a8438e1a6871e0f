package flavors

import (
	"sync"
	"sync/atomic"
)

// held counts what the peer has counted for a handle of ours: how often it was received, and by how many actors it is linked. With the
// last receipt given back the handle is dead.
type held struct {
	mu sync.Mutex
	// Guarded by mu.
	receipts int
	links    int

	released atomic.Bool // written under mu; every call looks at it
}

// received notes one more receipt; false means that the handle has been released meanwhile, and a new one is due.
func (h *held) received() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released.Load() {
		return false
	}
	h.receipts++
	return true
}

// giveBack takes receipts that the peer is to be told of. The function runs under the lock. dead says that these were the last.
func (h *held) giveBack(howMany func(*held) int) (n int, dead bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released.Load() {
		return 0, false
	}
	n = howMany(h)
	h.receipts -= n
	dead = h.receipts <= 0
	h.released.Store(dead)
	return n, dead
}

func (h *held) isReleased() bool { return h.released.Load() }

func (h *held) link() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.links++
}

// What giveBack is asked for.
func oneReceipt(*held) int    { return 1 }
func allReceipts(h *held) int { return h.receipts }

// unlinked is the end of one link: the last one lets everything go.
func unlinked(h *held) int {
	h.links--
	if h.links > 0 {
		return 0
	}
	return h.receipts
}
