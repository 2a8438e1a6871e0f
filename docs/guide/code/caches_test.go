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

//guide:begin original

// Scores is an original. Peers get its state once, and then updates.
type Scores struct {
	flavors.Cacheable
	Points map[string]int `pb:"points"`
}

func (*Scores) TypeToCopy() string { return "game.Scores" }

// Add changes the original and tells all copies, in one turn of the original's actor.
func (s *Scores) Add(player string, points int) *actor.Deferred {
	return flavors.Update(s, func(observers flavors.Observers) {
		s.Points[player] += points
		_ = observers.CallRemote("set", player, s.Points[player])
	})
}

type Game struct {
	flavors.Root
	scores Scores
}

func (g *Game) RemoteScores() *Scores { return &g.scores } // always a pointer

func (g *Game) RemoteWin(player string) *actor.Deferred { return g.scores.Add(player, 1) }

//guide:end

//guide:begin copy

// ScoresCopy is the copy. The state fills its tagged fields; each update calls an Observe method.
type ScoresCopy struct {
	flavors.RemoteCache
	Points map[string]int `pb:"points"`
}

func (c *ScoresCopy) ObserveSet(player string, points int) { c.Points[player] = points }

func follow(ctx context.Context, rt *actor.Runtime, url string) (*flavors.Cached[ScoresCopy], error) {
	classes := jelly.NewRegistry()
	if err := flavors.RegisterCache[ScoresCopy](classes, "game.Scores"); err != nil {
		return nil, err
	}
	conn, err := broker.Dial(ctx, rt, url, broker.WithRegistry(classes))
	if err != nil {
		return nil, err
	}
	return flavors.Call[*flavors.Cached[ScoresCopy]](ctx, conn.Root(), "scores")
}

// pointsOf reads the copy between two updates.
func pointsOf(scores *flavors.Cached[ScoresCopy], player string) (points int, err error) {
	err = scores.View(func(c *ScoresCopy) { points = c.Points[player] })
	return points, err
}

//guide:end

// TestCaches follows an original from Go and from Python.
func TestCaches(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	game := &Game{scores: Scores{Points: map[string]int{"ann": 1}}}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", game)
	require.NoError(t, err)
	scores, err := follow(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	points, err := pointsOf(scores, "ann")
	require.NoError(t, err)
	assert.Equal(t, 1, points)
	conn := scores.Conn().(*broker.Conn)
	_, err = flavors.Call[any](t.Context(), conn.Root(), "win", "ann")
	require.NoError(t, err)
	points, err = pointsOf(scores, "ann")
	require.NoError(t, err)
	assert.Equal(t, 2, points)

	t.Run("Python", func(t *testing.T) {
		stock.Require(t)
		client := stock.Start(t, "caches.py", ln.Addr().String())
		client.WaitLine("ann has 2")
		client.WaitLine("bob has 1")
		assert.Zero(t, client.Exit())
	})

	_, err = flavors.Call[any](t.Context(), conn.Root(), "scores") // The updates arrive before the answer.
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	_, stale := scores.Stale()
	assert.True(t, stale)
	points, err = pointsOf(scores, "bob")
	require.NoError(t, err)
	assert.Equal(t, 1, points)
}
