package broker

import (
	"maps"
	"slices"
	"time"

	"github.com/perspectivebroker/pb/actor"
)

// ConnInfo describes a connection to people who look at a running program.
type ConnInfo struct {
	// Number counts the connections of a runtime from 1, in the order in which they began.
	Number uint64
	// Peer is the peer's address as logs have it.
	Peer string
	// Dialed reports whether this side has connected to the peer.
	Dialed bool
	// State is "negotiating", "open", "draining", "flushing", "lingering" or "closed".
	State string
	// Began is when the connection was made, before it was negotiated.
	Began time.Time
	// Users names the users who are logged in on the connection, in no order: those of this side, and those as whom this
	// side has logged in at the peer. A peer has chosen the names that it claimed; nothing escapes them.
	Users []string
}

// Info describes the connection. It is zero for a nil or zero Conn.
func (c *Conn) Info() ConnInfo {
	if !c.isMade() {
		return ConnInfo{}
	}
	return ConnInfo{
		Number: c.c.number.Load(), Peer: c.c.peer, Dialed: c.c.client, State: c.c.now().String(), Began: c.c.began,
		Users: append(c.c.sessions.names(), c.c.loggedIn()...),
	}
}

// ConnsOf returns the connections of rt that have not ended, accepted and dialed, in no order.
func ConnsOf(rt *actor.Runtime) []*Conn {
	if rt.Check() != nil {
		return nil
	}
	live := registryOf(rt).all()
	conns := make([]*Conn, len(live))
	for i, c := range live {
		conns[i] = &c.conn
	}
	return conns
}

// ListenersOf returns the listeners of rt, in no order: those that accept connections, and closed ones with connections
// that have not ended.
func ListenersOf(rt *actor.Runtime) []*Listener {
	if rt.Check() != nil {
		return nil
	}
	x := registryOf(rt)
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Collect(maps.Keys(x.listeners))
}
