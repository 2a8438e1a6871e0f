package interop

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
)

// The failures of pb+1, and of calls that exceed a limit, as they stand on the wire.
const (
	valueError = `"builtins.ValueError"`
	tooLate    = `"perspectivebroker.DeadlineExceeded"`
	canceled   = `"perspectivebroker.Canceled"`
	busy       = `"perspectivebroker.Busy"`
	noPromise  = `"twisted.spread.pb.Error"`
)

// extended is a stream of a peer that speaks pb+1.
func extended(name string, then outcome, play func(p *wire.Peer)) stream {
	return stream{name: name, pb1: true, then: then, play: play}
}

// extendedSend returns a stream of expressions without an answer.
func extendedSend(name string, then outcome, texts ...string) stream {
	return extended(name, then, func(p *wire.Peer) { p.Write(texts...) })
}

// wantFailure wants an answer that is a failure of a type.
func wantFailure(p *wire.Peer, id int, name string) {
	p.Forget("failure")
	p.Want(fmt.Sprintf(`[error %d $failure]`, id))
	if text := banana.Format(p.Var("failure")); !strings.Contains(text, name) {
		p.Fatalf("the answer to request %d is %.300s, want %s", id, text, name)
	}
}

// addWith is a call with metadata.
func addWith(id int, metadata string) string {
	return fmt.Sprintf(`[message %d root add 1 [tuple %d 1] [dictionary] %s]`, id, id, metadata)
}

// metadataOf returns n entries of about size bytes each.
func metadataOf(n, size int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " [[unicode k%d] [unicode %s]]", i, strings.Repeat("v", max(1, size-30)))
	}
	return `[dictionary` + b.String() + `]`
}

// onEveryCall makes many calls with the same metadata, which the server takes or refuses.
func onEveryCall(name, metadata string, refused bool) stream {
	return extended(name, served, func(p *wire.Peer) {
		for id := 1; id <= 300; id++ {
			p.Write(addWith(id, metadata))
			if refused {
				wantFailure(p, id, valueError)
			} else {
				p.Want(fmt.Sprintf(`[answer %d %d]`, id, id+1))
			}
		}
	})
}

// metadata are floods of what calls carry beside their arguments.
func metadata() []stream {
	return []stream{
		onEveryCall("metadata of 64 entries on every call", metadataOf(64, 100), false),
		onEveryCall("metadata of 65 entries on every call", metadataOf(65, 100), true),
		onEveryCall("metadata of 8 KiB on every call", metadataOf(1, 8000), false),
		onEveryCall("metadata of 9 KiB on every call", metadataOf(1, 9000), true),
		onEveryCall("metadata with keys of 4 KiB", `[dictionary [[unicode `+strings.Repeat("k", 4000)+`] x]]`, false),
		onEveryCall("metadata with a key of 64 KiB", `[dictionary [[unicode `+strings.Repeat("k", 65536)+`] x]]`, true),
		onEveryCall("metadata with a key 64 times", `[dictionary`+strings.Repeat(` [k v]`, 64)+`]`, true),
		onEveryCall("metadata that is nested 200 deep",
			strings.Repeat("[list ", 200)+"1"+strings.Repeat("]", 200), true),
		extended("metadata of half a megabyte", served, func(p *wire.Peer) {
			p.Write(addWith(1, metadataOf(1, 500_000)))
			wantFailure(p, 1, valueError)
		}),
		extended("metadata of 100,000 entries", served, func(p *wire.Peer) {
			p.Write(addWith(1, `[dictionary`+strings.Repeat(` [k v]`, 100_000)+`]`))
			p.Want(`[error 1 _]`) // It is too long, and there may be no room for it.
		}),
		extended("metadata of calls that never end", left, func(p *wire.Peer) {
			for id := 1; id <= 250; id++ { // At about twice as many, reading pauses.
				p.Write(fmt.Sprintf(`[message %d root never 1 [tuple] [dictionary] %s]`, id, metadataOf(60, 120)))
			}
			p.Write(`[message 9000 root add 1 [tuple 1 2] [dictionary]]`)
			p.Want(`[answer 9000 3]`)
		}),
	}
}

