package gen

import (
	"fmt"
	"go/token"
	"go/types"
	"strings"
)

// Package is what is generated from.
type Package struct {
	Name, Path string
	Dir        string
	Interfaces []*Interface
	// Types are the named types of the interfaces, by name.
	Types map[string]*Named
	scope *types.Scope
}

// Interface is an interface that is marked.
type Interface struct {
	Name    string
	Class   string // that references to it carry; usually empty
	Doc     string
	Methods []*Method
	pos     token.Pos
	// transparent means that the client implements the interface.
	transparent bool
}

// Method is a method of an interface.
type Method struct {
	Go, Wire, Doc string
	Lead          []lead // parameters that do not come from the wire
	Params        []*Param
	Options       *Options
	Rest          bool // a parameter takes all other keywords
	Variadic      *Param
	Results       []*shape
	Error         bool
	Deferred      bool
	pos           token.Pos
}

type lead string

const (
	leadContext    lead = "context"
	leadInvocation lead = "invocation"
)

// Param is a parameter by position.
type Param struct {
	Name string
	*shape
}

// Options are a last parameter that is a struct of keywords.
type Options struct {
	Name      string
	Type      types.Type // of the struct
	Pointer   bool
	Fields    []*Field
	TakesDict bool
}

// Field is a field with a pb tag.
type Field struct {
	Name     string // on the wire
	Selector string // in Go
	*shape
	Optional  bool
	OmitEmpty bool
	Default   string // a Go expression; empty if there is none
}

// Named is a named type that occurs in a signature.
type Named struct {
	Kind   string // "copy", "dict" or "is"
	Is     string // for "is"
	Fields []Member
}

// Member is a field of a Named.
type Member struct{ Name, Type string }

// Error is a fault of the input, with its place.
type Error struct {
	Pos  token.Position
	Text string
}

func (e *Error) Error() string {
	if !e.Pos.IsValid() {
		return e.Text
	}
	return fmt.Sprintf("%s: %s", e.Pos, e.Text)
}

// Errors are several.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, x := range e {
		lines[i] = x.Error()
	}
	return strings.Join(lines, "\n")
}
