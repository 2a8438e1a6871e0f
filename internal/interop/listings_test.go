package interop

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/perspectivebroker/pb/internal/stock"
)

// listing is a pair of unchanged programs of twisted-doc and what each prints.
type listing struct {
	name           string
	server, client string // paths
	atServer       []string
	atClient       []string
	clientEnds     bool // otherwise it runs until it is stopped
}

func listings() []listing {
	pb := func(name string) string { return filepath.Join(stock.PBListings, name) }
	example := func(name string) string { return filepath.Join(stock.Examples, name) }
	return []listing{
		{
			name: "pb1", server: pb("pb1server.py"), client: pb("pb1client.py"),
			atServer: []string{"returning a Two called", "Two.three was given 12"},
			atClient: []string{"got first object:", "asking it to getTwo", "got second object:", "telling it to do three(12)"},
		},
		{
			name: "pb2", server: pb("pb2server.py"), client: pb("pb2client.py"),
			atServer: []string{"One.getTwo(), returning my two called", "One.checkTwo(): our twos are the same"},
			atClient: []string{"got two object:", "giving it back to one"},
		},
		{
			name: "pb3", server: pb("pb3server.py"), client: pb("pb3client.py"),
			atServer: []string{"received a Two called", "telling it to print(12)"},
			atClient: []string{"giving it our two", "Two.print() called with 12"},
		},
		{
			name: "exc", server: pb("exc_server.py"), client: pb("exc_client.py"),
			atServer:   []string{"raising a MyError exception with data 'fall down go boom'"},
			atClient:   []string{"got remote Exception", " .getErrorMessage() = fall down go boom", "__main__.MyError"},
			clientEnds: true,
		},
		{
			name: "trap", server: pb("trap_server.py"), client: pb("trap_client.py"),
			atClient: []string{
				"method successful, response: response",
				"callTwo: call with dangerous object", // stock sends [unpersistable …] instead, which is answered
				"remote raised a MyException",
				"telling them to shut down",
				"stale reference: the client disconnected or crashed",
			},
			clientEnds: true,
		},
		{
			name: "pbsimple", server: example("pbsimple.py"), client: example("pbsimpleclient.py"),
			atServer:   []string{"echoing: hello network"},
			atClient:   []string{"server echoed: hello network"},
			clientEnds: true,
		},
	}
}

// TestListingsStockToStock shows which listings run, and what they print. The tests with one Go end want the same
// lines.
func TestListingsStockToStock(t *testing.T) {
	stock.Require(t, stock.Docs)
	for _, l := range listings() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			server := stock.StartListing(t, l.server, "")
			client := stock.StartListing(t, l.client, server.Addr())
			l.wantAtClient(t, client)
			l.wantAtServer(server)
		})
	}
}

func (l listing) wantAtServer(server *stock.Process) {
	for _, line := range l.atServer {
		server.WaitLine(line)
	}
}

func (l listing) wantAtClient(t *testing.T, client *stock.Process) {
	t.Helper()
	for _, line := range l.atClient {
		client.WaitLine(line)
	}
	if l.clientEnds {
		assert.Equal(t, 0, client.Exit())
	}
}