// promised are calls on results of other calls.
func promised() []stream {
	odd := func(name string, id any) stream {
		return extended(name, served, func(p *wire.Peer) {
			p.Write(fmt.Sprintf(`[message 1 [promise %v] incr 2 [tuple] [dictionary]]`, id))
			wantFailure(p, 1, noPromise)
			p.Write(fmt.Sprintf(`[message 2 root echo 1 [tuple [list [promise %v]]] [dictionary]]`, id))
			wantFailure(p, 2, noPromise)
		})
	}
	return []stream{
		odd("a promise that was never sent", 99),
		odd("a promise of itself", 1),
		odd("a promise of a negative id", -1),
		odd("a promise of a hundred bits", new(big.Int).Lsh(big.NewInt(1), 100)),
		extended("a promise of the other side", served, func(p *wire.Peer) {
			p.Ignore(`[decref 1]`)
			p.Write(`[message 700 root callback 1 [tuple [remote 1] [unicode m] [list]] [dictionary]]`)
			p.Want(`[message $theirs 1 m 1 [tuple] ...]`)
			p.Write(`[message 701 [promise $theirs] incr 1 [tuple] [dictionary]]`)
			wantFailure(p, 701, noPromise)
			p.Write(`[message 702 root add 1 [tuple 1 [promise $theirs]] [dictionary]]`)
			wantFailure(p, 702, noPromise)
			p.Write(`[answer $theirs 5]`)
			p.Want(`[answer 700 5]`)
		}),
		extended("a promise as an answer", served, func(p *wire.Peer) {
			p.Ignore(`[decref 1]`)
			p.Write(`[message 1 root counter 2 [tuple] [dictionary]]`,
				`[message 2 root callback 1 [tuple [remote 1] [unicode m] [list]] [dictionary]]`)
			p.Want(`[answer 1 [remote $counter]]`, `[message $theirs 1 m 1 [tuple] ...]`)
			p.Write(`[answer $theirs [promise 1]]`)
			p.Want(`[error 2 ...]`)
			p.Write(`[settled 1]`, `[decref $counter]`)
		}),
		extendedSend("a promise that is a word", closed, `[message 1 [promise x] incr 1 [tuple] [dictionary]]`),
		extendedSend("a promise without an id", closed, `[message 1 [promise] incr 1 [tuple] [dictionary]]`),
		extended("two thousand promises that are never settled", left, func(p *wire.Peer) {
			const kept, all = 1024, 2000
			for id := 1; id <= all; id++ {
				p.Write(fmt.Sprintf(`[message %d root counter 2 [tuple] [dictionary]]`, id))
				if id <= kept {
					p.Want(fmt.Sprintf(`[answer %d [remote _]]`, id))
				} else {
					wantFailure(p, id, busy)
				}
			}
			p.Write(`[settled 1]`, fmt.Sprintf(`[message %d root counter 2 [tuple] [dictionary]]`, all+1))
			p.Want(fmt.Sprintf(`[answer %d [remote _]]`, all+1))
		}),
		extended("calls on a promise that never comes", left, func(p *wire.Peer) {
			p.Write(`[message 1 root never 2 [tuple] [dictionary]]`)
			for id := 2; id <= 2000; id++ {
				p.Write(fmt.Sprintf(`[message %d [promise %d] incr 2 [tuple [promise 1]] [dictionary]]`, id, id-1))
			}
			p.Ignore(`[error _ _]`)
			p.Write(`[message 9000 root add 1 [tuple 1 2] [dictionary]]`)
			p.Want(`[answer 9000 3]`)
		}),
		extendedSend("a thousand times settled", served, slices.Repeat([]string{`[settled 7]`}, 1000)...),
		extendedSend("settled without an id", closed, `[settled]`),
		extendedSend("settled with a word", closed, `[settled one]`),
	}
}

