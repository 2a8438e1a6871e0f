package flavors_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// Menu has a method of each form.
type Menu struct {
	flavors.Root
	closed bool
}

// No parameters and no result: the caller gets None.
func (m *Menu) RemoteClose() { m.closed = true }

// Arguments, and one result.
func (*Menu) RemotePrice(dish string, portions int) int { return len(dish) * portions }

// Any number of arguments.
func (*Menu) RemoteSum(prices ...int) (sum int) {
	for _, price := range prices {
		sum += price
	}
	return sum
}

// Several results, which are sent as a tuple.
func (*Menu) RemoteBest() (string, int) { return "soup", 7 }

// An error alone: the caller gets None or a failure.
func (m *Menu) RemoteOrder(dish string) error {
	if m.closed {
		return flavors.ValueError.Errorf("no %s, the kitchen is closed", dish)
	}
	return nil
}

// A result, or an error.
func (*Menu) RemoteFind(dish string) (int, error) {
	if dish != "soup" {
		return 0, flavors.KeyError.New(dish)
	}
	return 7, nil
}

func Example_methodArguments() {
	conn, leave := visit(&Menu{})
	defer leave()
	ctx := context.Background()
	fmt.Println(flavors.Call[int](ctx, conn.Root(), "price", "soup", 2))
	fmt.Println(flavors.Call[int](ctx, conn.Root(), "sum", 1, 2, 3))
	_, err := flavors.Call[int](ctx, conn.Root(), "price", "soup")
	fmt.Println(err)
	// Output:
	// 8 <nil>
	// 6 <nil>
	// builtins.TypeError: Menu.price() misses argument 2
}

func Example_methodResults() {
	conn, leave := visit(&Menu{})
	defer leave()
	ctx := context.Background()
	fmt.Println(flavors.Call[any](ctx, conn.Root(), "close"))
	best, err := flavors.Call[jelly.Tuple](ctx, conn.Root(), "best")
	fmt.Println(best[0], best[1], err)
	// Output:
	// <nil> <nil>
	// soup 7 <nil>
}

func Example_methodError() {
	conn, leave := visit(&Menu{closed: true})
	defer leave()
	ctx := context.Background()
	_, err := flavors.Call[any](ctx, conn.Root(), "order", "soup")
	fmt.Println(errors.Is(err, flavors.ValueError), err)
	_, err = flavors.Call[int](ctx, conn.Root(), "find", "cake")
	fmt.Println(errors.Is(err, flavors.KeyError), err)
	// Output:
	// true builtins.ValueError: no soup, the kitchen is closed
	// true builtins.KeyError: cake
}

// RemoteWait takes a context, which ends with the connection of the caller, or with the logout of the user.
func (*Menu) RemoteWait(ctx context.Context, dish string) (string, error) { return dish, ctx.Err() }

func Example_methodContext() {
	conn, leave := visit(&Menu{})
	defer leave()
	fmt.Println(flavors.Call[string](context.Background(), conn.Root(), "wait", "soup"))
	// Output: soup <nil>
}

// RemoteWho takes the invocation, behind the context if it takes one. It has the name by which the method was called,
// the connection, and the user (Perspective).
func (*Menu) RemoteWho(inv *flavors.Invocation, greeting string) string {
	return fmt.Sprint(greeting, " from ", inv.Method, ", user ", inv.Perspective())
}

func ExampleInvocation() {
	conn, leave := visit(&Menu{})
	defer leave()
	fmt.Println(flavors.Call[string](context.Background(), conn.Root(), "who", "hello"))
	// Output: hello from who, user <nil> <nil>
}

// RemoteNote takes any keywords.
func (*Menu) RemoteNote(dish string, kw flavors.Kw) string {
	return fmt.Sprint(dish, " ", len(kw), " ", kw["salt"])
}

func ExampleKw() {
	conn, leave := visit(&Menu{})
	defer leave()
	ctx := context.Background()
	fmt.Println(flavors.Call[string](ctx, conn.Root(), "note", "soup", flavors.Kw{"salt": true, "times": 2}))
	// Output: soup 2 true <nil>
}

// CookOptions are the keywords of cook. A field without default or omitempty must be given.
type CookOptions struct {
	Minutes int    `pb:"minutes,default=5"`
	Herb    string `pb:"herb,omitempty"`
}

// RemoteCook takes an options struct. Its fields are keywords, or arguments behind the others.
func (*Menu) RemoteCook(dish string, o CookOptions) string {
	return strings.TrimSpace(fmt.Sprint(dish, " ", o.Minutes, " ", o.Herb))
}

func Example_methodOptions() {
	conn, leave := visit(&Menu{})
	defer leave()
	ctx := context.Background()
	fmt.Println(flavors.Call[string](ctx, conn.Root(), "cook", "soup"))
	fmt.Println(flavors.Call[string](ctx, conn.Root(), "cook", "soup", flavors.Kw{"herb": "sage"}))
	fmt.Println(flavors.Call[string](ctx, conn.Root(), "cook", "soup", 3))
	_, err := flavors.Call[string](ctx, conn.Root(), "cook", "soup", flavors.Kw{"spice": "sage"})
	fmt.Println(err)
	// Output:
	// soup 5 <nil>
	// soup 5 sage <nil>
	// soup 3 <nil>
	// builtins.TypeError: Menu.cook(): unknown keyword "spice"; it knows minutes, herb
}

// RemoteTaste returns a Deferred. The method does not wait; the caller is answered when the Deferred completes. The
// function of Then runs in a turn of the menu, so it may use the menu's fields.
func (m *Menu) RemoteTaste(inv *flavors.Invocation, guest *flavors.RemoteReference) *actor.Deferred {
	return guest.CallRemote("taste", "soup").Then(inv, func(answer any, err error) (any, error) {
		verdict, err := flavors.As[string](answer, err)
		return fmt.Sprint(verdict, ", closed: ", m.closed), err
	})
}

// Guest is an object of the client.
type Guest struct{ flavors.Referenceable }

func (*Guest) RemoteTaste(dish string) string { return "good " + dish }

func Example_methodDeferred() {
	conn, leave := visit(&Menu{})
	defer leave()
	fmt.Println(flavors.Call[string](context.Background(), conn.Root(), "taste", &Guest{}))
	// Output: good soup, closed: false <nil>
}
