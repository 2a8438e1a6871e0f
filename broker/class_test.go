package broker_test

import (
	"errors"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

// classRoot gives out and takes references that carry a class.
type classRoot struct {
	flavors.Root
	last *flavors.RemoteReference
	own  *classed
	enum *enum
}

// enum is made from all its elements, as Flumotion's enums are.
type enum struct{ elements []any }

func (e *enum) SetElements(elements []any) error {
	if len(elements) == 0 {
		return errors.New("an enum needs elements")
	}
	e.elements = elements
	return nil
}

func (r *classRoot) RemoteEnum(e *enum) []any {
	r.enum = e
	return e.elements
}

// classed is an object whose reference carries a class.
type classed struct {
	flavors.Referenceable
	class  string
	extras []any
}

func (c *classed) ReferenceClass() (string, []any) { return c.class, c.extras }

func (c *classed) RemotePing() string { return "pong" }

func (r *classRoot) RemoteTake(ref *flavors.RemoteReference) jelly.Tuple {
	r.last = ref
	return jelly.Tuple{ref.Class(), ref.Extras(), ref}
}

func (*classRoot) RemoteEcho(v any) any { return v }

func (r *classRoot) RemoteRelease() { r.last.Release() }

func (r *classRoot) RemoteGive(class string, extras ...any) *classed {
	r.own = &classed{class: class, extras: extras}
	return r.own
}

func (r *classRoot) RemoteSame(obj *classed) bool { return obj == r.own }

func classServer(t *testing.T) *server {
	registry := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterReference(registry, "words.Mind"))
	require.NoError(t, flavors.RegisterReference(registry, "words.Group"))
	require.NoError(t, flavors.RegisterElements[enum](registry, "flumotion.Enum"))
	return newServer(t, &classRoot{}, broker.WithRegistry(registry))
}

// The clause P-5.9.
func TestReferenceClass(t *testing.T) {
	t.Run("received", func(t *testing.T) {
		p := classServer(t).peer()
		p.Write(`[message 1 root take 1 [tuple ["words.Mind" 7]] [dictionary]]`)
		p.Want(`[answer 1 [tuple [unicode "words.Mind"] [list] [local 7]]]`)
		p.Write(`[message 2 root release 1 [tuple] [dictionary]]`)
		p.Want(`[decref 7]`, `[answer 2 [None]]`)
	})
	t.Run("with extras", func(t *testing.T) {
		p := classServer(t).peer()
		p.Write(`[message 1 root take 1 [tuple ["words.Group" "lobby" [unicode "x"] 3 8]] [dictionary]]`)
		p.Want(`[answer 1 [tuple [unicode "words.Group"] [list "lobby" [unicode "x"] 3] [local 8]]]`)
		// The latest mention counts, and each mention is a receipt.
		p.Write(`[message 2 root take 1 [tuple ["words.Group" "hall" 8]] [dictionary]]`)
		p.Want(`[answer 2 [tuple [unicode "words.Group"] [list "hall"] [local 8]]]`)
		p.Write(`[message 3 root release 1 [tuple] [dictionary]]`)
		p.Want(`[decref 8]`, `[answer 3 [None]]`)
		p.Write(`[message 4 root release 1 [tuple] [dictionary]]`)
		p.Want(`[decref 8]`, `[answer 4 [None]]`)
	})
	t.Run("sent", func(t *testing.T) {
		p := classServer(t).peer()
		p.Write(`[message 1 root give 1 [tuple [unicode "words.Group"] "lobby" 5] [dictionary]]`)
		p.Want(`[answer 1 ["words.Group" "lobby" 5 $n]]`)
		p.Write(`[message 2 $n ping 1 [tuple] [dictionary]]`, `[message 3 $n ping 1 [tuple] [dictionary]]`)
		p.Want(`[answer 2 [unicode pong]]`, `[answer 3 [unicode pong]]`)
		p.Write(`[message 3 root same 1 [tuple [local $n]] [dictionary]]`)
		p.Want(`[answer 3 [boolean "true"]]`)
		p.Write(`[decref $n]`, `[message 4 $n ping 1 [tuple] [dictionary]]`)
		wantError(t, p, 4, "twisted.spread.pb.Error")
	})
	t.Run("no class is plain", func(t *testing.T) {
		p := classServer(t).peer()
		p.Write(`[message 1 root give 1 [tuple [unicode ""]] [dictionary]]`)
		p.Want(`[answer 1 [remote _]]`)
	})
	t.Run("a bad class fails the call", func(t *testing.T) {
		p := classServer(t).peer()
		p.Write(`[message 1 root give 1 [tuple [unicode "list"]] [dictionary]]`)
		wantAnyError(p, 1)
	})
}

// The clause P-5.10.
func TestReferenceClassRefused(t *testing.T) {
	const refused = `[error _ ["twisted.spread.pb.CopyableFailure" _]]`
	t.Run("not registered", func(t *testing.T) {
		p := classServer(t).peer()
		p.Write(`[message 1 root take 1 [tuple ["words.Other" "name" 9]] [dictionary]]`)
		p.Want(refused)
		p.WantIdle()
	})
	t.Run("registered, in a refused message", func(t *testing.T) {
		p := classServer(t).peer()
		p.Write(`[message 1 root take 1 [tuple ["words.Group" "a" 9] ["some.Class" [dictionary]]] [dictionary]]`)
		p.Want(`[decref 9]`, refused)
		p.Write(`[message 2 77 take 1 [tuple ["words.Group" "a" 9]] [dictionary]]`)
		p.Want(`[decref 9]`, refused)
	})
	t.Run("extras too long", func(t *testing.T) {
		p := classServer(t).peer()
		p.Write(`[message 1 root take 1 [tuple ["words.Group" "` + string(make([]byte, 1025)) + `" 9]] [dictionary]]`)
		p.Want(`[decref 9]`, refused)
	})
	t.Run("without a number", func(t *testing.T) {
		p := classServer(t).peer()
		p.Write(`[message 1 root take 1 [tuple ["words.Group" "a"]] [dictionary]]`,
			`[message 2 root take 1 [tuple ["words.Group"]] [dictionary]]`)
		p.Want(refused, refused)
		p.WantIdle()
	})
}

// The clause P-7.9.
func TestElements(t *testing.T) {
	p := classServer(t).peer()
	p.Write(`[message 1 root enum 1 [tuple ["flumotion.Enum" "Mood" 3 [unicode joy] [tuple [remote 5]]]] [dictionary]]`)
	p.Want(`[answer 1 [list "Mood" 3 [unicode joy] [tuple [local 5]]]]`)
	p.Write(`[message 2 root echo 1 [tuple [list [reference 1 ["flumotion.Enum" 4]] [dereference 1]]] [dictionary]]`)
	wantAnyError(p, 2) // An enum cannot be sent.
	t.Run("an error fails the call", func(t *testing.T) {
		p.Write(`[message 3 root enum 1 [tuple ["flumotion.Enum"]] [dictionary]]`)
		wantAnyError(p, 3)
	})
}
