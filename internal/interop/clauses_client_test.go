package interop

import (
	"net"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/wire"
)

// client is an implementation that connects to a scripted server and calls root.add(1, 2).
type client struct {
	name  string
	start func(t *testing.T, addr string)
}

func clients() []client {
	return []client{
		{"stock", func(t *testing.T, addr string) { Client(t, "pb://"+addr, "--only", "positional") }},
		{"ours", func(t *testing.T, addr string) {
			rt := newRuntime(t)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if conn, err := broker.Dial(t.Context(), rt, "pb://"+addr); err == nil {
					conn.Root().CallRemote("add", 1, 2)
				}
			}()
			t.Cleanup(func() { <-ended })
		}},
	}
}

// TestClientClauses runs the clauses about clients with stock and ours.
func TestClientClauses(t *testing.T) {
	for name, talk := range map[string]func(peer *wire.Peer){
		"P-2.2 P-2.3 the client chooses pb and calls": func(peer *wire.Peer) {
			peer.Host()
			peer.Want(`[message $id root add 1 [tuple 1 2] [dictionary]]`)
			peer.Write(`[answer $id 3]`)
		},
		"P-2.2 none, where nothing else is offered": func(peer *wire.Peer) {
			peer.Write(`[none]`)
			peer.Want(`none`)
			peer.WantBytes([]byte("\x02\x80\x07\x82version\x06\x81"))
			peer.Write(`[version 6]`)
			peer.Want(`[message $id root add 1 [tuple 1 2] [dictionary]]`)
		},
		"P-2.5 nothing that is known": func(peer *wire.Peer) {
			peer.Write(`[java esperanto]`)
			peer.WantClosed()
		},
		"P-2.6 another version": func(peer *wire.Peer) {
			peer.Write(`[pb none]`)
			peer.Want(`pb`)
			peer.WriteBytes([]byte("\x02\x80\x07\x82version\x05\x81"))
			peer.Drain()
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, client := range clients() {
				t.Run(client.name, func(t *testing.T) {
					listener := wire.Listen(t)
					client.start(t, listener.Addr().(*net.TCPAddr).String())
					peer := wire.Accept(t, listener)
					talk(peer)
					peer.Close()
				})
			}
		})
	}
}
