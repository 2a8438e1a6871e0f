package interop

import (
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/internal/wire"
)

// clause is one conversation that shows what docs/protocol.md says under its ids.
type clause struct {
	name string // starts with the ids
	talk func(peer *wire.Peer)
	// opening is set where the conversation starts with the first byte and not behind the versions.
	opening bool
	// differs says why stock does not do as its own words have it; docs/divergence.md tells the story.
	differs string
}

// server is one implementation that the clauses are tried on.
type server struct {
	name  string
	ours  bool
	start func(t *testing.T) (addr string)
}

func servers() []server {
	return []server{
		{"stock", false, func(t *testing.T) string { return Server(t).Addr() }},
		{"ours", true, func(t *testing.T) string {
			return strings.TrimPrefix(startOurs(t, makeOutfit(t), "tcp").url, "pb://")
		}},
	}
}

// TestServerClauses holds every clause that a client can see against stock and against ours. Each conversation has
// a connection of its own, all of them one server: what one does must not disturb the next.
func TestServerClauses(t *testing.T) {
	for _, server := range servers() {
		t.Run(server.name, func(t *testing.T) {
			addr := server.start(t)
			for _, clauses := range [][]clause{
				bananaClauses(), openingClauses(), jellyClauses(), messageClauses(),
				referenceClauses(), failureClauses(), copyClauses(),
			} {
				for _, c := range clauses {
					t.Run(c.name, func(t *testing.T) {
						if !server.ours && c.differs != "" {
							return // not a skip: there is nothing to install that would let it run
						}
						peer := wire.Connect(t, addr)
						if !c.opening {
							peer.Join()
						}
						c.talk(peer)
					})
				}
			}
		})
	}
}

// answer is what stands in front of the value in an answer to request 1.
const answer = "\x03\x80\x1b\x87\x01\x81"

// frame is [message 1 root METHOD 1 [tuple X] [dictionary]] around the bytes of X.
func frame(method, x string) []byte {
	return []byte("\x07\x80\x1a\x87\x01\x81\x04\x82root" + string(rune(len(method))) + "\x82" + method +
		"\x01\x81\x02\x80\x0b\x87" + x + "\x01\x80\x05\x87")
}

func echo(x string) []byte { return frame("echo", x) }

// TestStockHangsUpOverUnknownCommands is why P-4.7 cannot be seen with stock: when this fails, stock was mended,
// and the clause and docs/divergence.md can say so.
func TestStockHangsUpOverUnknownCommands(t *testing.T) {
	peer := wire.Connect(t, Server(t).Addr())
	peer.Join()
	peer.Write(`[abracadabra 1 2 3]`)
	peer.WantClosed()
}
