package replica_test

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/replica"
)

// Scores is a service that publishes a map and a value.
type Scores struct {
	flavors.Root
	points *replica.Map[string, int]
	leader *replica.Value[string]
}

func (s *Scores) RemotePoints() *replica.Map[string, int] { return s.points }
func (s *Scores) RemoteLeader() *replica.Value[string]    { return s.leader }

// RemoteScore returns what Set returns, so that the update is sent before the answer.
func (s *Scores) RemoteScore(name string, points int) *actor.Deferred {
	s.leader.Set(name)
	return s.points.Set(name, points)
}

// connect serves a Scores and connects to it.
func connect(ctx context.Context, rt *actor.Runtime) (*broker.Conn, error) {
	scores := &Scores{
		points: replica.NewMap[string, int]("game.Points"),
		leader: replica.NewValue("game.Leader", "nobody"),
	}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", scores)
	if err != nil {
		return nil, err
	}
	registry := jelly.NewRegistry()
	if err := replica.RegisterMap[string, int](registry, "game.Points"); err != nil {
		return nil, err
	}
	if err := replica.RegisterValue[string](registry, "game.Leader"); err != nil {
		return nil, err
	}
	return broker.Dial(ctx, rt, ln.URL(), broker.WithRegistry(registry))
}

// A client follows a map of the server.
func ExampleMap() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(ctx)
	conn, err := connect(ctx, rt)
	if err != nil {
		fmt.Println(err)
		return
	}
	points, err := replica.FollowMap[string, int](ctx, conn.Root(), "points")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(points.Len(), "players")
	if _, err := flavors.Call[any](ctx, conn.Root(), "score", "ann", 10); err != nil {
		fmt.Println(err)
	}
	for change := range points.Changes(ctx) {
		fmt.Println(change.Key, "has", change.Value)
		break
	}
	_ = conn.Close(ctx)
	_, stale := points.Stale()
	fmt.Println("stale:", stale)
	// Output:
	// 0 players
	// ann has 10
	// stale: true
}

// A client follows a value of the server.
func ExampleValue() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(ctx)
	conn, err := connect(ctx, rt)
	if err != nil {
		fmt.Println(err)
		return
	}
	leader, err := replica.FollowValue[string](ctx, conn.Root(), "leader")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(leader.Get())
	for name := range leader.Changes(ctx) {
		if name == "ann" {
			fmt.Println(name, "leads")
			break
		}
		conn.Root().CallRemote("score", "ann", 10)
	}
	// Output:
	// nobody
	// ann leads
}
