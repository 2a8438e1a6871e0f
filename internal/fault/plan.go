package fault

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// End is how a connection fails.
type End uint8

// The ways in which a connection fails.
const (
	Whole     End = iota // it does not fail
	Drop                 // closed in both directions, possibly in the middle of a write
	Reset                // closed with a TCP reset where the socket supports it; data in flight is lost
	HalfClose            // the write side is closed; later writes are discarded, reading continues
	Blackhole            // everything is discarded in both directions; neither side gets an error
	ends
)

func (e End) String() string {
	if e < ends {
		return [ends]string{"whole", "drop", "reset", "half-close", "blackhole"}[e]
	}
	return fmt.Sprintf("end %d", uint8(e))
}

// Plan says how one connection behaves.
type Plan struct {
	Seed  uint64        // seeds the piece sizes and the delays
	Piece int           // maximum bytes per read or write of the wrapped connection; 0 means no limit
	Delay time.Duration // maximum pause before a read or write, for the first 500 in each direction; 0 means none
	End   End           // how the connection fails
	After int64         // End happens after this many bytes, reads and writes together
}

// String describes the plan for failure messages.
func (p Plan) String() string {
	return fmt.Sprintf("pieces of %d, delays of %v, %v after %d bytes (seed %d)",
		p.Piece, p.Delay, p.End, p.After, p.Seed)
}

// Draw draws a plan from r with delays up to delay. One in three plans is [Whole]. The others fail within the first
// 64 KiB, most of them within the first 1 KiB, where the negotiation and the first calls are.
func Draw(r *rand.Rand, delay time.Duration) Plan {
	p := Plan{Seed: r.Uint64()}
	if r.IntN(2) == 0 {
		p.Piece = 1 + r.IntN(200)
	}
	if delay > 0 && r.IntN(2) == 0 {
		p.Delay = time.Duration(1 + r.Int64N(int64(delay)))
	}
	if r.IntN(3) > 0 {
		p.End = Drop + End(r.IntN(int(ends-Drop)))
		p.After = r.Int64N(64 << (10 * r.IntN(2)))
		if r.IntN(2) == 0 {
			p.After = r.Int64N(1 << 10)
		}
	}
	return p
}
