package cluster

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// Placement is the place of an object, for the factory of its kind.
type Placement struct {
	// Kind and ID name the object.
	Kind, ID string
	// Token is a fencing token: the revision in which the node got the object's shard. Every later activation on another
	// node has a greater one. A storage that the kind writes to should refuse a write with a smaller token than one that
	// it has seen.
	Token int64
	// Ref is the reference to the object, for what it tells others about itself.
	Ref *Ref
	// Context ends with the activation.
	Context context.Context
}

// User is the perspective of the calls that a user makes through a gateway: the first parameter of a View method of a
// placed object.
type User struct {
	// Name is what the user's avatar at the gateway returns from a method UserName() string; "" if it has none, or nobody
	// has logged in.
	Name string
	// Gateway is the node that the user is connected to.
	Gateway string
}

// KindOption configures a kind; see [OnPassivate] and [IdleAfter].
type KindOption interface{ applyKind(k *kind) error }

type kindOption func(k *kind) error

func (o kindOption) applyKind(k *kind) error { return o(k) }

// IdleAfter ends an activation to which nobody has made a call for that long, if no call is under way. References that
// others hold do not count: they stay good, and the next call activates the object again. By default activations stay.
func IdleAfter(d time.Duration) KindOption {
	return kindOption(func(k *kind) error {
		if d <= 0 {
			return fmt.Errorf("cluster: IdleAfter(%v): the time must be positive", d)
		}
		k.idle = d
		return nil
	})
}

// OnPassivate has an object save its state when its activation ends in order: after its idle time, when its node
// leaves, and when another node is to have it. save is a method of the object, such as (*Room).Save, without
// parameters or with a context, and without a result or with an error, which is logged. It runs in the object's turn,
// behind all calls. An activation whose node was lost, or has lost its lease, ends without it.
func OnPassivate(save any) KindOption {
	return kindOption(func(k *kind) error {
		f := reflect.ValueOf(save)
		if f.Kind() != reflect.Func || f.IsNil() {
			return errors.New("cluster: OnPassivate needs a method, such as (*Room).Save")
		}
		t := f.Type()
		withContext := t.NumIn() == 2 && t.In(1) == reflect.TypeFor[context.Context]()
		withError := t.NumOut() == 1 && t.Out(0) == reflect.TypeFor[error]()
		if t.NumIn() != 1 && !withContext || t.NumOut() != 0 && !withError || t.IsVariadic() {
			return fmt.Errorf("cluster: OnPassivate cannot use a %v; a method takes a context or nothing, and returns an "+
				"error or nothing", t)
		}
		k.saves = t.In(0)
		k.save = func(ctx context.Context, object any) error {
			in := []reflect.Value{reflect.ValueOf(object)}
			if withContext {
				in = append(in, reflect.ValueOf(ctx))
			}
			if out := f.Call(in); withError {
				err, _ := out[0].Interface().(error)
				return err
			}
			return nil
		}
		return nil
	})
}

// kind is a kind of objects that this node offers.
type kind struct {
	name     string
	produce  func(p Placement) (any, error)
	save     func(ctx context.Context, object any) error // nil if there is nothing to save
	saves    reflect.Type
	idle     time.Duration // 0 for never
	viewable bool          // calls carry the user
}

// object is what a factory must return.
type object interface {
	Do(f func()) *actor.Deferred
}

func newKind(name string, factory any, opts []KindOption) (*kind, error) {
	if name == "" {
		return nil, errors.New("cluster: a kind needs a name")
	}
	k := &kind{name: name}
	f := reflect.ValueOf(factory)
	if f.Kind() != reflect.Func || f.IsNil() {
		return nil, fmt.Errorf("cluster: kind %q: the factory must be a function", name)
	}
	t := f.Type()
	byID, byPlacement := reflect.TypeFor[string](), reflect.TypeFor[Placement]()
	withError := t.NumOut() == 2 && t.Out(1) == reflect.TypeFor[error]()
	if t.NumIn() != 1 || t.IsVariadic() || t.In(0) != byID && t.In(0) != byPlacement || t.NumOut() != 1 && !withError {
		return nil, fmt.Errorf("cluster: kind %q: the factory is a %v; it must take the id or a cluster.Placement, and "+
			"return the object, or the object and an error", name, t)
	}
	made := t.Out(0)
	if !made.Implements(reflect.TypeFor[object]()) {
		return nil, fmt.Errorf(
			"cluster: kind %q: %v embeds neither flavors.Referenceable, flavors.Viewable nor flavors.Avatar", name, made)
	}
	k.viewable = embeds(made, reflect.TypeFor[flavors.Viewable]())
	k.produce = func(p Placement) (any, error) {
		in := reflect.ValueOf(p)
		if t.In(0) == byID {
			in = reflect.ValueOf(p.ID)
		}
		out := f.Call([]reflect.Value{in})
		if withError {
			if err, _ := out[1].Interface().(error); err != nil {
				return nil, err
			}
		}
		if out[0].IsNil() {
			return nil, fmt.Errorf("cluster: the factory of kind %q has returned nil", name)
		}
		return out[0].Interface(), nil
	}
	for _, o := range opts {
		if o == nil {
			return nil, fmt.Errorf("cluster: kind %q: an option is nil", name)
		}
		if err := o.applyKind(k); err != nil {
			return nil, fmt.Errorf("kind %q: %w", name, err)
		}
	}
	if k.save != nil && !made.AssignableTo(k.saves) {
		return nil, fmt.Errorf("cluster: kind %q: OnPassivate has a method of %v, the factory returns a %v",
			name, k.saves, made)
	}
	return k, nil
}

// embeds reports whether a struct, or a pointer to one, embeds another at any depth.
func embeds(t, flavor reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && (f.Type == flavor || embeds(f.Type, flavor)) {
			return true
		}
	}
	return false
}
