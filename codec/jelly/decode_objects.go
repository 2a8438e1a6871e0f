package jelly

import (
	"fmt"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/codec/banana"
)

// object decodes what begins with the name of a class: an instance, such as [class state], or a reference that carries
// the class.
func (d *Decoder) object(start int, word banana.Token, n int, slot *any) (hash, error) {
	name := word.Bytes
	if word.Kind == banana.Vocab {
		name = []byte(word.Text())
	}
	class, registered := d.Registry.lookup(name)
	if d.AcceptInstances {
		if _, err := d.mayPass(start, name, class, registered, n); err != nil {
			return 0, err
		}
	}
	switch {
	case d.Taster != nil && !d.Taster.TypeAllowed(string(name)):
		return 0, d.insecure(start, "type %q is not allowed: SecurityOptions.AllowTypes would allow it",
			clip(string(name)))
	case registered:
		return d.registered(class, start, n, slot)
	case d.AcceptInstances || d.Taster.ClassAllowed(string(name)):
		if n < 1 {
			return 0, d.fail(start, "an instance needs a state")
		}
		x := &Instance{Class: string(name)}
		*slot = x
		d.begun(x, hashable)
		if _, err := d.value(&x.State); err != nil {
			return 0, err
		}
		return hashable, d.skip(n - 1)
	}
	register := "flavors.RegisterCopy"
	switch {
	case n == 1 && d.r.Peek() == banana.Int: // [class luid]
		register = "flavors.RegisterReference"
	case n > 1 && d.r.Peek() == banana.Int: // [class luid state]
		register = "flavors.RegisterCache, or RegisterMap or RegisterValue of package replica,"
	}
	return 0, d.insecure(start, "class %q is not registered: use %s and broker.WithRegistry",
		clip(string(name)), register)
}

func (d *Decoder) registered(class classOf, start, n int, slot *any) (hash, error) {
	u := &Unbound{Tag: class.name, Offset: start, instance: class.Kind != Reference, entry: class.ClassEntry}
	u.put(slot)
	d.begun(u, hashable)
	switch class.Kind {
	case Reference:
		return hashable, d.classReference(u, n)
	case Elements:
		return hashable, d.wholeElements(u, n)
	case RemoteCopy:
	case RemoteCache:
		if n < 2 {
			return 0, d.fail(start, fmt.Sprintf("the cache %s needs an id and a state; "+
				"if the peer sends it as a copy, use flavors.RegisterCopy", class.name))
		}
		at := d.r.Offset()
		luid, err := d.r.Next()
		if err != nil {
			return 0, d.malformed(err)
		}
		if luid.Kind != banana.Int {
			return 0, d.fail(at, fmt.Sprintf("the id of the cache %s must be an integer of 64 bits", class.name))
		}
		u.ID = luid.Int
		n--
	}
	if n < 1 {
		return 0, d.fail(start, fmt.Sprintf("the object %s needs a state", class.name))
	}
	return hashable, d.state(u, n)
}

// state decodes an instance's state, the first of n elements, and adds the instance to the Unbounds.
func (d *Decoder) state(u *Unbound, n int) error {
	from, mentions, within := d.r.Rest(), d.dereferences, d.weighs
	weighed := u.entry.Kind == RemoteCache
	d.weighs = within || weighed
	if _, err := d.value(&u.State); err != nil {
		return err
	}
	d.weighs = within
	if weighed {
		u.weight = d.weightOf(from, within || d.dereferences > mentions)
	}
	d.unbound = append(d.unbound, u)
	return d.skip(n - 1)
}

// weightOf returns what the state of a RemoteCache at the beginning of from counts for. shared is set if the state may
// include more than its own bytes, or lies within another: all such states have the weight of the whole expression, so
// that no byte is scanned more than twice.
func (d *Decoder) weightOf(from []byte, shared bool) int {
	if !shared {
		return priceOf(from, d.r.Profile())
	}
	if d.wholeWeight == 0 {
		d.wholeWeight = priceOf(d.whole, d.r.Profile())
	}
	return d.wholeWeight
}

