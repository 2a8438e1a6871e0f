package main

import (
	"math/big"

	"github.com/perspectivebroker/pb/flavors"
)

// Conformance is the root object. Each connection has its own. Its methods run one at a time, in the order of the
// calls.
type Conformance struct {
	flavors.Root
	server  *server
	held    map[string]any              // see references.go
	pond    *flavors.Cached[RemotePond] // see remotepond.go
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
