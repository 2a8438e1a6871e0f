package flavors_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/supervision"
)

// A beginner's types, each with one mistake.
type (
	counter struct { // none
		flavors.Root
		n int
	}
	unfillable struct{ flavors.Root }
	unsendable struct{ flavors.Root }
	errorFirst struct{ flavors.Root }
	twoFlavors struct {
		flavors.Referenceable
		flavors.Viewable
	}
	copyAndReference struct {
		flavors.Copyable
		flavors.Referenceable
	}
	noFlavor struct{ N int }
	point    struct {
		flavors.Copyable
		X int `pb:"x"`
	}
	wrongHook struct {
		flavors.Copyable
		X int `pb:"x"`
	}
	misnamed struct{ flavors.Root }
	unmarked struct{ flavors.Root }
	misspelt struct{ flavors.Root }
	lender   struct{ flavors.Root }
	untagged struct {
		flavors.Copyable
		X int
	}
	original struct {
		flavors.Cacheable
		X int `pb:"x"`
	}
	copied struct {
		flavors.RemoteCache
		X int `pb:"x"`
	}
	refByValue   struct{ flavors.Root }
	cacheByValue struct{ flavors.Root }
	laterByValue struct{ flavors.Root }
)

func (c *counter) RemoteIncrement() int           { c.n++; return c.n }
func (*counter) RemoteTake(any)                   {}
func (*unfillable) RemoteListen(chan int)         {}
func (*unsendable) RemoteEvents() chan int        { return nil }
func (*errorFirst) RemoteGet() (error, int)       { return nil, 0 } //nolint:revive,staticcheck // That is the mistake.
func (*point) TypeToCopy() string                 { return "geometry.Point" }
func (*wrongHook) StateToCopy(any) map[string]any { return nil }
func (*misnamed) PerspectiveIncr() int            { return 0 }
func (*unmarked) Incr() int                       { return 0 }
func (*untagged) TypeToCopy() string              { return "geometry.Point" }
func (*original) TypeToCopy() string              { return "geometry.Point" }

func (*refByValue) RemoteTake(flavors.RemoteReference)  {}
func (*cacheByValue) RemoteTake(flavors.Cached[copied]) {}
func (*laterByValue) RemoteGet() actor.Deferred         { panic("is not called") }
func (*misspelt) RemoteModel() string                   { return "" }
func (*misspelt) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("model", "RemoteModle"))
}

// RemoteCall waits in its own turn for a peer that calls back.
func (*lender) RemoteCall(inv *flavors.Invocation, back *flavors.RemoteReference) (any, error) {
	return flavors.Call[any](inv.Context(), back, "back", back)
}

