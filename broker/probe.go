package broker

import (
	"github.com/perspectivebroker/pb/broker/internal/command"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// What is refused must be given back, because the peer has counted it. In [class 5], with a class that is not
// registered, 5 may be the number of a reference, or the state of a copy. To give back what was not counted would cost
// the connection, and to keep what was counted would cost the peer an object. So the broker calls a method that no
// object has: the error says whether the peer has an object 5. If it has, and this side holds no reference to it, then
// the peer has counted the mention (P-5.10).

// maxProbes is how many such calls may be unanswered. A stock peer can have no more than 1,024 objects to ask about.
const maxProbes = 1024

// probeMethod is the name of the method that no object has.
const probeMethod = ""

// probe asks the peer whether it has an object, one mention of which may have been refused.
func (b *broker) probe(luid int64) {
	if luid < 1 || len(b.probes) >= maxProbes || b.holds(luid) || !b.c.sends() {
		return
	}
	if b.probes == nil {
		b.probes, b.doubtful = map[int64]int64{}, map[int64]int{}
	}
	id := b.pending.Next()
	b.pending.Add(id, ping)
	b.probes[id] = luid
	b.doubtful[luid]++
	b.append(func(dst []byte) []byte {
		return b.appendEmptyCall(dst, id, command.Object{ID: command.Number{Int: luid}}, probeMethod)
	})
}

// probed handles the answer. A reference that was received meanwhile says that the mention was not counted: an object
// is always sent in the same form.
func (b *broker) probed(cmd *incoming, luid int64) {
	delete(b.probes, cmd.ID.Int)
	n := b.doubtful[luid]
	if n == 0 || b.holds(luid) {
		return
	}
	if b.doubtful[luid]--; n == 1 {
		delete(b.doubtful, luid)
	}
	if hasObject(cmd) {
		b.append(func(dst []byte) []byte { return command.AppendDecref(dst, b.c.profile, luid) })
	}
}

// hasObject reports whether the answer to a probe says that the object exists.
func hasObject(cmd *incoming) bool {
	return cmd.Name == command.Answer ||
		cmd.err == nil && usercode.Is(flavors.FailureFrom(cmd.value), flavors.AttributeError)
}

// holds reports whether this side has a reference to the peer's object, under any perspective.
func (b *broker) holds(luid int64) bool { return b.imports.Has(luid) }

// appendEmptyCall appends a call without arguments.
func (b *broker) appendEmptyCall(dst []byte, id int64, object command.Object, method string) []byte {
	p := b.c.profile
	dst = command.AppendMessage(dst, p, command.Number{Int: id}, object, method, true)
	dst = banana.AppendSymbol(banana.AppendList(dst, 1), p, banana.SymTuple)
	return banana.AppendSymbol(banana.AppendList(dst, 1), p, banana.SymDictionary)
}
