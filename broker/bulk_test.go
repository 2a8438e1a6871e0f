package broker_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dialTCP gives both ends of a connection over TCP; both publish a service as root.
func dialTCP(t *testing.T, opts ...broker.Option) (here, there *broker.Conn) {
	t.Helper()
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &service{}, opts...)
	require.NoError(t, err)
	here, err = broker.Dial(context.Background(), rt, ln.URL(), append(opts, broker.WithPublished("root", &service{}))...)
	require.NoError(t, err)
	// The accepting side has negotiated when it has answered a call.
	_, err = flavors.Call[int](context.Background(), here.Root(), "add", 1, 2)
	require.NoError(t, err)
	return here, ln.Conns()[0]
}

func TestLongStringsBothWaysAtOnce(t *testing.T) {
	here, there := dialTCP(t)
	long := strings.Repeat("x", 512<<10)
	var wg sync.WaitGroup
	for _, conn := range []*broker.Conn{here, there} {
		for range 20 {
			wg.Go(func() {
				got, err := flavors.Call[string](t.Context(), conn.Root(), "echo", long)
				assert.NoError(t, err)
				assert.Len(t, got, len(long))
			})
		}
	}
	wg.Wait()
}

// Both sides have more to answer than may wait to be written: if both stopped reading, neither would ever go on.
func TestTwoPeersThatAnswerMoreThanMayWaitDoNotDeadlock(t *testing.T) {
	here, there := dialTCP(t, broker.WithLimits(broker.Limits{HighWater: 16 << 10, PauseWater: 32 << 10, Stall: 3 * time.Second}))
	var wg sync.WaitGroup
	for _, conn := range []*broker.Conn{here, there} {
		for range 100 {
			wg.Go(func() {
				_, err := flavors.Call[string](t.Context(), conn.Root(), "long", 512<<10)
				assert.NoError(t, err)
			})
		}
	}
	wg.Wait()
}
