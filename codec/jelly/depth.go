package jelly

import (
	"github.com/perspectivebroker/pb/codec/banana"
)

// checkWhole holds what a jelly call wrote against the limits that concern the whole: its
// size and its depth with all wrappers of references in place.
func (e *Encoder) checkWhole() error {
	b := &e.before
	if n := len(e.buf) + e.sharing.grown; n > e.lim.Frame {
		return &EncodeError{What: "the message is too large", Err: e.lim.CheckFrame(n)}
	}
	wraps := e.sharing.wraps[e.sharing.first:]
	if e.deepest+min(len(wraps), e.deepest) < e.lim.Depth {
		return nil
	}
	if e.deepest = wrappedDepth(e.buf[b.buf:], b.buf, e.ctx.Profile, wraps, e.holes[b.holes:]); e.deepest >= e.lim.Depth {
		return e.tooDeep(e.deepest + 1)
	}
	return nil
}

// wrappedDepth returns how many lists are open at the deepest place of some
// expressions, wrappers included. buf starts at offset from of the places in wraps and holes.
func wrappedDepth(buf []byte, from int, p banana.Profile, wraps []wrap, holes []hole) int {
	type open struct{ left, levels int }
	var (
		r              banana.Reader
		lists          []open
		depth, deepest int
	)
	// done counts an element of the innermost list, and closes all lists that this completes.
	done := func() {
		for n := len(lists) - 1; n >= 0; n-- {
			if lists[n].left--; lists[n].left > 0 {
				return
			}
			depth -= lists[n].levels
			lists = lists[:n]
		}
	}
	for r.Reset(buf, p); ; {
		at := from + r.Offset()
		if len(holes) > 0 && holes[0].at == at {
			holes = holes[1:]
			done()
			continue
		}
		levels := 1
		if len(wraps) > 0 && wraps[0].at == at {
			wraps = wraps[1:]
			levels++
		}
		token, err := r.Next()
		if err != nil {
			return deepest
		}
		deepest = max(deepest, depth+levels-1)
		if token.Kind != banana.List {
			done()
			continue
		}
		deepest = max(deepest, depth+levels)
		if token.Int == 0 {
			done()
			continue
		}
		depth += levels
		lists = append(lists, open{int(token.Int), levels})
	}
}
