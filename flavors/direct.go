package flavors

import (
	"reflect"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
)

// directMethod decodes the arguments of one method straight into its parameters, before the object's turn. It is known
// from the method's table.
type directMethod struct {
	caller caller
	args   *jelly.DirectArgs
	method *method // of a frame for the parameters; nil if the values go into Args
	lent   uint64  // a bit for each parameter that is a *Lent; if there are any, args is nil
}

// direct implements caller. A method that gets the invocation may look at its Args.
func (m *method) direct() *directMethod {
	m.directOnce.Do(func() {
		k := m.keywords
		if lent := lends(m.fixed); lent != 0 {
			m.directly = &directMethod{caller: m, lent: lent}
			return
		}
		if m.invAt != 0 || m.keepsSome() || m.variadic != nil || k != nil && (k.typ == nil || k.firstTakesDict) {
			return
		}
		types := make([]reflect.Type, 0, len(m.fixed)+1)
		for _, p := range m.fixed {
			types = append(types, p.typ)
		}
		if k != nil {
			types = append(types, k.typ)
		}
		if args := jelly.DirectArgsFor(types, k != nil); args != nil {
			m.directly = &directMethod{caller: m, args: args, method: m}
		}
	})
	return m.directly
}

// direct implements caller.
func (c *typedCaller[T]) direct() *directMethod {
	c.directOnce.Do(func() {
		if lent := lends(c.bound.fixed); lent != 0 {
			c.directly = &directMethod{caller: c, lent: lent}
			return
		}
		if c.whole != nil || !c.unseen {
			return
		}
		types := make([]reflect.Type, len(c.bound.fixed))
		for i, p := range c.bound.fixed {
			types[i] = p.typ
		}
		if args := jelly.DirectArgsFor(types, false); args != nil {
			c.directly = &directMethod{caller: c, args: args}
		}
	})
	return c.directly
}

// directCall is the part of an Invocation whose arguments were decoded directly.
type directCall struct {
	method *directMethod // nil for any other invocation
	frame  *frame        // with the parameters, if the method has one
	raw    []byte        // the arguments as the peer sent them
	params []reflect.Value
}

// keptRaw is the maximum capacity of raw that is kept for the next call.
const keptRaw = 4 << 10

// decode decodes the arguments, the next expression of r. If it returns false, they must be decoded in the general way,
// from before.
func (c *directCall) decode(m *directMethod, args *jelly.Tuple, d *jelly.Decoder, r *banana.Reader, room int) bool {
	expression := r.Rest()
	var ok bool
	if m.method == nil {
		ok = m.args.DecodeValues(d, r, args, room)
	} else {
		c.frame = m.method.frames.Get().(*frame)
		c.params = m.method.params(c.frame, c.params[:0])
		var seen uint64
		if seen, ok = m.args.Decode(d, r, c.params, room); ok {
			fixed := len(m.method.fixed)
			c.frame.seen = 1<<fixed - 1 | seen<<fixed
		} else {
			m.method.release(c.frame)
			c.frame = nil
		}
		clear(c.params)
	}
	// The copy counts too.
	if expression = expression[:len(expression)-len(r.Rest())]; ok {
		c.method, c.raw = m, append(c.raw[:0], expression...)
	}
	return ok
}

// params appends the variables of the arguments.
func (m *method) params(f *frame, to []reflect.Value) []reflect.Value {
	to = append(to, f.in[m.firstArg:m.firstArg+len(m.fixed)]...)
	if m.keywords != nil {
		to = append(to, m.keywordStruct(f))
	}
	return to
}

// takeFrame returns the frame, which belongs to the caller then, and whether there is one.
func (c *directCall) takeFrame() (f *frame, ok bool) {
	if c == nil {
		return nil, false
	}
	f, c.frame = c.frame, nil
	return f, f != nil
}

// drop forgets the arguments. The memory for the next ones stays.
func (c *directCall) drop() {
	if c == nil || c.method == nil {
		return
	}
	if c.frame != nil {
		c.method.method.release(c.frame)
		c.frame = nil
	}
	if c.method = nil; cap(c.raw) > keptRaw {
		c.raw = nil
	}
}

// bind has the arguments be as method c needs them. Nearly always they are: only an object whose type changed when it
// was replaced after a panic has another method by that name.
func (inv *Invocation) bind(c caller) (err error) {
	if inv.direct == nil || inv.direct.method == nil || inv.direct.method.caller == c {
		return nil
	}
	if inv.direct.method.lent != 0 {
		inv.unlend()
	} else {
		inv.Args, err = inv.conn.DecodeArgs(inv.direct.raw)
	}
	inv.direct.drop()
	if r := inv.relay; r != nil && r.by != nil {
		r.by.home.Store(nil) // It passes calls to something else now.
	}
	return err
}

// DirectOf returns how the arguments of a method are decoded directly, nil if they are not. more says whether those of
// another method of the object may be.
func (export) DirectOf(core seam.Core, prefix, method string) (m *directMethod, more bool) {
	c, ok := core.(*objectCore)
	if !ok {
		return nil, false
	}
	table := c.tableFor(Prefix(prefix))
	if table == nil || !table.hasDirect() {
		return nil, false
	}
	if found := table.lookup(method).caller; found != nil {
		m = found.direct()
	}
	return m, true
}

// tableFor returns the methods of an object under a prefix, nil if something else takes its calls.
func (c *objectCore) tableFor(p Prefix) *MethodTable {
	if c.forward != nil {
		return nil
	}
	table, err := methodsFor(reflect.TypeOf(c.Value()), p)
	if err != nil || table.handler {
		return nil
	}
	return table
}

// hasDirect reports whether the arguments of a method of the table are decoded directly.
func (t *MethodTable) hasDirect() bool {
	t.directOnce.Do(func() {
		for _, c := range t.methods {
			t.anyDirect = t.anyDirect || c.direct() != nil
		}
	})
	return t.anyDirect
}

// DecodeDirect decodes the arguments of a call, the next expression of r, and allocates at most room bytes. If it
// returns false, they must be decoded in the general way, from before.
func (export) DecodeDirect(m *directMethod, inv *Invocation, d *jelly.Decoder, r *banana.Reader, room int) bool {
	if inv.direct == nil {
		inv.direct = new(directCall) // It is pooled with the invocation.
	}
	return inv.direct.decode(m, &inv.Args, d, r, room)
}

// DropDirect forgets the arguments that DecodeDirect has decoded.
func (export) DropDirect(inv *Invocation) {
	inv.direct.drop()
	inv.Args = inv.room[:0]
}
