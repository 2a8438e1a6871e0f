package broker

import (
	"runtime"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
)

// A peer keeps an object as long as this side has a handle on it, and may hand out a limited number of objects: 1,024
// if it is a stock peer. The garbage collector finds handles that are not in use any more, but it runs as the heap
// grows, and a handle is small: with a large heap, thousands of them would be made between two collections. So each
// broker counts the handles that were made since the last collection. When they are a quarter of what the peer may have
// left, the broker requests a collection. When they are half of it, the broker handles no command that brings more
// until the collection is over. Handles that turn out to be in use raise the marks, so a program that keeps its
// references causes few collections.

const (
	// peerReferences is how many objects a stock peer hands out, and how many caches.
	peerReferences = 1024
	// minCollect and minPause are the smallest numbers of new handles at which a collection is requested, and waited for.
	minCollect, minPause = 4, 8
)

// collector runs the collections that brokers request, one at a time. It rests after each for as long as that took. So
// a peer that keeps bringing references costs at most half of the time of collections in a row, whatever the size of
// the heap.
type collector struct {
	rt *actor.Runtime

	mu sync.Mutex
	// Guarded by mu.
	waiting []func()
	running bool
}

type collectorKey struct{}

func collectorOf(rt *actor.Runtime) *collector {
	return rt.Extension(collectorKey{}, func() any { return &collector{rt: rt} }).(*collector)
}

// request calls done after a collection that began after the request, or at once if the runtime is closing.
func (k *collector) request(done func()) {
	k.mu.Lock()
	k.waiting = append(k.waiting, done)
	start := !k.running
	k.running = true
	k.mu.Unlock()
	if start && !k.rt.Go("collecting references", k.run) {
		k.giveUp()
	}
}

// run runs collections until there are no requests.
func (k *collector) run() {
	for {
		k.mu.Lock()
		waiting := k.waiting
		k.waiting = nil
		k.running = len(waiting) > 0
		k.mu.Unlock()
		if len(waiting) == 0 {
			return
		}
		began := time.Now()
		runtime.GC()
		took := time.Since(began)
		for _, done := range waiting {
			done()
		}
		k.rest(took)
	}
}

// rest waits for d, unless the runtime closes.
func (k *collector) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.rt.Closing():
	}
}

// giveUp answers the requests without a collection.
func (k *collector) giveUp() {
	k.mu.Lock()
	waiting := k.waiting
	k.waiting, k.running = nil, false
	k.mu.Unlock()
	for _, done := range waiting {
		done()
	}
}

// collectMarks has the marks for one kind of handle. It belongs to the broker actor.
type collectMarks struct {
	kept int // how many handles there were after the last collection
}

// reached reports whether a collection is to be requested, and whether it is to be waited for. have is how many handles
// there are, limit how many there may be, and coming how many calls are under way whose answers may bring more.
func (m *collectMarks) reached(have, limit, coming int) (collect, pause bool) {
	m.kept = min(m.kept, have) // Handles that were released one by one make room.
	most, longest := min(limit, peerReferences), peerReferences
	if m.kept >= most {
		// This is no stock peer, and what it may hand out is not known.
		most, longest = limit, max(peerReferences, 2*m.kept)
	}
	room := min(most-m.kept, longest)
	room -= max(0, min(coming, room/2))
	return have >= m.kept+max(room/4, minCollect), have >= m.kept+max(room/2, minPause)
}
