package flavors

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// fanOutPart is how many observers a goroutine takes at a time.
const fanOutPart = 16

// fanOut is an update that as many goroutines as there are processors send to many observers. Each connection gets it
// on one of them, which does not wait for the peer.
type fanOut struct {
	observers []*Observer
	method    string
	encoded   encodedFor

	next atomic.Int64 // the index of the first observer that no goroutine has taken
	left atomic.Bool  // there are observers that need something other than the encoded bytes
}

// send returns when all observers that take the encoded bytes have got them.
func (f *fanOut) send() {
	var helpers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(f.observers)/fanOutPart) - 1 {
		helpers.Go(f.sendParts)
	}
	f.sendParts()
	helpers.Wait()
}

// sendParts sends to one part of the observers after the other, until none is left.
func (f *fanOut) sendParts() {
	for {
		to := int(f.next.Add(fanOutPart))
		from := to - fanOutPart
		if from >= len(f.observers) {
			return
		}
		for _, o := range f.observers[from:min(to, len(f.observers))] {
			f.sendTo(o)
		}
	}
}

func (f *fanOut) sendTo(o *Observer) {
	switch {
	case o.hasEnded():
	case o.follow != nil, o.conn.Encoding() != f.encoded.kind:
		f.left.Store(true)
	default:
		call := o.newCall(f.method)
		call.Encoded = f.encoded.bytes
		_ = o.conn.SendCall(call)
	}
}
