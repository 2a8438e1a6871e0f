package interop

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/flavors"
)

// comings is the number of our connections that come and go.
const comings = 100

func churnChecks() []clientCheck {
	return []clientCheck{
		{"churn", "what connections held is free when they have gone", func(t *testing.T, m *meeting) {
			call[any](t, m.conn, "hold", "mine", &greeter{})
			call[any](t, m.conn, "release", "mine")
			stats := call[map[string]int](t, m.conn, "stats")
			connections, exports := 1, stats["exports"]
			if m.stock { // Stock may not notice that a TLS connection broke.
				connections = stats["connections"]
			}
			for i := range comings {
				conn := m.dial(t)
				call[*flavors.RemoteReference](t, conn, "counter")
				call[*flavors.Cached[remotePond]](t, conn, "pond", "churned", []any{1})
				call[any](t, conn, "takePond", &pond{items: []any{1}})
				call[any](t, conn, "hold", "k", &greeter{})
				pending := conn.Root().CallRemote("never")
				if i%2 == 0 {
					conn.Abort(nil)
				} else {
					require.NoError(t, conn.Close(t.Context()))
				}
				_, err := pending.Await(t.Context())
				require.ErrorIs(t, err, flavors.ConnectionLost)
			}
			eventually(t, func() bool {
				return m.counters(t) == 0 && call[int](t, m.conn, "pondObservers", "churned") == 0 &&
					call[map[string]int](t, m.conn, "stats")["connections"] <= connections
			})
			assert.Equal(t, exports, call[map[string]int](t, m.conn, "stats")["exports"])
		}},
	}
}
