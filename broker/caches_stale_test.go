package broker_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gauge is a cache whose updates fail in many ways.
type gauge struct {
	flavors.RemoteCache
	Degrees int `pb:"degrees"`
}

func (g *gauge) ObserveSet(degrees int)          { g.Degrees = degrees }
func (*gauge) ObservePanic()                     { panic("update") }
func (*gauge) ObserveExit()                      { runtime.Goexit() }
func (*gauge) ObserveFail() error                { return errors.New("no") }
func (*gauge) ObserveFailBadly() error           { return (*nilError)(nil) }
func (*gauge) ObserveFailLater() *actor.Deferred { return actor.Failed(errors.New("no")) }

func (*gauge) ObserveAnswer() any                      { return func() {} } // The answer cannot be sent.
func (*gauge) ObserveTake(*flavors.RemoteReference)    {}
func (*gauge) ObserveTakeStale(*flavors.Cached[gauge]) {}

type gaugeRoot struct {
	flavors.Root
	kept chan *flavors.Cached[gauge]
}

func (r *gaugeRoot) RemoteKeep(c *flavors.Cached[gauge]) { r.kept <- c }

type touchy struct{}

func (*touchy) SetCopyableState(any) error { panic("state") }

// newGauge returns a cache that a server keeps, and the peer that owns its original, with id 7.
func newGauge(t *testing.T, lines *logLines, opts ...broker.ListenOption) (*flavors.Cached[gauge], *wire.Peer) {
	t.Helper()
	registry := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCache[gauge](registry, "test.Gauge"))
	require.NoError(t, flavors.RegisterCopy[touchy](registry, "test.Touchy"))
	root := &gaugeRoot{kept: make(chan *flavors.Cached[gauge], 1)}
	rt := newRuntime(t, actor.WithLogger(zerolog.New(lines).Level(zerolog.InfoLevel)))
	logTenPerHour(rt)
	p := serveOn(t, rt, root, append(opts, broker.WithRegistry(registry))...).peer()
	p.Write(`[message 1 root keep 1 [tuple ["test.Gauge" 7 [dictionary [[unicode degrees] 1]]]] [dictionary]]`)
	p.Want(`[answer 1 [None]]`)
	return <-root.kept, p
}

func degrees(t *testing.T, c *flavors.Cached[gauge]) (n int) {
	t.Helper()
	require.NoError(t, c.View(func(g *gauge) { n = g.Degrees }))
	return n
}

// TestFailedUpdateMakesStale sends one update that fails, with and without asking for an answer.
func TestFailedUpdateMakesStale(t *testing.T) {
	deep := strings.Repeat("[list ", 400) + "1" + strings.Repeat("]", 400)
	for name, update := range map[string]string{
		"no such method":        `nosuch %d [tuple 5] [dictionary]`,
		"wrong type":            `set %d [tuple [unicode six]] [dictionary]`,
		"too many arguments":    `set %d [tuple 1 2] [dictionary]`,
		"unknown keyword":       `set %d [tuple 1] [dictionary [[unicode x] 1]]`,
		"panic":                 `panic %d [tuple] [dictionary]`,
		"goexit":                `exit %d [tuple] [dictionary]`,
		"error":                 `fail %d [tuple] [dictionary]`,
		"error that panics":     `failBadly %d [tuple] [dictionary]`,
		"later error":           `failLater %d [tuple] [dictionary]`,
		"unregistered class":    `set %d [tuple ["no.such.Class" [dictionary]]] [dictionary]`,
		"class that panics":     `set %d [tuple ["test.Touchy" [dictionary]]] [dictionary]`,
		"type not allowed":      `set %d [tuple [module os]] [dictionary]`,
		"malformed Jelly":       `set %d [tuple [unicode 5]] [dictionary]`,
		"too deep":              `set %d [tuple ` + deep + `] [dictionary]`,
		"arguments are no list": `set %d 5 [dictionary]`,
		"keywords are none":     `set %d [tuple 1] 5`,
		"unknown object":        `take %d [tuple [local 99]] [dictionary]`,
		"too many references":   `set %d [tuple [list [remote 1] [remote 2] [remote 3]]] [dictionary]`,
	} {
		for _, wants := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, answer %d", name, wants), func(t *testing.T) {
				var lines logLines
				c, p := newGauge(t, &lines, broker.WithLimits(broker.Limits{Imports: 2}))
				told := c.WhenStale()
				require.NoError(t, c.Err())
				p.Write(`[cachemessage 2 7 set 1 [tuple 2] [dictionary]]`)
				p.Want(`[answer 2 [None]]`)
				_, stale := c.Stale()
				require.False(t, stale)

				p.Write(`[cachemessage 3 7 ` + fmt.Sprintf(update, wants) + `]`)
				if wants == 1 {
					for { // References that were refused are given back.
						p.Forget("word")
						p.Want(`[$word ...]`)
						if strings.Contains(banana.Format(p.Var("word")), "error") {
							break
						}
					}
				}
				_, err := told.Await(t.Context())
				require.ErrorContains(t, err, "flavors: the update gauge.")
				since, stale := c.Stale()
				require.True(t, stale)
				require.False(t, since.IsZero())
				require.Equal(t, err, c.Err())
				_, again := c.WhenStale().Await(t.Context())
				require.Equal(t, err, again)

				// Later updates are applied, as in Twisted.
				p.Write(`[cachemessage 4 7 set 1 [tuple 9] [dictionary]]`)
				for {
					p.Forget("word")
					p.Want(`[$word ...]`)
					if strings.Contains(banana.Format(p.Var("word")), "answer") {
						break
					}
				}
				require.Equal(t, 9, degrees(t, c))
				_, stale = c.Stale()
				require.True(t, stale)
				line := lines.with("an update could not be applied; the copy is stale")
				require.Contains(t, line, `"level":"warn"`)
				require.Contains(t, line, `"peer":`)
				require.Contains(t, line, `"update":"gauge.`)
			})
		}
	}
}

