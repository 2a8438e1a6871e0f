package broker

import (
	"slices"
	"sync/atomic"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/command"
)

// The decoder's goroutine does not see the broker's tables. So the broker tells it of the methods and the calls whose
// values it can decode directly, into variables of their types. It may miss some, or learn of them late: then it
// decodes in the general way. What it is told is never wrong for a call: the object has its arguments decoded again if
// they are not for the method that it is about to run, and a call of ours has a number of its own.

// directMethods are methods of the peer's calls, one in each slot. The broker writes, the decoder reads.
type directMethods struct {
	slots [directSlots]atomic.Pointer[directMethod]
}

const directSlots = 64

// directMethod says how the arguments of one method of one object are decoded.
type directMethod struct {
	object command.Object
	method string
	decode decodeDirect // nil if they are not decoded directly
	// outdated reports whether the object may have other methods by now; nil if it cannot.
	outdated func() bool
	lend     lendArgument // nil if none of them is lent
	refused  int          // how often in a row they could not be; for the decoder only
}

// decodeDirect decodes the arguments of a call; it returns false if it could not.
type decodeDirect func(r *commandReader, cmd *incoming) bool

// lendArgument lends an argument of at least from bytes, if it is one that the method wants to be lent.
type lendArgument func(cmd *incoming, from int, l *loan)

// maxDirectRefused is how often in a row the arguments of a method may not be fit for it until it is given up.
const maxDirectRefused = 8

func directSlot(o *command.Object, method string) int {
	h := uint32(o.ID.Int)*31 + uint32(len(o.Name))
	for _, x := range []byte(method) {
		h = (h ^ uint32(x)) * 16777619
	}
	return int((h ^ h>>15) % directSlots)
}

// replaceDirect is how many methods are learned until one replaces another in its slot: two methods that share one
// must not replace each other with every call.
const replaceDirect = 16

// find returns what is known of the method that a call is for, or nil.
func (m *directMethods) find(cmd *command.Command) *directMethod {
	if m == nil || cmd.Object.ID.Big != nil || cmd.Object.Promise {
		return nil
	}
	known := m.slots[directSlot(&cmd.Object, cmd.Method)].Load()
	if !known.isFor(&cmd.Object, cmd.Method) || known.outdated != nil && known.outdated() {
		return nil
	}
	return known
}

func (m *directMethod) isFor(o *command.Object, method string) bool {
	return m != nil && m.object == *o && m.method == method
}

// learn tells the decoder of the method that a call is for.
func (b *broker) learn(cmd *incoming, target *export) {
	if target.Value.general || cmd.Object.Promise || b.c.Interceptor() != nil {
		return
	}
	if cmd.rawArgs != nil {
		b.learnEarly(cmd, target)
		return
	}
	direct, more := internal.DirectOf(target.Key.core, target.Key.prefix, cmd.Method)
	if target.Value.general = !more; !more {
		return
	}
	known := &directMethod{object: cmd.Object, method: cmd.Method}
	switch {
	case direct == nil:
	case internal.Lends(direct):
		known.lend = func(cmd *incoming, from int, l *loan) { internal.LendArgument(cmd.call, direct, from, l) }
	default:
		known.decode = func(r *commandReader, cmd *incoming) bool {
			// With the copy that is kept, they take no more than their general values would.
			return internal.DecodeDirect(direct, cmd.call, r.d, &r.r, r.cost-len(r.r.Rest()))
		}
	}
	b.tell(known)
}

// learnEarly tells the decoder how it may decode the arguments of a call that is a relay's, which passes it to an
// object of this process.
func (b *broker) learnEarly(cmd *incoming, target *export) {
	direct, generally, outdated, ok := internal.EarlyOf(target.Key.core, cmd.Method)
	if !ok {
		return
	}
	known := &directMethod{object: cmd.Object, method: cmd.Method, outdated: outdated}
	switch {
	case direct != nil:
		known.decode = func(r *commandReader, cmd *incoming) bool {
			return internal.DecodeDirect(direct, cmd.call, r.d, &r.r, r.cost-len(r.r.Rest()))
		}
	case generally:
		known.decode = func(r *commandReader, cmd *incoming) bool { return r.decodeComplete(cmd) }
	}
	b.tell(known)
}

