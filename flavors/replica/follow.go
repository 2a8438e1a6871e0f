package replica

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// fetch calls a method that returns an original, and returns the copy. wanted is what the method must return, such as
// "Map[string, int]".
func fetch[C any](
	ctx context.Context, r *flavors.RemoteReference, wanted, method string, args ...any,
) (*flavors.Cached[C], error) {
	answer, err := flavors.Call[any](ctx, r, method, args...)
	if err != nil {
		return nil, err
	}
	if cached, ok := answer.(*flavors.Cached[C]); ok {
		return cached, nil
	}
	what := jelly.TypeName(answer)
	switch handle := answer.(type) {
	case interface{ Release() }:
		what = "a " + nameOf(answer)
		handle.Release()
	case nil:
	default:
		what = "of type " + what
	}
	return nil, fmt.Errorf("replica: the answer of %s is %s, not a replica.%s: the method must return a *replica.%s, "+
		"and its class be registered by replica.Register%s", method, what, wanted, wanted, wanted)
}

// typeArguments returns the type arguments as they are written in Go.
func typeArguments(types ...reflect.Type) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// nameOf returns the name of a value's type without the import path of this package.
func nameOf(v any) string {
	path := reflect.TypeFor[original]().PkgPath()
	return strings.ReplaceAll(fmt.Sprintf("%T", v), path+".", "replica.")
}