// TestUnsendableAnswerToUpdate checks that an update counts as applied if only its answer cannot be sent.
func TestUnsendableAnswerToUpdate(t *testing.T) {
	c, p := newGauge(t, new(logLines))
	p.Write(`[cachemessage 2 7 answer 1 [tuple] [dictionary]]`)
	wantAnyError(p, 2)
	_, stale := c.Stale()
	require.False(t, stale)
}

// TestFailedUpdateKeepsTime checks that a failed update does not change the time of the last update.
func TestFailedUpdateKeepsTime(t *testing.T) {
	c, p := newGauge(t, new(logLines))
	last := c.LastUpdate()
	p.Write(`[cachemessage 2 7 fail 1 [tuple] [dictionary]]`)
	wantAnyError(p, 2)
	require.Equal(t, last, c.LastUpdate())
}

// TestFloodOfFailedUpdates checks that a peer cannot flood the log.
func TestFloodOfFailedUpdates(t *testing.T) {
	var lines logLines
	_, p := newGauge(t, &lines)
	for i := range 200 {
		p.Write(fmt.Sprintf(`[cachemessage %d 7 nosuch 1 [tuple] [dictionary]]`, i+2))
		wantAnyError(p, i+2)
	}
	require.Equal(t, 10, lines.count("an update could not be applied"))
}

// TestStaleForOtherReasons checks that WhenStale also tells of the end of the connection.
func TestStaleForOtherReasons(t *testing.T) {
	t.Run("the connection ends", func(t *testing.T) {
		c, p := newGauge(t, new(logLines))
		told := c.WhenStale()
		p.Close()
		_, err := told.Await(t.Context())
		require.ErrorIs(t, err, broker.ErrPeerClosed)
		require.Error(t, c.Err())
	})
	t.Run("the runtime closes", func(t *testing.T) {
		c, _ := newGauge(t, new(logLines))
		told := c.WhenStale()
		go func() { _ = c.Conn().Runtime().Close(t.Context()) }()
		_, err := told.Await(t.Context())
		require.Error(t, err)
	})
	t.Run("one of two is cancelled", func(t *testing.T) {
		c, p := newGauge(t, new(logLines))
		told, other := c.WhenStale(), c.WhenStale()
		other.Cancel()
		p.Write(`[cachemessage 2 7 fail 0 [tuple] [dictionary]]`)
		_, err := told.Await(t.Context())
		require.ErrorContains(t, err, "could not be applied")
	})
}

// TestOwnerLearnsOfFailedUpdates checks that the owner logs updates that the peer could not apply or that could not be
// sent.
func TestOwnerLearnsOfFailedUpdates(t *testing.T) {
	var lines logLines
	rt := newRuntime(t, actor.WithLogger(zerolog.New(&lines)))
	root := &ponds{}
	p := serveOn(t, rt, root, pondRegistry(t)).peer()
	p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 ["test.Pond" 1 _]]`)
	results := make(chan *actor.Deferred, 5)
	require.NoError(t, await(t, flavors.Update(&root.pond, func(observers flavors.Observers) {
		for o := range observers.All() {
			for range 5 {
				results <- o.CallRemote("ripple")
			}
		}
	})))
	for i := range 5 {
		p.Want(fmt.Sprintf(`[cachemessage %d 1 ripple 1 [tuple] [dictionary]]`, i+1))
		p.Write(fmt.Sprintf(
			`[error %d ["twisted.spread.pb.CopyableFailure" [dictionary [[unicode value] [unicode no]]]]]`, i+1,
		))
		_, err := result(t, <-results)
		require.True(t, flavors.IsRemote(err))
	}
	require.Eventually(
		t,
		func() bool { return lines.count("the peer could not apply an update") == 5 },
		wire.Timeout,
		time.Millisecond,
	)
	warnings := 0
	for _, line := range strings.Split(lines.text(), "\n") {
		if strings.Contains(line, "the peer could not apply an update") && strings.Contains(line, `"level":"warn"`) {
			warnings++
		}
	}
	require.Equal(t, 3, warnings)

	var err error
	require.NoError(
		t,
		await(
			t,
			flavors.Update(&root.pond, func(observers flavors.Observers) {
				err = observers.CallRemote("ripple", func() {})
			}),
		),
	)
	require.Error(t, err)
	assert.Equal(t, 1, lines.count("an update could not be sent; the peer's copy is out of date"))
}