// priceOf returns the price of the first expression in buf, which a Reader has read.
func priceOf(buf []byte, p banana.Profile) int {
	var s banana.Scanner
	most := len(buf)
	s.Init(p, banana.Limits{Prefix: most, String: most, List: most, Depth: most, Frame: most})
	s.SetPrices(Prices())
	_, _ = s.Next(buf)
	return s.Cost()
}

// MaxExtras is the maximum length in bytes, on the wire, of what a reference carries beside its class and its id.
const MaxExtras = 1024

// classReference decodes the n elements of a reference behind its class: extras, then the id.
func (d *Decoder) classReference(u *Unbound, n int) error {
	if n < 1 {
		return d.fail(u.Offset, fmt.Sprintf("the reference %s needs an id", u.Tag))
	}
	if err := d.countReference(u.Offset); err != nil {
		return err
	}
	from := d.r.Offset()
	if n > 1 {
		extras := make([]any, n-1) // banana.Reader has ensured that at least n bytes are left.
		u.State = extras
		for i := range extras {
			if _, err := d.value(&extras[i]); err != nil {
				return err
			}
			if u.extras = d.r.Offset() - from; u.extras > MaxExtras {
				return d.fail(from, fmt.Sprintf("the reference %s carries more than %d bytes", u.Tag, MaxExtras))
			}
		}
	}
	at := d.r.Offset()
	luid, err := d.r.Next()
	if err != nil {
		return d.malformed(err)
	}
	if luid.Kind != banana.Int {
		return d.fail(at, fmt.Sprintf("the reference %s must end with its id, an integer of 64 bits", u.Tag))
	}
	u.ID = luid.Int
	d.unbound = append(d.unbound, u)
	return nil
}

// countReference counts one of the peer's references against the limit.
func (d *Decoder) countReference(start int) error {
	if d.remotes++; d.References > 0 && d.remotes > d.References {
		return &DecodeError{Offset: start, What: "too many references", Err: ErrTooManyReferences}
	}
	return nil
}

// wholeElements decodes the n elements of an object that is made from all of them.
func (d *Decoder) wholeElements(u *Unbound, n int) error {
	elements := make([]any, n)
	u.State = elements
	if _, err := d.elements(elements); err != nil {
		return err
	}
	d.unbound = append(d.unbound, u)
	return nil
}

// objectReference decodes [remote id], [local id], [cached id], [lcache id], [promise id] and [address kind id]. In
// [local name] a name may replace the id: it refers to an object that this side has published.
func (d *Decoder) objectReference(t tag, start, n int, slot *any) (hash, error) {
	u, err := d.readReference(t, start, n)
	if err != nil {
		return 0, err
	}
	u.put(slot)
	d.unbound = append(d.unbound, u)
	return hashable, nil
}

// readReference reads the n elements behind the word of a reference.
func (d *Decoder) readReference(t tag, start, n int) (*Unbound, error) {
	if t == tagRemote || t == tagAddress {
		if err := d.countReference(start); err != nil {
			return nil, err
		}
	}
	if t == tagAddress {
		return d.readAddress(start, n)
	}
	at := d.r.Offset()
	id, err := d.r.Next()
	if err != nil {
		return nil, d.malformed(err)
	}
	u := &Unbound{Tag: tagNames[t], Offset: start}
	switch {
	case id.Kind == banana.Int:
		u.ID = id.Int
	case t == tagLocal && id.IsText() && len(id.Bytes) <= maxClassName:
		u.Name = id.AppendText(nil)
	case t == tagPromise && id.IsInt():
		u.Name = []byte(id.Big().String()) // It is the id of nothing.
	case t == tagLocal:
		return nil, d.fail(at, "local needs an integer of 64 bits or a name")
	default:
		return nil, d.fail(at, t.String()+" needs an integer of 64 bits")
	}
	return u, d.skip(n - 1)
}

// persistent decodes [persistent id]; the id is raw Banana.
func (d *Decoder) persistent(start, n int, slot *any) (hash, error) {
	t, err := d.persistentID(start)
	if err != nil {
		return 0, err
	}
	var id any
	switch t.Kind {
	case banana.Int:
		id = t.Int
	case banana.Float:
		id = t.Float
	case banana.String, banana.Vocab:
		id = t.AppendText([]byte{})
	default:
		id = t.Big()
	}
	if d.PersistentLoad == nil {
		*slot = Persistent{ID: id}
		return hashable, d.skip(n - 1)
	}
	err = protect(func() (err error) {
		*slot, err = d.PersistentLoad(id)
		return err
	})
	if err != nil {
		return 0, &DecodeError{Offset: start, What: "a persistent object cannot be loaded", Err: err}
	}
	return hashable, d.skip(n - 1)
}

