package flavors

import (
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Types that others embed for their methods, which only reflection uses. socket was not written for peers; service was.
type socket struct{ n int }

func (s socket) RemoteAddr() int   { return 0 }
func (s *socket) RemotePort() int  { return s.n }
func (s *socket) RemoteReset()     {}
func (s socket) Close() error      { return nil }
func (s *socket) setN(n int)       { s.n = n }
func (s *socket) RemoteN(int) bool { s.setN(0); return true }

// It has a pointer, because methods with value receivers copy the struct.
type service struct {
	*Referenceable
	hits int
}

func (s *service) RemotePing() string { s.hits++; return "pong" }
func (s service) RemoteName() string  { return "service" }

// An embedded interface.
type addresser interface{ RemoteAddr() net.Addr }

// An interface with its own encoding. Its methods are still not known to be for peers.
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

// jellyable has a JellyTo method, as flavors do.
type jellyable interface{ jelly.Jellyable }

type (
	// Types with PublishMethods.
	hidesSome struct {
		Referenceable
		socket
	}
	hidesFlavor struct{ hidesSome }
	ownSet      struct{ hidesSome }
	ownMixin    struct {
		Referenceable
		mixin
	}
	mixin struct{} // no flavor
	// Types that declare a method over one of the same signature.
	sameAddr struct {
		Referenceable
		socket
	}
	sameByValue struct {
		*Referenceable
		socket
	}
	valueConn struct {
		*Referenceable
		net.Conn
	}
	functions struct {
		Referenceable
		socket
	}
	pointerAddr struct {
		Referenceable
		socket
	}
	samePing   struct{ service }
	twoFlavors struct {
		service
		second
	}
	second  struct{ Viewable }
	alias   = service
	aliased struct{ alias }
	namedAs struct {
		Referenceable
		socketAlias
	}
	// The embedded method has a pointer receiver, so the method of the value is not promoted.
	otherReceiver struct {
		*Referenceable
		socket
	}
	jellied struct {
		Referenceable
		selfJellied
	}
	selfJellied struct{}
	copies      struct {
		Referenceable
		copyable
	}
	copyable struct{ Copyable }
)

func (*hidesSome) PublishMethods(Prefix) MethodSet {
	return Methods(Hide("RemoteAddr", "RemotePort", "RemoteN"), Publish("again", "RemoteReset"))
}
func (v valueConn) RemoteAddr() net.Addr { return v.Conn.RemoteAddr() }
func (*functions) PublishMethods(Prefix) MethodSet {
	return Methods(Proc0("addr", func(*functions, *Invocation) error { return nil }))
}
func (*ownSet) PublishMethods(Prefix) MethodSet        { return MethodSet{} }
func (*mixin) RemoteMixed()                            {}
func (*sameAddr) RemotePort() int                      { return 1 }
func (*pointerAddr) RemoteAddr() int                   { return 1 }
func (sameByValue) RemoteAddr() int                    { return 1 }
func (*samePing) RemotePing() string                   { return "own" }
func (*second) RemotePing() string                     { return "second" }
func (otherReceiver) RemotePort() int                  { return 1 }
func (*selfJellied) JellyTo(*jelly.Encoder, any) error { return nil }
func (*selfJellied) RemoteX()                          {}
func (copyable) RemoteX()                              {}

type socketAlias = socket

func TestPromotedMethods(t *testing.T) {
	all := []string{"RemoteAddr", "RemoteN", "RemotePort", "RemoteReset"} // of a socket
	for name, tc := range map[string]struct {
		recv  any
		names []string // published
		asked []string // that must be listed
	}{
		"nothing":             {&plain{}, nil, nil},
		"own":                 {&service{}, []string{"RemoteName", "RemotePing"}, nil},
		"embedded by value":   {&byValue{}, nil, all},
		"embedded by pointer": {&byPointer{}, nil, all},
		"an alias":            {&namedAs{}, nil, all},
		"overridden": {&overriding{}, []string{"RemoteAddr"},
			[]string{"RemoteN", "RemotePort", "RemoteReset"}},
		"overridden, value receivers": {&overridingByValue{}, []string{"RemoteAddr", "RemotePort"},
			[]string{"RemoteN", "RemoteReset"}},
		"overridden, by pointer": {&overridingPointer{}, []string{"RemotePort"},
			[]string{"RemoteAddr", "RemoteN", "RemoteReset"}},
		"overridden, same signature": {&sameAddr{}, nil, all},
		"overridden by a pointer's": {&pointerAddr{}, []string{"RemoteAddr"},
			[]string{"RemoteN", "RemotePort", "RemoteReset"}},
		"same signature, by value": {&sameByValue{}, nil, all},
		"overridden, other receiver": {&otherReceiver{}, []string{"RemotePort"},
			[]string{"RemoteAddr", "RemoteN", "RemoteReset"}},
		"an interface":             {&conn{}, nil, []string{"RemoteAddr"}},
		"an interface, overridden": {&overridingConn{}, []string{"RemoteAddr"}, nil},
		"an interface, by value":   {&valueConn{}, nil, []string{"RemoteAddr"}},
		"a function in its place":  {&functions{}, nil, []string{"RemoteN", "RemotePort", "RemoteReset"}},
		"an interface with jelly":  {&ownFlavor{}, nil, []string{"RemoteAddr"}},
		"a flavor":                 {&derived{}, []string{"RemoteName", "RemotePing"}, nil},
		"a flavor by an alias":     {&aliased{}, []string{"RemoteName", "RemotePing"}, nil},
		"a flavor by pointer":      {&derivedPointer{}, []string{"RemoteName", "RemotePing"}, nil},
		"a flavor at depth 2":      {&derivedTwice{}, []string{"RemoteName", "RemotePing"}, nil},
		"a flavor, overridden":     {&derivedOver{}, []string{"RemoteName", "RemotePing"}, nil},
		"a flavor, same signature": {&samePing{}, []string{"RemoteName", "RemotePing"}, nil},
		"two flavors":              {&twoFlavors{}, []string{"RemoteName"}, nil},
		"a flavor and no flavor":   {&socketService{}, []string{"RemoteName", "RemotePing"}, all},
		"the same, one deeper":     {&deepSocket{}, []string{"RemoteName", "RemotePing"}, all},
		"overridden in the flavor": {&deepOver{}, []string{"RemoteAddr"},
			[]string{"RemoteN", "RemotePort", "RemoteReset"}},
		"a field that is not embedded": {&wrapsSocket{}, []string{"RemoteAddr"}, nil},
		"no flavor at depth 2":         {&embedsWrapper{}, nil, all},
		"a generic flavor":             {&boxed{}, []string{"RemoteGet", "RemoteKind"}, nil},
		"a generic flavor by pointer":  {&boxedPointer{}, []string{"RemoteGet", "RemoteKind"}, nil},
		"generic":                      {&box[any]{}, []string{"RemoteGet", "RemoteKind"}, nil},
		"generic, overriding": {&genericOver[string]{}, []string{"RemoteAddr"},
			[]string{"RemoteN", "RemotePort", "RemoteReset"}},
		"generic, pointer receiver": {&genericOver[int]{}, []string{"RemoteAddr"},
			[]string{"RemoteN", "RemotePort", "RemoteReset"}},
		"two that cancel out": {&clash{}, nil, []string{"RemoteN", "RemotePort", "RemoteReset"}},
		"two, overridden": {&clashOver{}, []string{"RemoteAddr"},
			[]string{"RemoteN", "RemotePort", "RemoteReset"}},
		"a nearer flavor hides it": {&shadowed{}, []string{"RemoteAddr"},
			[]string{"RemoteN", "RemotePort", "RemoteReset"}},
		"a recursive type":           {&recursive{}, []string{"RemoteSelf"}, nil},
		"mutually recursive":         {&looped{}, nil, all},
		"hidden and published":       {&hidesSome{}, nil, nil},
		"hidden in the flavor":       {&hidesFlavor{}, nil, nil},
		"hidden in the flavor, lost": {&ownSet{}, nil, all},
		"a mixin of one's own":       {&ownMixin{}, nil, []string{"RemoteMixed"}},
		"jelly without a flavor":     {&jellied{}, nil, []string{"RemoteX"}},
		"a Copyable":                 {&copies{}, []string{"RemoteX"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			typ := reflect.TypeOf(tc.recv)
			set, err := publishedBy(typ, PrefixRemote)
			require.NoError(t, err)
			methods, asked := wireMethods(typ, PrefixRemote, set)
			assert.Equal(t, tc.names, goNames(methods))
			assert.Equal(t, tc.asked, goNames(asked))
			_, err = TableOf(tc.recv, PrefixRemote)
			if tc.asked == nil {
				assert.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, strings.Join(tc.asked, ", "))
			assert.ErrorContains(t, err, "flavors.Publish(")
			assert.ErrorContains(t, err, "flavors.Hide(")
		})
	}
}

func goNames(methods []reflect.Method) (names []string) {
	for _, m := range methods {
		names = append(names, m.Name)
	}
	return names
}

// Publish and Hide decide for every prefix.
func TestPublishOrHide(t *testing.T) {
	table := tableFor(t, &hidesSome{}, PrefixRemote)
	assert.Equal(t, []string{"again"}, table.Names())
	for p, recv := range map[Prefix]any{
		PrefixRemote: &byPrefix{}, PrefixView: &byPrefix{}, PrefixPerspective: &byPrefix{}, PrefixObserve: &byPrefix{},
	} {
		_, err := TableOf(recv, p)
		assert.ErrorContains(t, err, string(p)+"It: promoted", p)
	}
	_, err := TableOf(&typo{}, PrefixRemote)
	assert.ErrorContains(t, err, "method RemoteDebgu, to be hidden")
}

type byPrefix struct {
	Referenceable
	everything
}

type everything struct{}

func (everything) RemoteIt()      {}
func (everything) ViewIt(any)     {}
func (everything) PerspectiveIt() {}
func (everything) ObserveIt()     {}

type typo struct{ Referenceable }

func (*typo) RemoteDebug()                    {}
func (*typo) PublishMethods(Prefix) MethodSet { return Methods(Hide("RemoteDebgu")) }

// An object with an unlisted method is not sent, published, registered or viewed.
func TestUnlistedMethodRefused(t *testing.T) {
	_, err := coreOf(&byValue{})
	assert.ErrorContains(t, err, "it is not known whether peers may call")
	_, err = newLoginAnswer(&struct {
		Avatar
		everything
	}{})
	assert.ErrorContains(t, err, "PerspectiveIt")
	_, err = NewViewPoint(nil, &byPrefix{})
	assert.ErrorContains(t, err, "It: promoted")
	err = RegisterCache[unsettledCache](jelly.NewRegistry(), "m.C")
	assert.ErrorContains(t, err, "ObserveIt")
	_, err = coreOf(&struct {
		Cacheable
		everything
	}{})
	assert.ErrorContains(t, err, "It: promoted")
}

type unsettledCache struct {
	RemoteCache
	everything
}

func TestCallPromotedMethods(t *testing.T) {
	d := &derivedTwice{}
	got, err := callRemote(t, d, "ping")
	assert.NoError(t, err)
	assert.Equal(t, "pong", got)
	assert.Equal(t, 1, d.hits)
	got, err = callRemote(t, &recursive{}, "self")
	assert.NoError(t, err)
	assert.Equal(t, "self", got)
	_, err = callRemote(t, &hidesSome{}, "addr")
	assert.ErrorIs(t, err, NoSuchMethod)
	_, err = callRemote(t, &hidesSome{}, "again")
	assert.NoError(t, err)
}
