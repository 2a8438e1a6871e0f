package main

import (
	"errors"

	"github.com/perspectivebroker/pb/flavors"
)

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
