package value

import (
	"fmt"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// Ref is a reference to an object of the peer.
type Ref struct{ ID int64 }

// JellyTo writes the reference so that the peer gets its own object.
func (r *Ref) JellyTo(e *jelly.Encoder, _ any) error { return mention(e, banana.SymLocal, r.ID) }

// Copy is a copy of an object of any class.
type Copy struct {
	Class string
	State any
}

// JellyTo writes the copy with its class and state.
func (c *Copy) JellyTo(e *jelly.Encoder, _ any) error { return e.Instance(c, c.Class, c.State) }

// Cache is a copy of a Cacheable of any class, with the state in which it was received.
type Cache struct {
	ID    int64
	Class string
	State any
}

// JellyTo writes the cache so that the peer gets its original.
func (c *Cache) JellyTo(e *jelly.Encoder, _ any) error { return mention(e, banana.SymLCache, c.ID) }

// Opaque is a value that has no literal, such as a module.
type Opaque struct {
	Kind string // one word, such as "module"
	Text any    // a name or a number
}

// opaque returns the form of a value that has no literal.
func opaque(v any) Opaque {
	switch v := v.(type) {
	case Opaque:
		return v
	case jelly.Class:
		return Opaque{"class", string(v)}
	case jelly.Module:
		return Opaque{"module", string(v)}
	case jelly.Function:
		return Opaque{"function", string(v)}
	case *jelly.Method:
		return Opaque{"method", v.Name}
	case jelly.Persistent:
		return Opaque{"persistent", v.ID}
	case jelly.Unpersistable:
		return Opaque{"unpersistable", v.Reason}
	case *jelly.Instance:
		return Opaque{"instance", v.Class}
	}
	return Opaque{"unknown", fmt.Sprintf("%T", v)}
}

func mention(e *jelly.Encoder, word banana.Symbol, id int64) error {
	if err := e.List(2); err != nil {
		return err
	}
	e.Symbol(word)
	e.Int(id)
	return nil
}