// TestBeginnersMistakes makes the mistakes of the first hour. Each fails at start-up, at the call, or in the log, and
// says what to write instead.
func TestBeginnersMistakes(t *testing.T) {
	listen := func(root any) func(*testing.T) string {
		return func(t *testing.T) string {
			_, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", root)
			require.Error(t, err)
			return err.Error()
		}
	}
	pass := func(v any) func(*testing.T) string {
		return func(t *testing.T) string {
			_, err := flavors.Call[any](t.Context(), newServer(t, &counter{}).Dial().Root(), "take", v)
			require.Error(t, err)
			return err.Error()
		}
	}
	accept := func(v any, register func(r *jelly.Registry) error) func(*testing.T) string {
		return func(t *testing.T) string {
			r := jelly.NewRegistry()
			require.NoError(t, register(r))
			ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", &counter{}, broker.WithRegistry(r))
			require.NoError(t, err)
			conn, err := broker.Dial(t.Context(), newRuntime(t), ln.URL())
			require.NoError(t, err)
			_, err = flavors.Call[any](t.Context(), conn.Root(), "take", v)
			require.Error(t, err)
			return err.Error()
		}
	}
	register := func(err error) func(*testing.T) string {
		return func(t *testing.T) string {
			require.Error(t, err)
			return err.Error()
		}
	}
	logged := func(root any, method string) func(*testing.T) string {
		return func(t *testing.T) string { return warningOf(t, time.Hour, root, method) }
	}
	sent := &counter{}
	byValue := reflect.ValueOf(&counter{}).Elem().Interface() // *sent, which go vet reports
	for name, mistake := range map[string]struct {
		make func(*testing.T) string
		want string
	}{
		"parameter that cannot be filled": {
			listen(&unfillable{}),
			"RemoteListen: parameter 1 cannot be filled from the wire: nothing on the wire is a chan int",
		},
		"result that cannot be sent": {
			listen(&unsendable{}),
			"RemoteEvents: its result 1, a chan int, cannot be sent",
		},
		"error before a result": {
			listen(&errorFirst{}),
			"RemoteGet: its result 1 is an error; an error is returned last",
		},
		"publishing a misspelt method": {
			listen(&misspelt{}),
			`RemoteModle, to be published as "model": *flavors_test.misspelt has no such method; RemoteModel exists`,
		},
		"two flavors in the root": {
			listen(&twoFlavors{}),
			"embeds two flavors, by flavors.Referenceable and by flavors.Viewable: a flavor says",
		},
		"copy and reference in the root": {
			listen(&copyAndReference{}),
			"embeds two flavors, by flavors.Copyable and by flavors.Referenceable",
		},
		"two flavors in an argument": {
			pass(&twoFlavors{}),
			"it embeds flavors.Referenceable and flavors.Viewable, which both say how it is sent: embed one of them",
		},
		"root without a flavor": {
			listen(&noFlavor{}),
			"*flavors_test.noFlavor does not embed flavors.Referenceable",
		},
		"root by value": {
			listen(byValue),
			"is sent by reference: give a pointer to it, *flavors_test.counter",
		},
		"reference by value": {
			pass(byValue),
			"is not transferable, but a pointer to it is: send *flavors_test.counter",
		},
		"struct without tags": {
			pass(&noFlavor{}),
			"give it pb tags to send its fields, or a flavor to send a reference or a copy",
		},
		"hook with another signature": {pass(&wrongHook{}), "it must be func() interface {}"},
		"class that is not registered": {
			pass(&point{}),
			`class "geometry.Point" is not registered: use flavors.RegisterCopy and broker.WithRegistry`,
		},
		"cache that is not registered": {
			pass(&original{}),
			`class "geometry.Point" is not registered: use flavors.RegisterCache, or RegisterMap or RegisterValue of ` +
				`package replica, and broker.WithRegistry`,
		},
		"cache registered as a copy": {
			accept(&original{}, func(r *jelly.Registry) error {
				return flavors.RegisterCopy[point](r, "geometry.Point")
			}),
			"if the peer sends a Cacheable, use flavors.RegisterCache",
		},
		"copy registered as a cache": {
			accept(&point{}, func(r *jelly.Registry) error {
				return flavors.RegisterCache[copied](r, "geometry.Point")
			}),
			"if the peer sends it as a copy, use flavors.RegisterCopy",
		},
		"pointer registered": {
			register(flavors.RegisterCopy[*point](jelly.NewRegistry(), "geometry.Point")),
			`registering "geometry.Point": *flavors_test.point is a pointer: register the struct, flavors_test.point`,
		},
		"number registered": {
			register(flavors.RegisterCopy[int](jelly.NewRegistry(), "geometry.Point")),
			"int is no struct, and *int has no SetCopyableState method",
		},
		"RegisterCopy of a cache": {
			register(flavors.RegisterCopy[copied](jelly.NewRegistry(), "geometry.Point")),
			"flavors_test.copied embeds flavors.RemoteCache: use flavors.RegisterCache",
		},
		"Copyable without tags": {
			pass(&untagged{X: 1}),
			"no field of *flavors_test.untagged has a pb tag, so its state would be empty: give the fields pb tags",
		},
		"parameter that is a reference": {
			listen(&refByValue{}),
			"RemoteTake: parameter 1 cannot be filled from the wire: the type flavors.RemoteReference is not copied: " +
				"take a pointer",
		},
		"parameter that is a cache": {listen(&cacheByValue{}), "is not copied: take a pointer"},
		"result that is a Deferred": {
			listen(&laterByValue{}),
			"RemoteGet: its result 1 has the type actor.Deferred, which is not copied: return a pointer",
		},
		"class registered twice": {func(*testing.T) string {
			r := jelly.NewRegistry()
			require.NoError(t, flavors.RegisterCopy[point](r, "geometry.Point"))
			return flavors.RegisterCopy[point](r, "geometry.Point").Error()
		}, `class "geometry.Point" is registered already`},
		"copied struct": {func(t *testing.T) string {
			pass := newServer(t, &counter{}).Dial().Root()
			_, err := flavors.Call[any](t.Context(), pass, "take", sent)
			require.NoError(t, err)
			copied := new(counter) // copied := *sent, which go vet reports
			reflect.ValueOf(copied).Elem().Set(reflect.ValueOf(sent).Elem())
			_, err = flavors.Call[any](t.Context(), pass, "take", copied)
			require.Error(t, err)
			return err.Error()
		}, "is a copy of one that has been sent; send the original, by pointer"},
		"misspelt method": {logged(&counter{}, "incr"), `"nearest":"RemoteIncrement exists"`},
		"method with the wrong prefix": {
			logged(&misnamed{}, "incr"),
			`"nearest":"PerspectiveIncr exists, but peers call Remote methods of this object, ` +
				`and those listed in PublishMethods"`,
		},
		"method without a prefix": {
			logged(&unmarked{}, "incr"),
			`"nearest":"Incr exists, but peers call Remote methods`,
		},
		"Call inside a method": {
			func(t *testing.T) string { return warningOf(t, 20*time.Millisecond, &lender{}, "call", &borrower{}) },
			"a method holds up its object: if it waits for a call, return the Deferred of CallRemote instead",
		},
	} {
		t.Run(name, func(t *testing.T) { require.Contains(t, mistake.make(t), mistake.want) })
	}
	require.Zero(t, sent.n)
}