// decodeComplete decodes arguments that are complete in themselves; it returns false for others.
func (c *commandReader) decodeComplete(cmd *incoming) bool {
	err := c.d.DecodeTuple(&c.r, &cmd.call.Args)
	if err == nil && len(c.d.Unbound()) == 0 {
		return true
	}
	c.d.Reset()
	return false
}

// tell tells the decoder of a method.
func (b *broker) tell(known *directMethod) {
	all := b.c.directMethods.Load()
	if all == nil {
		all = new(directMethods)
		b.c.directMethods.Store(all)
	}
	slot := &all.slots[directSlot(&known.object, known.method)]
	before := slot.Load()
	if b.learned++; before == nil || before.isFor(&known.object, known.method) || b.learned%replaceDirect == 0 {
		slot.Store(known)
	}
}

// decodeDirectly decodes the arguments of a call whose method is known, and reports whether it could.
func (c *commandReader) decodeDirectly(cmd *incoming) bool {
	known := c.conn.directMethods.Load().find(&cmd.Command)
	if known == nil {
		return false
	}
	cmd.known = true
	if known.decode == nil || c.d.AliasFrom > 0 || !c.startsWith(banana.SymTuple) {
		return false
	}
	before := c.r
	if known.decode(c, cmd) {
		known.refused = 0
		if cmd.tuple, cmd.noKw = true, c.skipEmptyKw(); cmd.noKw {
			return true
		}
	}
	internal.DropDirect(cmd.call)
	c.r = before
	if known.refused++; known.refused == maxDirectRefused {
		known.decode = nil
	}
	return false
}

// directResults are the types of the results of our calls, by the numbers of the calls. The broker writes, the decoder
// reads. A call whose slot another one has taken gets a general value.
type directResults struct {
	types atomic.Pointer[[]*jelly.Direct]
	slots []atomic.Uint64 // the number of a call, and the index of its type in the lowest bits
}

const (
	fewResults, manyResults = 64, 1024
	resultBits              = 8 // of the index
)

// want tells the decoder of the type of a call's result.
func (b *broker) want(id int64, t *jelly.Direct) {
	all := b.c.directResults.Load()
	switch {
	case all == nil:
		all = newDirectResults(fewResults, &[]*jelly.Direct{})
		b.c.directResults.Store(all)
	case len(all.slots) == fewResults && b.c.pending.Load() > fewResults/2:
		all = newDirectResults(manyResults, all.types.Load())
		b.c.directResults.Store(all)
	}
	types := *all.types.Load()
	i := slices.Index(types, t)
	if i < 0 {
		if i = len(types); i == 1<<resultBits {
			return
		}
		types = append(slices.Clip(types), t)
		all.types.Store(&types)
	}
	all.slots[id&int64(len(all.slots)-1)].Store(uint64(id)<<resultBits | uint64(i))
}

func newDirectResults(n int, types *[]*jelly.Direct) *directResults {
	r := &directResults{slots: make([]atomic.Uint64, n)}
	r.types.Store(types)
	return r
}

// find returns the type of the result of a call, or nil.
func (r *directResults) find(id int64) *jelly.Direct {
	if r == nil {
		return nil
	}
	slot := r.slots[id&int64(len(r.slots)-1)].Load()
	if slot == 0 || slot>>resultBits != uint64(id)&(1<<(64-resultBits)-1) || id < 0 || id >= 1<<(64-resultBits-1) {
		return nil
	}
	return (*r.types.Load())[slot&(1<<resultBits-1)]
}

// decodeResultDirectly decodes the result of a call whose type is known, and reports whether it could.
func (c *commandReader) decodeResultDirectly(cmd *incoming) (ok bool) {
	if cmd.Name != command.Answer || cmd.ID.Big != nil || c.d.AliasFrom > 0 {
		return false
	}
	want := c.conn.directResults.Load().find(cmd.ID.Int)
	if want == nil {
		return false
	}
	before := c.r
	if cmd.value, ok = want.Value(c.d, &c.r, c.cost); !ok {
		c.r, cmd.value = before, nil
	}
	return ok
}

// DecodeArgs implements seam.Conn. The arguments contain nothing that must be bound.
func (c *connection) DecodeArgs(raw []byte) (args jelly.Tuple, err error) {
	var r banana.Reader
	r.Reset(raw, c.profile)
	err = c.newDecoder().DecodeTuple(&r, &args)
	return args, err
}
