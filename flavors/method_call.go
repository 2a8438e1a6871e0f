package flavors

import (
	"context"
	"reflect"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// frame is the memory for the parameters of one call. Frames are used again: what they hold is copied when the method
// is called.
type frame struct {
	in   []reflect.Value // addressable, but for the receiver
	dst  []any           // pointers to in, for the conversion
	kw   reflect.Value   // the struct of keywords, wherever it is
	seen uint64          // which of fixed, and behind them which keyword fields, have been given
}

func (m *method) newFrame() *frame {
	f := &frame{in: make([]reflect.Value, len(m.in)), dst: make([]any, len(m.in))}
	for i, t := range m.in {
		if i == 0 {
			continue
		}
		p := reflect.New(t)
		f.in[i], f.dst[i] = p.Elem(), p.Interface()
	}
	return f
}

// release empties the frame, so that it keeps nothing alive, and puts it back. After a panic it is left to the
// collector.
func (m *method) release(f *frame) {
	f.in[0] = reflect.Value{}
	for _, v := range f.in[1:] {
		v.SetZero()
	}
	f.kw, f.seen = reflect.Value{}, 0
	m.frames.Put(f)
}

// keeps implements caller.
func (m *method) keeps() bool { return m.invAt != 0 }

// call implements caller.
func (m *method) call(recv any, inv *Invocation) (any, error) {
	f := m.frames.Get().(*frame)
	f.in[0] = reflect.ValueOf(recv)
	if err := m.prepare(f, inv); err != nil {
		m.release(f)
		return nil, err
	}
	var out []reflect.Value
	if m.variadic != nil {
		out = m.fn.CallSlice(f.in)
	} else {
		out = m.fn.Call(f.in)
	}
	m.release(f)
	return m.results.collect(out)
}

// prepare fills the frame from the invocation.
func (m *method) prepare(f *frame, inv *Invocation) error {
	if m.ctxAt != 0 {
		*f.dst[m.ctxAt].(*context.Context) = inv.Context()
	}
	if m.invAt != 0 {
		*f.dst[m.invAt].(**Invocation) = inv
	}
	if m.perspectiveAt != 0 {
		if err := m.setPerspective(f.in[m.perspectiveAt], inv.Perspective()); err != nil {
			return err
		}
	}
	simple := m.keywords == nil && m.variadic == nil && inv.Kw == nil
	if !simple || len(inv.Args) != len(m.fixed) {
		return m.bind(f, inv)
	}
	for i, arg := range inv.Args {
		if err := jelly.Assign(f.dst[m.firstArg+i], arg); err != nil {
			return m.argumentError(i, err)
		}
	}
	return nil
}

// setPerspective gives the method its caller. A caller that is missing, or of another type, is an error: the method
// must not run.
func (m *method) setPerspective(dst reflect.Value, perspective any) error {
	t := dst.Type()
	if isMissing(perspective) {
		if t.Kind() == reflect.Interface && t.NumMethod() == 0 {
			dst.SetZero()
			return nil
		}
		return TypeError.Errorf("%s wants the caller's perspective, a %s, but the call came without one", m.label, t)
	}
	v := reflect.ValueOf(perspective)
	if !v.Type().AssignableTo(t) {
		return TypeError.Errorf("%s is for callers with the perspective %s, not %s", m.label, t, v.Type())
	}
	dst.Set(v)
	return nil
}

// isMissing reports whether there is no perspective. A nil pointer is none either.
func isMissing(perspective any) bool {
	if perspective == nil {
		return true
	}
	v := reflect.ValueOf(perspective)
	return nillable(v.Type()) && v.IsNil()
}

// collect makes one value of what the method returned.
func (r results) collect(out []reflect.Value) (any, error) {
	if r.hasError {
		if err, _ := out[r.values].Interface().(error); err != nil {
			return nil, err
		}
	}
	switch r.values {
	case 0:
		return nil, nil
	case 1:
		return result(out[0].Interface()), nil
	}
	tuple := make(jelly.Tuple, r.values)
	for i := range tuple {
		tuple[i] = out[i].Interface()
	}
	return tuple, nil
}

// result takes a Deferred that was not made for None.
func result(v any) any {
	if d, ok := v.(*actor.Deferred); ok && d == nil {
		return nil
	}
	return v
}
