package flavors

import (
	"net"
	"testing"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/assert"
)

// Most of the embedded fields below are for their methods' sake, which a linter cannot see: reflection finds them.
//
// The types that others embed. socket knows nothing of peers; service was written for them.
type socket struct{ n int }

func (s socket) RemoteAddr() int   { return 0 }
func (s *socket) RemotePort() int  { return s.n }
func (s *socket) RemoteReset()     {}
func (s socket) Close() error      { return nil }
func (s *socket) setN(n int)       { s.n = n }
func (s *socket) RemoteN(int) bool { s.setN(0); return true }

// The methods with value receivers copy the struct, so a pointer stands in it.
type service struct {
	*Referenceable
	hits int
}

func (s *service) RemotePing() string { s.hits++; return "pong" }
func (s service) RemoteName() string  { return "service" }

// An embedded interface of somebody's.
type addresser interface{ RemoteAddr() net.Addr }

// One that even sends itself: still nobody said that its methods are for peers.
type flavoured interface {
	addresser
	jellyable
}

type box[T any] struct {
	*Referenceable
	v T
}

func (b *box[T]) RemoteGet() T      { return b.v }
func (b box[T]) RemoteKind() string { return "box" }

type (
	plain   struct{ Referenceable }
	byValue struct {
		Referenceable
		socket
	}
	byPointer struct {
		Referenceable
		*socket
	}
	overriding struct {
		Referenceable
		socket
	}
	overridingByValue struct {
		*Referenceable
		socket
	}
	overridingPointer struct {
		Referenceable
		*socket
	}
	conn struct {
		Referenceable
		net.Conn
	}
	overridingConn struct {
		Referenceable
		net.Conn
	}
	ownFlavor struct {
		flavoured
	}
	derived        struct{ service }
	derivedPointer struct{ *service }
	derivedTwice   struct{ derived }
	derivedOver    struct{ service }
	socketService  struct {
		service
		socket
	}
	deepSocket    struct{ socketService }
	deepOver      struct{ overriding }
	wrapsSocket   struct{ inner socket }
	embedsWrapper struct {
		Referenceable
		layer
	}
	layer              struct{ socket }
	boxed              struct{ box[int] }
	boxedPointer       struct{ *box[string] }
	genericOver[T any] struct {
		Referenceable
		socket
		v T
	}
	clash struct {
		Referenceable
		socket
		other //nolint:unused // Its methods are what matters.
	}
	clashOver struct {
		Referenceable
		socket
		other //nolint:unused // Likewise.
	}
	other    struct{}
	shadowed struct {
		Referenceable
		nearer
		layer
	}
	nearer    struct{ Referenceable }
	recursive struct {
		Referenceable
		*recursive //nolint:unused // Likewise.
	}
	looped struct {
		Referenceable
		*loopA
	}
	loopA struct{ *loopB }
	loopB struct {
		*loopA //nolint:unused // Likewise.
		socket
	}
)

func (*overriding) RemoteAddr() string         { return "own" }
func (o overridingByValue) RemoteAddr() string { return "own" }
func (o overridingByValue) RemotePort() string { return "own" }
func (*overridingPointer) RemotePort() string  { return "own" }
func (o *overridingConn) RemoteAddr() net.Addr { return o.Conn.RemoteAddr() }
func (*derivedOver) RemotePing() string        { return "over" }
func (g *genericOver[T]) RemoteAddr() T        { return g.v }
func (other) RemoteAddr() int                  { return 1 }
func (*clashOver) RemoteAddr() int             { return 2 }
func (*nearer) RemoteAddr() string             { return "nearer" }
func (w *wrapsSocket) RemoteAddr() int         { return w.inner.RemoteAddr() }
func (*recursive) RemoteSelf() string          { return "self" }

// jellyable is what makes a type a flavor.
type jellyable interface{ jelly.Jellyable }

func TestPromotedMethods(t *testing.T) {
	for name, tc := range map[string]struct {
		recv any
		want []string
	}{
		"nothing":                      {&plain{}, nil},
		"own":                          {&service{}, []string{"name", "ping"}},
		"embedded by value":            {&byValue{}, nil},
		"embedded by pointer":          {&byPointer{}, nil},
		"overridden":                   {&overriding{}, []string{"addr"}},
		"overridden, value receivers":  {&overridingByValue{}, []string{"addr", "port"}},
		"overridden, by pointer":       {&overridingPointer{}, []string{"port"}},
		"an interface":                 {&conn{}, nil},
		"an interface, overridden":     {&overridingConn{}, []string{"addr"}},
		"an interface with jelly":      {&ownFlavor{}, nil},
		"a flavor":                     {&derived{}, []string{"name", "ping"}},
		"a flavor by pointer":          {&derivedPointer{}, []string{"name", "ping"}},
		"a flavor at depth 2":          {&derivedTwice{}, []string{"name", "ping"}},
		"a flavor, overridden":         {&derivedOver{}, []string{"name", "ping"}},
		"a flavor and no flavor":       {&socketService{}, []string{"name", "ping"}},
		"the same, one deeper":         {&deepSocket{}, []string{"name", "ping"}},
		"overridden in the flavor":     {&deepOver{}, []string{"addr"}},
		"a field that is not embedded": {&wrapsSocket{}, []string{"addr"}},
		"no flavor at depth 2":         {&embedsWrapper{}, nil},
		"a generic flavor":             {&boxed{}, []string{"get", "kind"}},
		"a generic flavor by pointer":  {&boxedPointer{}, []string{"get", "kind"}},
		"generic":                      {&box[any]{}, []string{"get", "kind"}},
		"generic, overriding":          {&genericOver[string]{}, []string{"addr"}},
		"two that cancel out":          {&clash{}, nil},
		"two, overridden":              {&clashOver{}, []string{"addr"}},
		"a nearer flavor hides it":     {&shadowed{}, []string{"addr"}},
		"a recursive type":             {&recursive{}, []string{"self"}},
		"mutually recursive":           {&looped{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.want, tableFor(t, tc.recv, PrefixRemote).Names())
		})
	}
}

func TestPromotedMethodsAreCalled(t *testing.T) {
	d := &derivedTwice{}
	got, err := callRemote(t, d, "ping")
	assert.NoError(t, err)
	assert.Equal(t, "pong", got)
	assert.Equal(t, 1, d.hits)
	_, err = callRemote(t, &byValue{}, "addr")
	assert.ErrorIs(t, err, NoSuchMethod)
	got, err = callRemote(t, &shadowed{}, "addr")
	assert.NoError(t, err)
	assert.Equal(t, "nearer", got)
}
