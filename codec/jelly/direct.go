package jelly

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Direct decodes values of one type straight into a variable, without the general value in between that Decode makes
// and Assign converts. It takes only what needs nothing else: no references, no objects, and no value that does not
// fit. Whatever it does not take is decoded in the general way, from the same bytes, so the result never differs.
// It is safe for concurrent use.
type Direct struct {
	typ  reflect.Type
	once sync.Once
	into directFunc // by compiled
}

// directFunc decodes the next expression into the zero variable at a place. If it returns false, the expression must be
// decoded in the general way; the variable may be partly set then.
type directFunc func(d *Decoder, at unsafe.Pointer) bool

// The caches of the Direct of each type: of every type, and of those that DirectFor has been asked for, where it is nil
// if the type gains nothing.
var (
	compiled sync.Map // reflect.Type -> *Direct
	directs  sync.Map // reflect.Type -> *Direct, or nil
)

func compiledFor(t reflect.Type) *Direct {
	if p, ok := compiled.Load(t); ok {
		return p.(*Direct)
	}
	p, _ := compiled.LoadOrStore(t, &Direct{typ: t})
	return p.(*Direct)
}

// DirectFor returns the Direct of a type. It returns nil if the type gains nothing by it, such as a number, or if a
// conversion to it runs code of the application, such as UnmarshalText.
func DirectFor(t reflect.Type) *Direct {
	if t == nil || !mayGain(t.Kind()) {
		return nil // Without a look at the table.
	}
	if p, ok := directs.Load(t); ok {
		return p.(*Direct)
	}
	var made *Direct
	if gainsDirectly(t) && !runsUserCode(t, map[reflect.Type]bool{}) {
		made = compiledFor(t)
	}
	p, _ := directs.LoadOrStore(t, made)
	return p.(*Direct)
}

// NeverDirect makes a Direct that is found by DirectFor but decodes nothing, so that all values of the type are decoded
// in the general way. It is for packages flavors and broker.
func NeverDirect(t reflect.Type) *Direct {
	never := &Direct{typ: t}
	never.once.Do(func() { never.into = func(*Decoder, unsafe.Pointer) bool { return false } })
	directs.Store(t, never)
	return never
}

// Type returns the type of the variables.
func (p *Direct) Type() reflect.Type { return p.typ }

// decode decodes the next expression into the variable at a place.
func (p *Direct) decode(d *Decoder, at unsafe.Pointer) bool {
	p.once.Do(func() { p.into = compileDirect(p.typ) })
	return p.into(d, at)
}

// directly is the state of a Decoder while it decodes directly.
type directly struct {
	room    int // how many more bytes may be allocated
	levels  int
	text    int // bytes passed to UnmarshalText of package time
	unbound int // number of Unbounds before
	remotes int
	aliased bool
	allowed [tagCount]bool
	slot    any // for a value that is converted or ignored
}

// maxDirectLevels bounds recursion. What is nested deeper is decoded in the general way.
const maxDirectLevels = 1000

// notDirect are the types that only the general way decodes.
var notDirect = [...]tag{
	tagReference, tagDereference, tagRemote, tagLocal, tagCached, tagLCache, tagPersistent, tagPromise,
	tagAddress,
}

func (d *Decoder) beginDirect(r *banana.Reader, room int) {
	d.begin(r)
	s := &d.direct
	s.room, s.levels, s.text = min(room, maxAssignBytes), 0, 0
	s.unbound, s.remotes, s.aliased, s.allowed = len(d.unbound), d.remotes, d.aliased, d.allowed
	for _, t := range notDirect {
		d.allowed[t] = false
	}
}

// endDirect restores the state of the Decoder if the expression was not decoded.
func (d *Decoder) endDirect(ok bool) bool {
	s := &d.direct
	d.allowed, s.slot = s.allowed, nil
	if !ok {
		d.unbound, d.remotes, d.aliased = d.unbound[:s.unbound], s.remotes, s.aliased
	}
	_ = d.end(nil) // There are no references.
	return ok
}

