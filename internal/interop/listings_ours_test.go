package interop

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// The Go objects have the names of the listings' objects.

// two is the object that pb1, pb2 and pb3 pass around. It reports its argument to the test.
type two struct {
	flavors.Referenceable
	given chan int
}

func (t *two) RemoteThree(arg int) { t.given <- arg }
func (t *two) RemotePrint(arg int) { t.given <- arg }

// one is the root of those servers.
type one struct {
	flavors.Root
	two  *two
	told chan string
}

func (o *one) RemoteGetTwo() *two { return o.two }

func (o *one) RemoteCheckTwo(newTwo *two) {
	if newTwo == o.two {
		o.told <- "our twos are the same"
	} else {
		o.told <- "our twos differ"
	}
}

func (o *one) RemoteTakeTwo(inv *flavors.Invocation, theirs *flavors.RemoteReference) *actor.Deferred {
	return theirs.CallRemote("print", 12).Then(inv, func(any, error) (any, error) {
		o.told <- "their two was told to print"
		return nil, nil
	})
}

var (
	errMy          = flavors.NewException("__main__.MyError", flavors.PBError)
	errMyException = flavors.NewException("__main__.MyException", flavors.PBError)
)

func (o *one) RemoteBroken() error { return errMy.New("fall down go boom") }

func (o *one) RemoteFooMethod(arg any) (string, error) {
	if arg == "panic!" {
		return "", errMyException.New("")
	}
	return "response", nil
}

// RemoteShutdown is trap_server's: stopping its reactor closes every connection.
func (o *one) RemoteShutdown(inv *flavors.Invocation) {
	inv.Conn().(*broker.Conn).Abort(nil)
}

func (o *one) RemoteEcho(st string) string {
	o.told <- "echoing: " + st
	return st
}

// TestListingsAgainstOurServer runs the unchanged clients of twisted-doc against Go servers.
func TestListingsAgainstOurServer(t *testing.T) {
	stock.Require(t, stock.Docs)
	after := map[string]func(t *testing.T, root *one){
		"pb1":      func(t *testing.T, root *one) { assert.Equal(t, 12, <-root.two.given) },
		"pb2":      func(t *testing.T, root *one) { assert.Equal(t, "our twos are the same", <-root.told) },
		"pb3":      func(t *testing.T, root *one) { assert.Equal(t, "their two was told to print", <-root.told) },
		"pbsimple": func(t *testing.T, root *one) { assert.Equal(t, "echoing: hello network", <-root.told) },
	}
	for _, l := range listings() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			root := &one{two: &two{given: make(chan int, 1)}, told: make(chan string, 1)}
			ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", root)
			require.NoError(t, err)
			l.wantAtClient(t, stock.StartListing(t, l.client, ln.Addr().String()))
			if check := after[l.name]; check != nil {
				check(t, root)
			}
		})
	}
}

// TestListingsAgainstOurClient does in Go what the clients of twisted-doc do, against the unchanged servers.
func TestListingsAgainstOurClient(t *testing.T) {
	stock.Require(t, stock.Docs)
	clients := map[string]func(t *testing.T, conn *broker.Conn){
		"pb1": func(t *testing.T, conn *broker.Conn) {
			theirs := call[*flavors.RemoteReference](t, conn, "getTwo")
			_, err := flavors.Call[any](t.Context(), theirs, "three", 12)
			require.NoError(t, err)
		},
		"pb2": func(t *testing.T, conn *broker.Conn) {
			call[any](t, conn, "checkTwo", call[*flavors.RemoteReference](t, conn, "getTwo"))
		},
		"pb3": func(t *testing.T, conn *broker.Conn) {
			mine := &two{given: make(chan int, 1)}
			call[any](t, conn, "takeTwo", mine)
			assert.Equal(t, 12, <-mine.given)
		},
		"exc": func(t *testing.T, conn *broker.Conn) {
			_, err := flavors.Call[any](t.Context(), conn.Root(), "broken")
			require.ErrorIs(t, err, errMy)
			assert.ErrorContains(t, err, "fall down go boom")
			_, err = flavors.Call[any](t.Context(), conn.Root(), "broken2")
			require.ErrorIs(t, err, flavors.PlainException)
			require.NotErrorIs(t, err, flavors.PBError)
			assert.ErrorContains(t, err, "hadda owie")
		},
		"trap": func(t *testing.T, conn *broker.Conn) {
			assert.Equal(t, "response", call[string](t, conn, "fooMethod", "safe string"))
			_, err := flavors.Call[any](t.Context(), conn.Root(), "fooMethod", "panic!")
			require.ErrorIs(t, err, errMyException)
			_ = conn.Root().CallRemote("shutdown")
			<-conn.Done()
			_, err = flavors.Call[any](t.Context(), conn.Root(), "fooMethod", "dummy")
			require.ErrorIs(t, err, flavors.DeadReference)
		},
		"pbsimple": func(t *testing.T, conn *broker.Conn) {
			assert.Equal(t, "hello network", call[string](t, conn, "echo", "hello network"))
		},
	}
	for _, l := range listings() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			server := stock.StartListing(t, l.server, "")
			conn, err := broker.Dial(t.Context(), newRuntime(t), "pb://"+server.Addr())
			require.NoError(t, err)
			clients[l.name](t, conn)
			l.wantAtServer(server)
		})
	}
}

