package broker

import (
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// revoke is the message that takes an object back from the peer.
type revoke struct {
	core seam.Core
	view *seam.Export // nil for all exports of the object
}

// Revoke takes an object back from the peer: a pointer to a struct that embeds a flavor, or a *[flavors.ViewPoint],
// which takes back that view only. Later calls fail as calls to an object that does not exist, as does sending the
// reference home, and the object no longer counts against Limits.Exports. Calls that have arrived before are carried
// out. If the object is an avatar, its user is logged out. If the object is sent again, it is a new one for the peer.
//
// Revoke does not wait: it takes effect behind what was given to the connection before, and before what is given to it
// afterwards, such as the answer of the method that calls it. It has no effect on objects that the peer does not hold,
// on a published object as far as it is called by its name, and on connections other than this one; see [Revoke].
// Copies cannot be revoked: Revoke of a [flavors.Cacheable] fails.
func (c *Conn) Revoke(obj any) error {
	if !c.isMade() {
		return errNoConn
	}
	m, err := newRevoke(obj)
	if err != nil {
		return err
	}
	c.c.revoke(m)
	return nil
}

// Revoke takes an object back from the peers of all connections of a runtime, as [Conn.Revoke] does from one.
func Revoke(rt *actor.Runtime, obj any) error {
	if err := rt.Check(); err != nil {
		return fmt.Errorf("broker: revoking a %T: %w", obj, err)
	}
	m, err := newRevoke(obj)
	if err != nil {
		return err
	}
	for _, c := range registryOf(rt).all() {
		c.revoke(m)
	}
	return nil
}

func newRevoke(obj any) (*revoke, error) {
	export, err := internal.ExportOf(obj)
	if err != nil {
		return nil, fmt.Errorf("broker: revoking: %w", err)
	}
	if _, cached := obj.(interface{ Observers() flavors.Observers }); cached {
		return nil, fmt.Errorf("broker: a %T cannot be revoked: peers have copies of it, not references", obj)
	}
	m := &revoke{core: export.Core}
	if export.View != nil {
		m.view = &export
	}
	return m, nil
}

func (c *connection) revoke(m *revoke) {
	if !c.ended() {
		c.handOver(m)
	}
}

// revokeNow drops the exports of an object.
func (b *broker) revokeNow(m *revoke) {
	c := b.c
	for e := range b.exports.All() {
		if e.Key.core != m.core || m.view != nil && e.Key != keyOf(*m.view) {
			continue
		}
		e.Revoke(&b.lingering)
		usercode.Log(func() { c.log.Debug().Int64("luid", e.ID).Stringer("object", m.core).Msg("reference revoked") })
	}
	b.tablesChanged()
}

func keyOf(x seam.Export) exportKey { return exportKey{x.Core, x.Prefix, x.Perspective} }