// take counts n values of a size before they are allocated.
func (d *Decoder) take(n int, size uintptr) bool {
	size = max(size, 8)
	if size > maxAssignBytes || n > d.direct.room/int(size) {
		return false
	}
	d.direct.room -= n * int(size)
	return true
}

// open reads the head of an expression with a type of Jelly, and returns the number of elements behind the type.
func (d *Decoder) open() (t tag, n int, ok bool) {
	var token banana.Token
	if d.depth == 0 || d.r.Read(&token) != nil || token.Kind != banana.List || token.Int == 0 {
		return 0, 0, false
	}
	n = int(token.Int) - 1
	if d.r.Read(&token) != nil || !token.IsText() {
		return 0, 0, false
	}
	t = tagOf(&token)
	return t, n, t != tagNone && d.allowed[t] && grammar[t].nesting <= d.nesting && d.direct.levels < maxDirectLevels
}

// enter begins with the elements of an expression that open has read; leave ends it.
func (d *Decoder) enter(t tag) {
	d.nesting -= grammar[t].nesting
	d.depth--
	d.direct.levels++
}

func (d *Decoder) leave(t tag) {
	d.nesting += grammar[t].nesting
	d.depth++
	d.direct.levels--
}

// plain decodes the next expression in the general way into slot. It returns false if the value is not complete in
// itself.
func (d *Decoder) plain(slot *any) bool {
	from := d.r.Rest()
	if _, err := d.value(slot); err != nil || len(d.unbound) > d.direct.unbound {
		return false
	}
	read := from[:len(from)-len(d.r.Rest())]
	const scalar = 32
	switch (*slot).(type) {
	case nil, bool, int64, float64, string, []byte:
		d.direct.room -= scalar + len(read)
	default:
		d.direct.room -= priceOf(read, d.r.Profile())
	}
	return d.direct.room >= 0
}

// convert decodes the next expression in the general way and converts it.
func (d *Decoder) convert(a *Assigner, at unsafe.Pointer) bool {
	s := &d.direct
	s.slot = nil
	if !d.plain(&s.slot) {
		return false
	}
	c := assignment{text: s.text}
	if a.into(&c, reflect.NewAt(a.typ, at).Elem(), s.slot) != nil {
		return false
	}
	s.slot, s.text = nil, c.text
	s.room -= c.bytes
	return s.room >= 0
}

// DecodeInto decodes one expression into the variable that dst points to, as [Decoder.Decode] and then [Assign] do,
// but faster if the type is a struct, a slice or a map. After an error the variable may be partly set. A value with
// references to objects, or with objects of registered classes, is an error: it must be bound before it is converted.
func (d *Decoder) DecodeInto(r *banana.Reader, dst any) error {
	v := reflect.ValueOf(dst)
	switch {
	case d == nil || r == nil || dst == nil:
		return errNothingToDecode
	case v.Kind() != reflect.Pointer || v.IsNil():
		return fmt.Errorf("jelly: DecodeInto needs a pointer to store to, not %T", dst)
	}
	before := *r
	if p := DirectFor(v.Type().Elem()); p != nil && d.PersistentLoad == nil && v.Elem().IsZero() {
		d.beginDirect(r, maxAssignBytes)
		if d.endDirect(p.decode(d, v.UnsafePointer())) {
			return nil
		}
		v.Elem().SetZero()
		*r = before
	}
	var general any
	unbound := len(d.unbound)
	if err := d.Decode(r, &general); err != nil {
		return err
	}
	if len(d.unbound) > unbound {
		return errMustBeBound
	}
	return Assign(dst, general)
}

var errMustBeBound = errors.New(
	"jelly: the value mentions objects, which must be bound: use Decode, bind what Unbound returns, then Assign",
)

// DirectArgs decodes the positional arguments of one method straight into variables. It is for packages flavors and
// broker.
type DirectArgs struct {
	vars []directVar
	size uintptr // of all variables
}

type directVar struct {
	direct *Direct
	gains  bool          // the general way is slower
	fields *directStruct // of a last struct whose fields are given by name
}

