package code

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
)

//guide:begin copyable

// Recipe is sent by copy: the peer gets the tagged fields and the name of the class.
type Recipe struct {
	flavors.Copyable
	Title string         `pb:"title"`
	Grams map[string]int `pb:"grams"`
	price int            // has no tag: stays here
}

// TypeToCopy returns the class under which the peer has registered the copy.
func (*Recipe) TypeToCopy() string { return "kitchen.Recipe" }

//guide:end

//guide:begin register
func dialKitchen(ctx context.Context, rt *actor.Runtime, url string) (*broker.Conn, error) {
	classes := jelly.NewRegistry()
	if err := flavors.RegisterCopy[Recipe](classes, "kitchen.Recipe"); err != nil {
		return nil, err
	}
	return broker.Dial(ctx, rt, url, broker.WithRegistry(classes))
}

func readRecipe(ctx context.Context, kitchen *flavors.RemoteReference) (*Recipe, error) {
	return flavors.Call[*Recipe](ctx, kitchen, "recipe", "soup")
}

//guide:end

//guide:begin state

// Guest chooses its state for each reader.
type Guest struct {
	flavors.Copyable
	name, phone string
}

func (*Guest) TypeToCopy() string { return "kitchen.Guest" }

// StateToCopyFor replaces the tagged fields. perspective is the reader's avatar, or nil without a login.
func (g *Guest) StateToCopyFor(perspective any) any {
	if _, isUser := perspective.(*User); isUser {
		return map[string]any{"name": g.name, "phone": g.phone}
	}
	return map[string]any{"name": g.name}
}

//guide:end

//guide:begin plain

// Order has no flavor: the tagged fields travel as a dictionary, and no class needs to be registered.
type Order struct {
	Dish  string   `pb:"dish"`
	Extra []string `pb:"extra,omitempty"`
}

type Kitchen struct{ flavors.Root }

func (*Kitchen) RemoteOrder(orders []Order) int { return len(orders) }

//guide:end

func (*Kitchen) RemoteRecipe(title string) *Recipe {
	return &Recipe{Title: title, Grams: map[string]int{"leek": 200}, price: 7}
}

func (*Kitchen) RemoteGuest() *Guest { return &Guest{name: "Ann", phone: "555"} }

// TestCopies sends copies between Go programs and to and from Python.
func TestCopies(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Kitchen{})
	require.NoError(t, err)
	urls := map[string]func(*testing.T) string{
		"Go": func(*testing.T) string { return ln.URL() },
		"Python": func(t *testing.T) string {
			stock.Require(t)
			return "pb://" + stock.Start(t, "kitchen.py", "serve", "0").Addr()
		},
	}
	for name, url := range urls {
		t.Run(name, func(t *testing.T) {
			conn, err := dialKitchen(t.Context(), rt, url(t))
			require.NoError(t, err)
			recipe, err := readRecipe(t.Context(), conn.Root())
			require.NoError(t, err)
			assert.Equal(t, "soup", recipe.Title)
			assert.Equal(t, map[string]int{"leek": 200}, recipe.Grams)
			assert.Zero(t, recipe.price)
			orders := []Order{{Dish: "soup"}, {Dish: "pie", Extra: []string{"cream"}}}
			n, err := flavors.Call[int](t.Context(), conn.Root(), "order", orders)
			require.NoError(t, err)
			assert.Equal(t, 2, n)
		})
	}
	t.Run("Python client", func(t *testing.T) {
		stock.Require(t)
		client := stock.Start(t, "kitchen.py", "call", ln.Addr().String())
		client.WaitLine("soup: 200 g of leek")
		client.WaitLine("Ann None")
		assert.Zero(t, client.Exit())
	})
}
