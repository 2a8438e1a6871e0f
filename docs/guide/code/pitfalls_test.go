package code

import (
	"crypto/tls"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/replica"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

type Agent struct {
	flavors.Root
	shop *flavors.RemoteReference
}

//guide:begin wait

// RemotePrice asks another object and does not wait for it. The caller gets the answer when it comes.
func (a *Agent) RemotePrice(fruit string) *actor.Deferred {
	return a.shop.CallRemote("price", fruit)
}

//guide:end

//guide:begin compute
func (a *Agent) RemotePrimes(inv *flavors.Invocation, below int) *actor.Deferred {
	rt := inv.Conn().Runtime()
	result := actor.NewDeferred(rt)
	rt.Go("primes", func() { result.Complete(primes(below), nil) })
	return result
}

//guide:end

func primes(below int) (found []int) {
	for n := 2; n < below; n++ {
		prime := true
		for _, p := range found {
			prime = prime && n%p != 0
		}
		if prime {
			found = append(found, n)
		}
	}
	return found
}

// TestDoNotWait calls methods that return Deferreds.
func TestDoNotWait(t *testing.T) {
	agent := &Agent{shop: dialPipe(t, &Shop{}).Root()}
	conn := dialPipe(t, agent)
	price, err := flavors.Call[string](t.Context(), conn.Root(), "price", "plums")
	require.NoError(t, err)
	assert.Equal(t, "one coin for plums", price)
	found, err := flavors.Call[[]int](t.Context(), conn.Root(), "primes", 10)
	require.NoError(t, err)
	assert.Equal(t, []int{2, 3, 5, 7}, found)
}

// Clumsy has the mistakes of the table.
type Clumsy struct {
	flavors.Root
	shop Shop
}

func (*Clumsy) RemoteIncrement(by int) int  { return by }
func (*Clumsy) RemoteRecipe() *Recipe       { return &Recipe{Title: "soup"} }
func (*Clumsy) RemoteScores() *Scores       { return &Scores{} }
func (*Clumsy) RemoteText() string          { return "seven" }
func (*Clumsy) RemoteUntagged() any         { return struct{ Name string }{"ann"} }
func (*Clumsy) RemoteUser() *User           { return &User{} }
func (*Clumsy) RemoteFunc() any             { return func() {} }
func (*Clumsy) RemoteEcho(v any) any        { return v }
func (c *Clumsy) RemotePanic(i int) *Recipe { return []*Recipe{}[i] }
func (c *Clumsy) RemoteValue() any          { return reflect.ValueOf(&c.shop).Elem().Interface() }
func (*Clumsy) RemoteTwice() *Twice         { return &Twice{} }
func (c *Clumsy) RemoteShop() *Shop         { return &c.shop }
func (*Clumsy) RemoteVisits() any           { return replica.NewMap[string, int]("hub.Users") }
func (*Clumsy) RemoteNoClass() any          { return &replica.Map[string, int]{} }
func (*Clumsy) RemoteBare() any             { return &Bare{Title: "soup"} }
func (*Clumsy) RemoteByPointer() any        { return &ByPointer{} }

// RemoteCopied copies an object that has been sent. The compiler does not see it, but go vet does.
func (c *Clumsy) RemoteCopied() any {
	copied := new(Shop)
	reflect.ValueOf(copied).Elem().Set(reflect.ValueOf(&c.shop).Elem())
	return copied
}

// Bare has no tags.
type Bare struct {
	flavors.Copyable
	Title string
}

// ByPointer embeds its flavor by a pointer.
type ByPointer struct{ *flavors.Referenceable }

// Handles has a parameter that is not a pointer.
type Handles struct{ flavors.Root }

func (*Handles) RemoteCallBack(flavors.RemoteReference) {}

// Twice has two flavors.
type Twice struct {
	flavors.Referenceable
	flavors.Copyable
}

// Channels has a method that nobody can call.
type Channels struct{ flavors.Referenceable }

func (*Channels) RemoteSubscribe(chan int) {}

// Plain has no flavor.
type Plain struct{}

var updateMistakes = flag.Bool("update-mistakes", false, "write the errors into pitfalls.md")

// TestMistakes makes each mistake of the table in pitfalls.md and compares the error.
func TestMistakes(t *testing.T) {
	ctx := t.Context()
	rt := pbtest.NewRuntime(t)
	conn := dialPipe(t, &Clumsy{})
	call := func(method string, args ...any) error {
		_, err := flavors.Call[any](ctx, conn.Root(), method, args...)
		return err
	}
	listen := func(url string, root any, opts ...broker.ListenOption) error {
		_, err := broker.Listen(rt, url, root, opts...)
		return err
	}
	foreign := dialPipe(t, &Clumsy{}).Root()
	_, notAnInt := flavors.Call[int](ctx, conn.Root(), "text")
	require.NoError(t, call("shop"))
	_, otherMap := replica.FollowMap[string, int](ctx, conn.Root(), "text")
	_, unpublished := flavors.Call[any](ctx, conn.Published("stock"), "price")

	var table strings.Builder
	table.WriteString("| mistake | error | write instead |\n|---|---|---|\n")
	for _, row := range []struct {
		mistake string
		err     error
		instead string
	}{
		{"a name that nobody publishes", unpublished, "the name given to `broker.WithPublished`; \"root\" is the root's"},
		{"a method that does not exist", call("incr", 1), "the Go name without its prefix: `increment`"},
		{"too many arguments", call("increment", 1, 2), "the arguments of the method"},
		{"an argument of a wrong type", call("increment", "one"), "a value that converts to the parameter's type"},
		{"a result of another type", notAnInt, "`flavors.Call[string]`"},
		{"a copy whose class is not registered", call("recipe"), "`flavors.RegisterCopy` and `broker.WithRegistry`"},
		{"a cache whose class is not registered", call("scores"), "`flavors.RegisterCache` and `broker.WithRegistry`"},
		{"a replicated map whose class is not registered", call("visits"), "`replica.RegisterMap` and `broker.WithRegistry`"},
		{"a method that returns no map", otherMap, "a method that returns the `*replica.Map`"},
		{"a replicated map without a class", call("noClass"), "`replica.NewMap`, with the name of a class"},
		{"a pointer registered", flavors.RegisterCopy[*Recipe](jelly.NewRegistry(), "kitchen.Recipe"),
			"`flavors.RegisterCopy[Recipe]`"},
		{"a cache registered as a copy", flavors.RegisterCopy[ScoresCopy](jelly.NewRegistry(), "game.Scores"),
			"`flavors.RegisterCache`"},
		{"a Copyable without tags", call("bare"), "`pb:\"title\"` behind the fields"},
		{"a flavor embedded by a pointer", call("byPointer"), "the flavor without a star"},
		{"an object that was copied", call("copied"), "a pointer to the one object"},
		{"a struct without tags", call("untagged"), "`pb:\"name\"` behind the fields"},
		{"an object by value", call("value"), "a pointer: `&c.shop`"},
		{"a function, channel or file", call("func"), "an object with a method"},
		{"an avatar as a result", call("user"), "`flavors.NewViewPoint(caller, avatar)`"},
		{"a reference of another connection", call("echo", foreign), "an object of your own that forwards"},
		{"a method that panics", call("panic", 3), "see the log of the object's program"},
		{"a root without a flavor", listen("pb://127.0.0.1:0", &Plain{}), "embed `flavors.Referenceable`"},
		{"a root by value", listen("pb://127.0.0.1:0", Plain{}), "`&Plain{}`, with a flavor"},
		{"two flavors in one struct", call("twice"), "one flavor"},
		{"a parameter that no value fits", listen("pb://127.0.0.1:0", &Channels{}), "a parameter of a type that can be sent"},
		{"a reference by value", listen("pb://127.0.0.1:0", &Handles{}), "`*flavors.RemoteReference`"},
		{"TLS without a certificate", listen("pbs://127.0.0.1:0", &Shop{}), "`broker.WithTLS`"},
		{"TLS for a URL without it", listen("pb://127.0.0.1:0", &Shop{}, broker.WithTLS(&tls.Config{})), "`pbs://`"},
	} {
		if !assert.Error(t, row.err, row.mistake) {
			continue
		}
		// The advice behind these words repeats the third column.
		message := row.err.Error()
		for _, end := range []string{"is not registered", "Twice is not transferable", "not a replica.Map[string, int]"} {
			if before, _, found := strings.Cut(message, end); found {
				message = before + end + " …"
			}
		}
		text := strings.NewReplacer("|", "\\|", "\n", " ").Replace(message)
		table.WriteString("| " + row.mistake + " | " + text + " | " + row.instead + " |\n")
	}

	const page, mark = "../pitfalls.md", "<!-- mistakes -->\n"
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, shown, found := strings.Cut(string(text), mark)
	require.True(t, found)
	if *updateMistakes {
		require.NoError(t, os.WriteFile(page, []byte(before+mark+table.String()), 0o600))
		return
	}
	assert.Equal(t, table.String(), shown, "run go test ./docs/guide/code -run TestMistakes -update-mistakes")
}