// DirectArgsFor returns how arguments of these types are decoded, or nil if the general way is as good. If fields is
// set, the last type is a struct that takes a dictionary whose keys must all be fields.
func DirectArgsFor(types []reflect.Type, fields bool) *DirectArgs {
	a := &DirectArgs{vars: make([]directVar, len(types))}
	gains := false
	for i, t := range types {
		v := &a.vars[i]
		a.size += t.Size()
		v.direct, v.gains = compiledFor(t), DirectFor(t) != nil
		if runsUserCode(t, map[reflect.Type]bool{}) {
			return nil
		}
		gains = gains || v.gains
		if fields && i == len(types)-1 {
			if v.fields = directStructOf(t); v.fields == nil {
				return nil
			}
		}
	}
	if !gains {
		return nil
	}
	return a
}

// Decode decodes a tuple with as many elements as there are arguments into the variables, which must be zero, and
// allocates at most room bytes, the variables included. seen has a bit for each field of the last struct, if its
// fields are given by name. If ok is false, the tuple must be decoded in the general way, from before; the variables
// may be partly set then. Errors are found in that way only.
func (a *DirectArgs) Decode(d *Decoder, r *banana.Reader, vars []reflect.Value, room int) (seen uint64, ok bool) {
	if d.PersistentLoad != nil {
		return 0, false
	}
	d.beginDirect(r, room)
	seen, ok = a.decode(d, vars)
	return seen, d.endDirect(ok)
}

func (a *DirectArgs) decode(d *Decoder, vars []reflect.Value) (seen uint64, ok bool) {
	t, n, ok := d.open()
	if !ok || t != tagTuple || n != len(a.vars) || !d.take(1, a.size) {
		return 0, false
	}
	d.enter(t)
	for i := range a.vars {
		v, at := &a.vars[i], vars[i].Addr().UnsafePointer()
		if v.fields != nil {
			seen, ok = v.fields.keywords(d, at)
		} else {
			ok = v.direct.decode(d, at)
		}
		if !ok {
			return 0, false
		}
	}
	d.leave(t)
	return seen, true
}

// DecodeValues is like Decode, but makes the variables: dst gets values of the types. It reuses the capacity of dst.
func (a *DirectArgs) DecodeValues(d *Decoder, r *banana.Reader, dst *Tuple, room int) bool {
	if d.PersistentLoad != nil {
		return false
	}
	if *dst == nil || len(a.vars) > cap(*dst) {
		*dst = make(Tuple, len(a.vars))
	}
	*dst = (*dst)[:len(a.vars)]
	d.beginDirect(r, room)
	ok := a.values(d, *dst)
	if !d.endDirect(ok) {
		clear(*dst)
		*dst = (*dst)[:0]
	}
	return ok
}

func (a *DirectArgs) values(d *Decoder, dst Tuple) bool {
	t, n, ok := d.open()
	if !ok || t != tagTuple || n != len(a.vars) {
		return false
	}
	d.enter(t)
	for i := range a.vars {
		if v := &a.vars[i]; v.gains {
			dst[i], ok = v.direct.value(d)
		} else {
			ok = d.plain(&dst[i])
		}
		if !ok {
			return false
		}
	}
	d.leave(t)
	return true
}

// Value decodes one expression into a new value of the type, and allocates at most room bytes. If ok is false, the
// expression must be decoded in the general way, from before.
func (p *Direct) Value(d *Decoder, r *banana.Reader, room int) (v any, ok bool) {
	if d.PersistentLoad != nil {
		return nil, false
	}
	d.beginDirect(r, room)
	v, ok = p.value(d)
	return v, d.endDirect(ok)
}

func (p *Direct) value(d *Decoder) (v any, ok bool) {
	if !d.take(1, p.typ.Size()) {
		return nil, false
	}
	made := reflect.New(p.typ)
	if !p.decode(d, made.UnsafePointer()) {
		return nil, false
	}
	if k := p.typ.Kind(); k == reflect.Map || k == reflect.Pointer {
		return made.Elem().Interface(), true
	}
	*unpack(&v) = eface{typ: typeWord(p.typ), data: made.UnsafePointer()} // The variable itself: nobody else has it.
	return v, true
}
