package interop

import (
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/internal/wire"
)

// clause is a conversation that shows what docs/protocol.md states under its ids.
type clause struct {
	name string // starts with the ids
	talk func(peer *wire.Peer)
	// opening is set if the conversation begins with the first byte instead of after the versions.
	opening bool
	// differs is set if stock does not do what it documents, and says why; see docs/divergence.md.
	differs string
}

// server is an implementation to test.
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

// TestServerClauses runs every clause that a client can see with stock and ours. Each conversation has its own
// connection to the same server, and must not disturb the next.
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
							return // not a skip: nothing can be installed to make it run
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

// answer is what precedes the value in an answer to request 1.
const answer = "\x03\x80\x1b\x87\x01\x81"

// frame returns [message 1 root METHOD 1 [tuple X] [dictionary]] with the bytes of X.
func frame(method, x string) []byte {
	return []byte("\x07\x80\x1a\x87\x01\x81\x04\x82root" + string(rune(len(method))) + "\x82" + method +
		"\x01\x81\x02\x80\x0b\x87" + x + "\x01\x80\x05\x87")
}

func echo(x string) []byte { return frame("echo", x) }

// TestStockOffer reads the first bytes of a stock server, which offers two profiles (P-2.1).
func TestStockOffer(t *testing.T) {
	peer := wire.Connect(t, Server(t).Addr())
	peer.WantBytes([]byte("\x02\x80" + "\x02\x82pb" + "\x04\x82none"))
}

// TestStockUnknownCommand shows why P-4.7 cannot be seen with stock. If it fails, stock was fixed, and the clause and
// docs/divergence.md can change.
func TestStockUnknownCommand(t *testing.T) {
	peer := wire.Connect(t, Server(t).Addr())
	peer.Join()
	peer.Write(`[abracadabra 1 2 3]`)
	peer.WantClosed()
}