// helloer is the argument that pbinterop's local expects.
type helloer struct{ flavors.Referenceable }

func (*helloer) RemoteHello() string { return "hello, world" }

// TestPBInteropAgainstOurClient calls every method of pbinterop.py.
func TestPBInteropAgainstOurClient(t *testing.T) {
	stock.Require(t, stock.Docs)
	server := stock.StartListing(t, filepath.Join(stock.Examples, "pbinterop.py"), "")
	conn, err := broker.Dial(t.Context(), newRuntime(t), "pb://"+server.Addr())
	require.NoError(t, err)
	assert.Equal(t, 1, call[int](t, conn, "int"))
	assert.Equal(t, "string", call[string](t, conn, "string"))
	assert.Equal(t, "string", call[string](t, conn, "unicode"))
	assert.InDelta(t, 1.5, call[float64](t, conn, "float"), 0)
	assert.Equal(t, []int{1, 2, 3}, call[[]int](t, conn, "list"))
	assert.Equal(t, map[int]int{1: 2}, call[map[int]int](t, conn, "dict"))
	ring := call[[]any](t, conn, "recursive")
	inner, _ := ring[0].([]any)
	assert.Same(t, &ring[0], &inner[0])
	theirs := call[*flavors.RemoteReference](t, conn, "reference")
	assert.Same(t, theirs, call[*flavors.RemoteReference](t, conn, "reference"))
	call[any](t, conn, "local", &helloer{})
	call[any](t, conn, "receive", []any{1, 1.5, "hi", "hi", map[int]int{1: 2}})
	call[any](t, conn, "self", conn.Root())
	_, err = flavors.Call[any](t.Context(), conn.Root(), "copy", 7)
	require.Error(t, err, "its Copyable is of a class that nobody registered here")
	assert.Equal(t, 1, call[int](t, conn, "int"), "and the connection goes on")
}

// interop is pbinterop's object in Go.
type interop struct {
	flavors.Root
	o helloer
}

func (*interop) RemoteInt() int         { return 1 }
func (*interop) RemoteString() string   { return "string" }
func (*interop) RemoteUnicode() string  { return "string" }
func (*interop) RemoteFloat() float64   { return 1.5 }
func (*interop) RemoteList() []int      { return []int{1, 2, 3} }
func (*interop) RemoteDict() any        { return map[int]int{1: 2} }
func (i *interop) RemoteReference() any { return &i.o }

func (*interop) RemoteRecursive() []any {
	ring := []any{nil}
	ring[0] = ring
	return ring
}

func (*interop) RemoteLocal(inv *flavors.Invocation, obj *flavors.RemoteReference) *actor.Deferred {
	return obj.CallRemote("hello").Then(inv, func(result any, err error) (any, error) {
		if err == nil && result != "hello, world" {
			err = flavors.ValueError.Errorf("%v is not a greeting", result)
		}
		return nil, err
	})
}

func (*interop) RemoteReceive(obj []any) []any { return obj }

func (i *interop) RemoteSelf(obj any) error {
	if obj != any(i) {
		return flavors.ValueError.Errorf("%v is not me", obj)
	}
	return nil
}

// TestPBInterop runs one stock client against pbinterop.py and its Go counterpart.
func TestPBInterop(t *testing.T) {
	stock.Require(t, stock.Docs)
	t.Run("stock", func(t *testing.T) {
		server := stock.StartListing(t, filepath.Join(stock.Examples, "pbinterop.py"), "")
		Check(t, "pb://"+server.Addr(), "interop")
	})
	t.Run("ours", func(t *testing.T) {
		ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", &interop{})
		require.NoError(t, err)
		Check(t, ln.URL(), "interop")
	})
}
