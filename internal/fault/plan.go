package fault

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// End is how a connection fails.
type End uint8

// The ways to fail.
const (
	Whole     End = iota // it does not
	Drop                 // closed in both directions, in the middle of a write
	Reset                // closed with a reset, where the socket can do that: what was on its way is lost
	HalfClose            // nothing more is sent, and the peer is told so; reading goes on
	Blackhole            // nothing more arrives on either side, and nobody is told
	ends
)

func (e End) String() string {
	if e < ends {
		return [ends]string{"whole", "drop", "reset", "half-close", "blackhole"}[e]
	}
	return fmt.Sprintf("end %d", uint8(e))
}

// Plan is what happens to one connection.
type Plan struct {
	Seed  uint64        // of the sizes of pieces and of the delays
	Piece int           // what is written and read goes in pieces of up to so many bytes; 0 for as it comes
	Delay time.Duration // before each of the first pieces there is a pause of up to this; 0 for none
	End   End
	After int64 // the byte at which End happens, of those that were written and read together
}

// String describes the plan for the message of a test that failed.
func (p Plan) String() string {
	return fmt.Sprintf("pieces of %d, delays of %v, %v after %d bytes (seed %d)", p.Piece, p.Delay, p.End, p.After, p.Seed)
}

// Draw makes a plan of random numbers. One in three connections stays whole; the others fail somewhere in their first 64 KiB, half of them in
// the first 1 KiB, where the negotiation and the first calls are.
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