// persistentID reads the id of a persistent object, which is no list.
func (d *Decoder) persistentID(start int) (banana.Token, error) {
	t, err := d.r.Next()
	if err != nil {
		return t, d.malformed(err)
	}
	if t.Kind == banana.List {
		return t, d.fail(start, "the id of a persistent object must not be a list")
	}
	return t, nil
}

// names decodes the types that begin with a name: classes, modules, functions, methods and unpersistable objects.
func (d *Decoder) names(t tag, start, n int, slot *any) (hash, error) {
	if t == tagInstance {
		return d.oldInstance(start, n, slot)
	}
	name, err := d.name(t, start, n)
	if err != nil {
		return 0, err
	}
	switch t {
	case tagUnpersistable:
		*slot = Unpersistable{Reason: name}
	case tagModule:
		*slot = Module(name)
	case tagClass:
		*slot = Class(name)
	case tagFunction:
		*slot = Function(name)
	case tagMethod:
		return d.method(name, start, n, slot)
	}
	return hashable, d.skip(n - 1)
}

// name reads the name at the head of a class, module, function or method, or the reason of an unpersistable object.
func (d *Decoder) name(t tag, start, n int) (string, error) {
	at := d.r.Offset()
	token, err := d.text(t, n)
	if err != nil {
		return "", err
	}
	name := token.Text()
	if t == tagUnpersistable {
		return name, nil
	}
	if len(name) > maxClassName || !utf8.ValidString(name) {
		return "", d.fail(at, fmt.Sprintf("%q is no name of a %s", clip(name), t))
	}
	switch {
	case t == tagModule && !d.Taster.ModuleAllowed(name):
		return "", d.insecure(start, "module %q is not allowed: SecurityOptions.AllowModules would allow it",
			clip(name))
	case t == tagClass && (!d.Taster.ModuleAllowed(moduleOf(name)) || !d.Taster.ClassAllowed(name)):
		return "", d.insecure(start, "class %q is not allowed: SecurityOptions.AllowInstancesOf would allow it",
			clip(name))
	case t == tagFunction && !d.Taster.ModuleAllowed(moduleOf(name)):
		return "", d.insecure(start, "function %q is not allowed: SecurityOptions.AllowModules would allow it",
			clip(name))
	}
	return name, nil
}

// method decodes the rest of [method name self class] after the name.
func (d *Decoder) method(name string, start, n int, slot *any) (hash, error) {
	if n < 3 {
		return 0, d.fail(start, "method needs a name, an object and a class")
	}
	m := &Method{Name: name}
	*slot = m
	d.begun(m, hashable)
	if _, err := d.value(&m.Self); err != nil {
		return 0, err
	}
	at := d.r.Offset()
	if _, err := d.value(&m.Class); err != nil {
		return 0, err
	}
	if _, ok := m.Class.(Class); !ok {
		return 0, d.insecure(at, "the class of a method is not a class")
	}
	return hashable, d.skip(n - 3)
}

// oldInstance decodes [instance [class name] state].
func (d *Decoder) oldInstance(start, n int, slot *any) (hash, error) {
	pending := d.refs.pending
	d.refs.pending = nil // The pending references are to the object, not its class.
	var class any
	at := d.r.Offset()
	if _, err := d.value(&class); err != nil {
		return 0, err
	}
	d.refs.pending = pending
	name, ok := class.(Class)
	if !ok {
		return 0, d.insecure(at, "the class of an instance is not a class")
	}
	if found, ok := d.Registry.lookup([]byte(name)); ok && found.Kind == RemoteCopy {
		return d.registered(found, start, n-1, slot)
	}
	x := &Instance{Class: string(name), Old: true}
	*slot = x
	d.begun(x, hashable)
	if _, err := d.value(&x.State); err != nil {
		return 0, err
	}
	return hashable, d.skip(n - 2)
}
