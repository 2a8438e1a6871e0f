package flavors_test

import (
	"context"
	"fmt"
	"log"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// Clock is an object of the application, which peers can ask.
type Clock struct {
	flavors.Root
	ticks int
}

func (c *Clock) RemoteTicks() int { return c.ticks }

// Tick is for the application. Do runs in the clock's turn, between the calls of peers.
func (c *Clock) Tick() *actor.Deferred { return c.Do(func() { c.ticks++ }) }

// A spawned object keeps its actor until the application stops the PID, so other actors can watch it.
func ExampleSpawn() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close(ctx)
	clock := &Clock{}
	pid, err := flavors.Spawn(rt, clock)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := clock.Tick().Await(ctx); err != nil {
		log.Fatal(err)
	}
	again, err := flavors.Spawn(rt, clock)
	fmt.Println(clock.ticks, pid.Equal(again), err)
	// Output: 1 true <nil>
}

// Parser may be in any state after one of its methods has panicked.
type Parser struct {
	flavors.Root
	text string
}

func (p *Parser) RemoteAdd(text string) string { p.text += text; return p.text }
func (p *Parser) RemoteAt(i int) string        { return p.text[i : i+1] }

// New has a function that makes the object, and makes another after a panic. The peers' references stay good.
func ExampleNew() {
	conn, leave := visit(flavors.New(func() *Parser { return &Parser{text: "a"} }))
	defer leave()
	ctx := context.Background()
	fmt.Println(flavors.Call[string](ctx, conn.Root(), "add", "b"))
	_, err := flavors.Call[string](ctx, conn.Root(), "at", 5)
	fmt.Println(err)
	fmt.Println(flavors.Call[string](ctx, conn.Root(), "add", "c"))
	// Output:
	// ab <nil>
	// builtins.RuntimeError: the method panicked; the server's log says why
	// ac <nil>
}

// Player is the avatar of a user.
type Player struct {
	flavors.Avatar
	name  string
	board *Board
}

func (p *Player) PerspectiveJoin() *Board { return p.board }

// Board is shared by all players. Its methods get the avatar of the caller.
type Board struct {
	flavors.Viewable
	moves []string
}

func (b *Board) ViewMove(player *Player, to string) []string {
	b.moves = append(b.moves, player.name+" to "+to)
	return b.moves
}

func ExampleViewable() {
	ctx := context.Background()
	board := &Board{}
	users, err := cred.NewInMemory(map[string]cred.Entry{
		"ann": cred.Plaintext("sesame"),
		"bob": cred.Plaintext("builder"),
	})
	if err != nil {
		log.Fatal(err)
	}
	enter := func(_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference) (*Player, func(), error) {
		return &Player{name: id.Name(), board: board}, nil, nil
	}
	conn, leave := visit(broker.Login(enter, users))
	defer leave()
	for _, user := range []cred.UsernamePassword{
		{Username: "ann", Password: "sesame"}, {Username: "bob", Password: "builder"},
	} {
		avatar, err := conn.Login(ctx, user, nil)
		if err != nil {
			log.Fatal(err)
		}
		seen, err := flavors.Call[*flavors.RemoteReference](ctx, avatar, "join")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(flavors.Call[[]string](ctx, seen, "move", "e4"))
	}
	// Output:
	// [ann to e4] <nil>
	// [ann to e4 bob to e4] <nil>
}

// Recipe is sent by copy: its tagged fields and the name of its class.
type Recipe struct {
	flavors.Copyable
	Title string         `pb:"title"`
	Grams map[string]int `pb:"grams"`
	notes string         // is not sent
}

func (*Recipe) TypeToCopy() string { return "kitchen.Recipe" }

// Cook gives out recipes.
type Cook struct{ flavors.Root }

func (*Cook) RemoteRecipe(title string) *Recipe {
	return &Recipe{Title: title, Grams: map[string]int{"salt": 4}, notes: "do not tell"}
}

func ExampleCopyable() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close(ctx)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Cook{})
	if err != nil {
		log.Fatal(err)
	}
	// The receiver registers a type for the class, here the same one.
	classes := jelly.NewRegistry()
	if err := flavors.RegisterCopy[Recipe](classes, "kitchen.Recipe"); err != nil {
		log.Fatal(err)
	}
	conn, err := broker.Dial(ctx, rt, ln.URL(), broker.WithRegistry(classes))
	if err != nil {
		log.Fatal(err)
	}
	recipe, err := flavors.Call[*Recipe](ctx, conn.Root(), "recipe", "soup")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %v %q\n", recipe.Title, recipe.Grams, recipe.notes)
	// Output: soup map[salt:4] ""
}