// borrower calls back the object that calls it, which waits.
type borrower struct{ flavors.Referenceable }

func (*borrower) RemoteBack(any) *actor.Deferred { return new(actor.Deferred) }

// warnings are the lines of a log from the level of warnings on.
type warnings chan string

func (w warnings) Write(line []byte) (int, error) {
	if strings.Contains(string(line), `"level":"warn"`) {
		w <- string(line)
	}
	return len(line), nil
}

// warningOf calls a method and returns the first warning in the server's log. Turns that take longer than limit cause
// one.
func warningOf(t *testing.T, limit time.Duration, root any, method string, args ...any) string {
	t.Helper()
	log := make(warnings, 100)
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(log)))
	require.NoError(t, err)
	defer func() { require.NoError(t, rt.Close(t.Context())) }()
	supervision.TreeOf(rt, supervision.WithTurnWarning(limit))
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root)
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), newRuntime(t), ln.URL())
	require.NoError(t, err)
	d := conn.Root().CallRemote(method, args...)
	line := <-log
	conn.Abort(nil)
	require.Error(t, errorOf(d))
	return line
}

// TestUnknownMethodsLoggedOnce calls many methods that do not exist. The caller is told no more than by stock.
func TestUnknownMethodsLoggedOnce(t *testing.T) {
	log := make(warnings, 1000)
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(log)))
	require.NoError(t, err)
	defer func() { require.NoError(t, rt.Close(t.Context())) }()
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &flooded{})
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	for range 2 {
		for i := range 100 {
			_, err := flavors.Call[any](t.Context(), conn.Root(), strings.Repeat("x", i))
			require.ErrorIs(t, err, flavors.NoSuchMethod)
			require.True(t, strings.HasSuffix(err.Error(), "No such method: remote_"+strings.Repeat("x", i)), err)
		}
	}
	require.Len(t, log, 64)
}

type flooded struct{ flavors.Root }
