package typed

import (
	"context"

	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/flavors"
)

//go:generate go -C ../../../cmd run ./pb gen -o $PWD/typed_pb.go ../cluster/internal/typed

// Hall finds desks.
//
//pb:remote
type Hall interface {
	// Desk returns a desk as what it does.
	Desk(ctx context.Context, id string) (Desk, error)
	// Place returns a desk as what it is.
	Place(ctx context.Context, id string) (*cluster.Ref, error)
}

// Desk keeps things. It is a placed object.
//
//pb:remote
type Desk interface {
	// Node returns where the desk is.
	Node(ctx context.Context) (string, error)
	// Compare reports whether a desk is the one of another id.
	Compare(ctx context.Context, desk Desk, id string) (bool, error)
}

// Drawers has every way in which placed objects, objects of clients, and values that are not decoded travel.
//
//pb:remote
type Drawers interface {
	Placed(ctx context.Context, x *cluster.Ref) (*cluster.Ref, error)
	Places(ctx context.Context, x []*cluster.Ref, y ...*cluster.Ref) ([]*cluster.Ref, error)
	PlacedBy(ctx context.Context, o struct {
		X *cluster.Ref `pb:"x"`
	}) (int, *cluster.Ref, error)
	Callee(ctx context.Context, x flavors.Callee) (flavors.Callee, error)
	CalleeEach(ctx context.Context, x map[string]flavors.Callee, more ...flavors.Callee) ([]flavors.Callee, error)
	Kept(ctx context.Context, x *flavors.Relayed) (*flavors.Relayed, error)
	KeptMore(ctx context.Context, n int, more ...*flavors.Relayed) (*flavors.Relayed, error)
	KeptBy(ctx context.Context, n int, o struct {
		X *flavors.Relayed `pb:"x"`
	}, more ...int) (*flavors.Relayed, error)
}
