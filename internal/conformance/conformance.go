package conformance

import (
	"context"
	"errors"
	"math/big"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// Conformance is the root object. Each connection has its own. Its methods run one at a time, in the order of the
// calls.
type Conformance struct {
	flavors.Root
	server  *server
	held    map[string]any
	pond    *flavors.Cached[RemotePond] // see pond.go
	pagings int                         // see pages.go
	timers  timers
}

// PublishMethods names the parameters for keyword arguments, with their defaults.
func (*Conformance) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Publish("echo", "RemoteEcho", "x"),
		flavors.Publish("add", "RemoteAdd", "a", "b=None"),
		flavors.Publish("fail", "RemoteFail", "kind", "text"),
		flavors.Publish("later", "RemoteLater", "ms", "x"),
		flavors.Publish("slow", "RemoteSlow", "ms"),
		flavors.Publish("callback", "RemoteCallback", "ref", "method", "args"),
		flavors.Publish("hold", "RemoteHold", "key", "ref"),
		flavors.Publish("held", "RemoteHeld", "key"),
		flavors.Publish("release", "RemoteRelease", "key"),
		flavors.Publish("point", "RemotePoint", "x", "y"),
		flavors.Publish("takePoint", "RemoteTakePoint", "p"),
		flavors.Publish("pond", "RemotePond", "name", "items"),
		flavors.Publish("pondAdd", "RemotePondAdd", "name", "item"),
		flavors.Publish("pondRemove", "RemotePondRemove", "name", "item"),
		flavors.Publish("pondObservers", "RemotePondObservers", "name"),
		flavors.Publish("takePond", "RemoteTakePond", "p"),
		flavors.Publish("pages", "RemotePages", "collector", "size", "chunk"),
		flavors.Publish("leave", "RemoteLeave", "key", "x"),
		flavors.Publish("fetch", "RemoteFetch", "key"),
		flavors.Publish("collect", "RemoteCollect", "ref", "method"),
	)
}

// RemoteEcho returns its argument.
func (*Conformance) RemoteEcho(x any) any { return x }

// RemoteAdd adds integers of any size; b is 10 by default. A sum that Banana cannot carry fails the call.
func (*Conformance) RemoteAdd(a, b *big.Int) (*big.Int, error) {
	if a == nil {
		return nil, flavors.TypeError.Errorf("None cannot be added to")
	}
	if b == nil {
		b = big.NewInt(10)
	}
	return new(big.Int).Add(a, b), nil
}

// RemoteKwargs returns its positional and keyword arguments.
func (*Conformance) RemoteKwargs(kw flavors.Kw, args ...any) []any { return []any{args, kw} }

// RemoteCallback calls a method of the peer's object and returns its result or failure. That call has what is left of
// this one's time, and is cancelled with it.
func (*Conformance) RemoteCallback(
	ctx context.Context,
	ref *flavors.RemoteReference,
	method string,
	args []any,
) *actor.Deferred {
	return ref.CallRemoteContext(ctx, method, args...)
}

// RemoteHold keeps a reference under a key. It replaces the previous one.
func (c *Conformance) RemoteHold(key string, ref any) {
	c.letGo(key)
	c.held[key] = ref
}

// RemoteHeld returns the reference that is kept under a key.
func (c *Conformance) RemoteHeld(key string) (any, error) {
	ref, ok := c.held[key]
	if !ok {
		return nil, flavors.KeyError.Errorf("nothing is held as %q", key)
	}
	return ref, nil
}

// RemoteRelease releases the reference that is kept under a key, at once.
func (c *Conformance) RemoteRelease(key string) error {
	if _, err := c.RemoteHeld(key); err != nil {
		return err
	}
	c.letGo(key)
	return nil
}

func (c *Conformance) letGo(key string) {
	if handle, ok := c.held[key].(interface{ Release() }); ok {
		handle.Release()
	}
	delete(c.held, key)
}

// custom is a failure that peers trap as conformance.Custom or builtins.Exception.
var custom = flavors.NewException("conformance.Custom")

// RemoteFail fails with a plain Go error, a typed one, or a panic.
func (*Conformance) RemoteFail(kind, text string) error {
	switch kind {
	case "error":
		return errors.New(text)
	case "typed":
		return custom.New(text)
	case "panic":
		panic(text) //nolint:forbidigo // that is what it is asked for
	}
	return flavors.ValueError.Errorf("there is no failure of kind %q; known are error, typed and panic", kind)
}

// pointClass is Point's class name on the wire.
const pointClass = "conformance.Point"

// Point is passed by copy, in both directions.
type Point struct {
	flavors.Copyable
	X any `pb:"x"`
	Y any `pb:"y"`
}

// TypeToCopy implements the flavor's class name.
func (*Point) TypeToCopy() string { return pointClass }

// RemotePoint returns a Point.
func (*Conformance) RemotePoint(x, y any) *Point { return &Point{X: x, Y: y} }

// RemoteTakePoint returns the fields of a received copy. Other classes are not registered, so they are refused before.
func (*Conformance) RemoteTakePoint(p *Point) ([]any, error) {
	if p == nil {
		return nil, flavors.TypeError.Errorf("None is no Point")
	}
	return []any{p.X, p.Y}, nil
}
