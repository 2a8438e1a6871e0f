package systems

import (
	"context"
	"strings"

	"github.com/perspectivebroker/pb/bench/internal/load"
)

// System is a measured system. Its server and its client each run in a separate process.
type System struct {
	// Name is the name of the system in reports.
	Name string
	// Serve starts a server on a free loopback port and returns its address. The server runs until the process exits.
	Serve func() (addr string, err error)
	// Dial opens one connection.
	Dial func(ctx context.Context, addr string) (load.Client, error)
	// Script is the program of a system that is not written in Go. Interpreter runs it. It implements the protocol of
	// package child itself.
	Script      string
	Interpreter string
	// OneCaller means that a connection can carry only one call at a time.
	OneCaller bool
	// MaxConns is the maximum number of connections of one client process; 0 means no limit.
	MaxConns int
	// Watches means that the system's clients implement [Watcher].
	Watches bool
	// Structs means that the system's clients implement [load.Confirmer].
	Structs bool
	// OnlyEcho means that the system is measured with large payloads only.
	OnlyEcho bool
	// Optional means that the system is measured only on request.
	Optional bool
}

// IsOurs reports whether it is this module.
func (s System) IsOurs() bool {
	switch s.Name {
	case "ours", RelayedClear, RelayedMTLS, Placed:
		return true
	}
	return strings.HasPrefix(s.Name, "ours-")
}

// All returns all systems, ours first.
func All() []System {
	return []System{
		ours(), oursReflected(), oursLent(), netRPC(), grpcSystem(), protoactorRemote(), rawTCP(), rawTCPPolled(), twisted(),
		oursUnpolled(), connectGo(), natsSystem(), grpcTuned(), rpcxSystem(), drpcSystem(),
	}
}

// Clustered returns what is compared with calls that pass through a gateway, and those.
func Clustered() []System {
	list := append([]System{ours()}, Relayed()...)
	for _, s := range []System{protoactorRemote(), natsSystem()} {
		s.Optional = false
		list = append(list, s)
	}
	return list
}

// ByName returns the system with a name, and whether there is one.
func ByName(name string) (System, bool) {
	for _, s := range append(All(), Relayed()...) {
		if s.Name == name {
			return s, true
		}
	}
	return System{}, false
}

// Handles are references to objects that a server has exported to a client.
type Handles interface {
	// Add calls the i-th object.
	Add(ctx context.Context, i, a, b int) (int, error)
	Len() int
	// Release releases all references.
	Release()
}

// Exporter is a [load.Client] that can ask its server to export n objects.
type Exporter interface {
	Export(ctx context.Context, n int) (Handles, error)
}

// Cacher is a [load.Client] that can get copies of n objects of its server. The copies live as long as the result is
// reachable.
type Cacher interface {
	Cache(ctx context.Context, n int) (any, error)
}

// Holder is a [load.Client] that can make n calls which the server does not answer until release is called.
type Holder interface {
	Hold(ctx context.Context, n int) (release func() error, err error)
}

// Watcher is a [load.Client] that can watch an object of its server, which is the same for all clients.
type Watcher interface {
	// Watch calls seen with the number of every later change.
	Watch(ctx context.Context, seen func(n int)) error
	// Change sets the object's number to n.
	Change(ctx context.Context, n int) error
}