// departures are cancels, and announcements that the peer goes away.
func departures() []stream {
	return []stream{
		extended("a storm of cancels", served, func(p *wire.Peer) {
			for id := 1; id <= 1000; id++ {
				p.Write(fmt.Sprintf(`[message %d root later 1 [tuple 60000 x] [dictionary]]`, id),
					fmt.Sprintf(`[cancel %d]`, id), fmt.Sprintf(`[cancel %d]`, id), fmt.Sprintf(`[cancel %d]`, id+1))
				wantFailure(p, id, canceled)
			}
		}),
		extendedSend("cancels of what was never sent", served, slices.Repeat([]string{`[cancel 7]`, `[cancel -7]`}, 1000)...),
		extendedSend("a cancel without an id", closed, `[cancel]`),
		extendedSend("a cancel of a list", closed, `[cancel [1]]`),
		extendedSend("a thousand times going away", served, slices.Repeat([]string{`[goaway again]`}, 1000)...),
		extendedSend("going away for half a megabyte of reasons", served, `[goaway `+strings.Repeat("x", 500_000)+`]`),
		extendedSend("going away without a reason", closed, `[goaway]`),
		extendedSend("going away for a number", closed, `[goaway 7]`),
		send("a cancel under pb", left, `[cancel 1]`),
	}
}

// deadlines are times that calls have left.
func deadlines() []stream {
	timed := func(id int, ms any) string {
		return fmt.Sprintf(`[message %d root later 1 [tuple 0 x] [dictionary] [dictionary [[unicode timeout] %v]]]`, id, ms)
	}
	beyond := new(big.Int).Lsh(big.NewInt(1), 440)
	over := func(name string, ms any) stream {
		return extended(name, served, func(p *wire.Peer) { p.Write(timed(1, ms)); wantFailure(p, 1, tooLate) })
	}
	ample := func(name string, ms any) stream {
		return extended(name, served, func(p *wire.Peer) { p.Write(timed(1, ms)); p.Want(`[answer 1 x]`) })
	}
	const aThousandYears = 1000 * 365 * 24 * 3600 * 1000
	return []stream{
		over("a deadline of 0", 0),
		over("a deadline of the least number", math.MinInt64),
		over("a deadline long before time", new(big.Int).Neg(beyond)),
		ample("a deadline of a thousand years", int64(aThousandYears)),
		ample("a deadline of the greatest number", math.MaxInt64),
		ample("a deadline of 440 bits", beyond),
		extended("a thousand calls that are too late", served, func(p *wire.Peer) {
			for id := 1; id <= 1000; id++ {
				p.Write(fmt.Sprintf(
					`[message %d root later 1 [tuple 60000 x] [dictionary] [dictionary [[unicode timeout] 1]]]`, id))
			}
			late := map[string]bool{}
			for range 1000 {
				p.Forget("id")
				p.Want(`[error $id _]`)
				late[banana.Format(p.Var("id"))] = true
			}
			if len(late) != 1000 {
				p.Fatalf("%d calls were answered", len(late))
			}
		}),
		extended("a thousand calls that have a thousand years", left, func(p *wire.Peer) {
			for id := 1; id <= 1000; id++ {
				p.Write(fmt.Sprintf(`[message %d root never 1 [tuple] [dictionary] [dictionary [[unicode timeout] %d]]]`,
					id, int64(aThousandYears)))
			}
			p.Write(timed(1001, 0))
			wantFailure(p, 1001, tooLate)
		}),
	}
}

// packed are arrays of numbers and long strings.
func packed() []stream {
	refused := func(name, value string) stream {
		return extended(name, served, func(p *wire.Peer) {
			p.Write(`[message 1 root echo 1 [tuple ` + value + `] [dictionary]]`)
			p.Want(`[error 1 ...]`)
		})
	}
	return []stream{
		refused("an array of an unknown code", `[array z9 "12345678"]`),
		refused("an array without numbers", `[array i8]`),
		refused("an array that ends within a number", `[array i8 "1234567"]`),
		refused("an array of a list", `[array i8 [list]]`),
		refused("an array as a key", `[dictionary [[array i8 "12345678"] 1]]`),
		extended("a string of a gigabyte", closed, func(p *wire.Peer) {
			p.WriteBytes(banana.AppendBytesHead(banana.AppendList(nil, 1), 1<<30))
		}),
	}
}
