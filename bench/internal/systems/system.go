package systems

import (
	"context"

	"github.com/perspectivebroker/pb/bench/internal/load"
)

// System is one that is measured. Server and client run in processes of their own.
type System struct {
	// Name is what the rows of a report call it.
	Name string
	// Serve serves at a free port of the loopback interface until the process ends, and returns where.
	Serve func() (addr string, err error)
	// Dial makes one connection.
	Dial func(ctx context.Context, addr string) (load.Client, error)
	// Script is set for a system that is no Go program: it is run by Interpreter and speaks package child's protocol itself.
	Script      string
	Interpreter string
	// OneCaller says that a connection can carry only one call at a time.
	OneCaller bool
	// MostConns is how many connections one client process can be expected to make; 0 stands for any number.
	MostConns int
	// Watches says that the system has objects whose changes are followed by others: its clients are Watchers.
	Watches bool
	// Optional systems are measured only when they are asked for by name.
	Optional bool
}

// All are the systems that can be measured, ours first.
func All() []System {
	return []System{
		ours(), oursReflected(), netRPC(), grpcSystem(), protoactorRemote(), rawTCP(), twisted(),
		connectGo(), natsSystem(),
	}
}

// ByName finds a system.
func ByName(name string) (System, bool) {
	for _, s := range All() {
		if s.Name == name {
			return s, true
		}
	}
	return System{}, false
}

// Handles are objects that a server has exported to this client.
type Handles interface {
	// Add calls the i-th object.
	Add(ctx context.Context, i, a, b int) (int, error)
	Len() int
	Release()
}

// Exporter is a Client whose server can be made to export objects.
type Exporter interface {
	Export(ctx context.Context, n int) (Handles, error)
}

// Cacher is a Client that can be made to hold copies of n objects of the server's; it holds them as long as the result is held.
type Cacher interface {
	Cache(ctx context.Context, n int) (any, error)
}

// Holder is a Client that can leave calls unanswered. The held calls are answered when release is called.
type Holder interface {
	Hold(ctx context.Context, n int) (release func() error, err error)
}

// Watcher is a Client that can follow an object of the server's, the same for all clients.
type Watcher interface {
	// Watch has seen called with the number of every change from now on.
	Watch(ctx context.Context, seen func(n int)) error
	// Change changes the object.
	Change(ctx context.Context, n int) error
}
