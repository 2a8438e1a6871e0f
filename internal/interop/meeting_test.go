package interop

import (
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/stock"
)

// meeting is our client at a conformance server. Each check has a connection of its own.
type meeting struct {
	endpoint
	conn *broker.Conn
}

// clientCheck is one check of our client with any server.
type clientCheck struct {
	group, name string
	run         func(t *testing.T, m *meeting)
}

// TestOurClient runs the checks of our client with the stock server and with examples/conformance, and logs a table of
// the results for each. Over TCP it also does so with clients and servers that do not know pb+1.
func TestOurClient(t *testing.T) {
	stock.Require(t)
	with := makeOutfit(t)
	var checks []clientCheck
	for _, more := range [][]clientCheck{
		valueChecks(), graphChecks(), callChecks(), referenceChecks(), cacheChecks(), pageChecks(), hostileChecks(),
		churnChecks(),
	} {
		checks = append(checks, more...)
	}
	for _, server := range []struct {
		name  string
		start func(t *testing.T, with outfit, transport string, args ...string) endpoint
	}{{"stock's twin", startTwin}, {"our server", startOurs}} {
		t.Run(server.name, func(t *testing.T) {
			results := &table{title: "our client, " + server.name}
			defer results.publish(t)
			for _, transport := range transports() {
				t.Run(transport, func(t *testing.T) {
					results.meet(t, server.start(t, with, transport), checks)
					results.meet(t, server.start(t, with, transport, withLogin()...), loginChecks())
				})
			}
			withoutPB1 := []banana.Profile{banana.ProfilePB, banana.ProfileNone}
			t.Run("tcp, client without pb+1", func(t *testing.T) {
				e := server.start(t, with, "tcp")
				e.dialects = withoutPB1
				results.meet(t, e, checks)
			})
			if server.name != "our server" {
				return
			}
			t.Run("tcp, server without pb+1", func(t *testing.T) {
				results.meet(t, server.start(t, with, "tcp", withoutPB1Flags()...), checks)
			})
			t.Run("tcp, both without pb+1", func(t *testing.T) {
				e := server.start(t, with, "tcp", withoutPB1Flags()...)
				e.dialects = withoutPB1
				results.meet(t, e, checks)
			})
		})
	}
}

// meet runs checks with one server.
func (results *table) meet(t *testing.T, e endpoint, checks []clientCheck) {
	t.Helper()
	for _, c := range checks {
		passed := t.Run(c.group+"/"+c.name, func(t *testing.T) { c.run(t, &meeting{e, e.dial(t)}) })
		results.note(c.group, e.transport, passed)
	}
}
