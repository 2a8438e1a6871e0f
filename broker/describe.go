package broker

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// describerName is the name under which the object that describes others is published (P-10.1).
const describerName = "perspectivebroker.describe"

// WithDescribe lets peers ask what is published: the methods, with their signatures and docs. Without it, which is the
// default, nothing tells them. The command pb uses it, and any peer can; see [Description].
//
// Signatures come from reflection, docs from a method DescribeMethods of the object ([flavors.Describer]), which code
// made by pb gen has. Before a login only published objects are described, and of a login nothing but that it is one.
// Other objects are described to those who have a reference to them.
func WithDescribe() Option {
	return optionFunc(func(o *options) error { o.describe = true; return nil })
}

// checkDescribe reports that the application publishes something under the describer's name.
func (o *options) checkDescribe() error {
	if _, taken := o.published[describerName]; taken && o.describe {
		return fmt.Errorf("broker: WithDescribe publishes an object as %q: give yours another name", describerName)
	}
	return nil
}

// Description describes an object to a peer that asks for it; see [WithDescribe].
type Description struct {
	// Type is the name of the object's Go type, "login" for a login.
	Type string `pb:"type"`
	// Methods are those that the asking peer can call, sorted by name. There are none for a login, and for an object
	// that handles all calls in one method and does not describe them.
	Methods []flavors.MethodInfo `pb:"methods"`
	// Published are the sorted names of all published objects.
	Published []string `pb:"published"`
}

// Describe asks the peer for the description of one of its objects: by the name under which it is published, such as
// "root", or by a reference. If the peer does not answer such questions, which is the default, the error is a
// [flavors.PBError].
func (c *Conn) Describe(ctx context.Context, object any) (Description, error) {
	return flavors.Call[Description](ctx, c.Published(describerName), "describe", object)
}

// describer is published with WithDescribe, one for each connection.
type describer struct {
	flavors.Referenceable
	objects map[string]any // what the connection publishes
}

// RemoteDescribe answers the description of an object (P-10.2).
func (d *describer) RemoteDescribe(o struct {
	Object any `pb:"object,default=root"`
}) (Description, error) {
	object := o.Object
	if b, ok := object.([]byte); ok {
		object = string(b)
	}
	published := false
	if name, ok := object.(string); ok {
		if object, published = d.objects[name]; !published {
			return Description{}, flavors.KeyError.Errorf("nothing is published as %q", clip(name))
		}
	}
	result := Description{Published: slices.Sorted(maps.Keys(d.objects))}
	if _, ok := object.(*loginRoot); ok {
		result.Type = "login"
		return result, nil
	}
	hole, err := internal.ExportOf(object)
	if err != nil {
		return Description{}, flavors.TypeError.Errorf("describe() wants the name of a published object, or a reference "+
			"to an object of this program, not a %s", jelly.TypeName(o.Object))
	}
	prefix := flavors.Prefix(hole.Prefix)
	if published && hole.View == nil && hole.Prefix != prefixView {
		prefix = flavors.PrefixRemote
	}
	v := hole.Core.Value()
	result.Type = reflect.TypeOf(v).Elem().Name()
	if result.Methods, err = flavors.Describe(v, prefix); err != nil {
		return Description{}, flavors.RuntimeError.Errorf("the object cannot be described: %w", err)
	}
	return result, nil
}
