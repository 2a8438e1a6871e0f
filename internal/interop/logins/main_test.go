package logins

import (
	"context"
	"embed"
	"path"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed python/*.py
var scripts embed.FS

// script writes an embedded script to a file and returns its path.
func script(t *testing.T, name string) string {
	t.Helper()
	source, err := scripts.ReadFile(path.Join("python", name))
	require.NoError(t, err)
	return stock.WriteScript(t, name, source)
}

// listing runs an unchanged listing of twisted-doc under the script that encodes its users.
func listing(t *testing.T, name, connectTo string) *stock.Process {
	t.Helper()
	return stock.StartListing(t, script(t, "encoded.py"), connectTo, path.Join(stock.PBListings, name))
}

var newRuntime = pbtest.NewRuntime

// myPerspective is the avatar of the listings' servers.
type myPerspective struct {
	flavors.Avatar
	name string
	told chan<- string
}

func (p *myPerspective) PerspectiveFoo(arg any) { p.told <- told(p.name, arg) }

// realm makes perspectives, and reports calls and logouts.
type realm struct {
	told chan string
	left chan string
}

func newRealm() *realm {
	return &realm{told: make(chan string, 16), left: make(chan string, 16)}
}

// RequestAvatar implements cred.Realm.
func (r *realm) RequestAvatar(
	_ context.Context,
	id cred.AvatarID,
	_ *flavors.RemoteReference,
) (*myPerspective, func(), error) {
	return &myPerspective{name: id.String(), told: r.told}, func() { r.left <- id.String() }, nil
}

// portal has the users of the listings.
func (r *realm) portal(t *testing.T) *cred.Portal[*flavors.RemoteReference, *myPerspective] {
	t.Helper()
	users, err := cred.NewInMemory(
		map[string]cred.Entry{"user1": cred.Plaintext("pass1"), "user2": cred.Plaintext("pass2")},
	)
	require.NoError(t, err)
	portal, err := cred.NewPortal(r, users, cred.AllowAnonymous())
	require.NoError(t, err)
	return portal
}

// named is an avatar that returns its name.
type named struct {
	flavors.Avatar
	name string
}

func (n *named) PerspectiveWhoami() string { return n.name }

// stockUsers is the realm of python/tls_peer.py in Go.
type stockUsers struct{}

// RequestAvatar implements cred.Realm.
func (stockUsers) RequestAvatar(
	_ context.Context,
	id cred.AvatarID,
	_ *flavors.RemoteReference,
) (*named, func(), error) {
	return &named{name: id.Name()}, nil, nil
}
