package flavors

import "github.com/perspectivebroker/pb/internal/seam"

// This file has how the arguments of a Relay's calls are decoded when they are read, although a Relay may pass calls to
// other processes. Once it has passed a call to an object of this one, the methods of that object say how. What is
// decoded for nothing, because the next call goes elsewhere, is encoded again.

// home is the methods of the object to which a [Relay] passes calls. It does not keep the object.
type home struct{ table *MethodTable }

// EarlyOf returns how the arguments of a Relay's calls of a method may be decoded when they are read: directly as m
// says, or generally. Neither is so if they must stay as they came. It is good until outdated reports true. ok is false
// if core is no Relay, or has not passed a call to an object of this process.
func (export) EarlyOf(core seam.Core, name string) (m *directMethod, generally bool, outdated func() bool, ok bool) {
	c, is := core.(*relayObject)
	if !is {
		return nil, false, nil, false
	}
	to := c.home.Load()
	if to == nil {
		return nil, false, nil, false
	}
	if found := to.table.lookup(name).caller; found != nil {
		generally = !found.parameters().keepsSome()
		if m = found.direct(); m != nil && m.lent != 0 {
			m = nil
		}
	}
	return m, generally, func() bool { return c.home.Load() != to }, true
}

// DecodedEarly notes that the arguments of a Relay's call have been decoded.
func (export) DecodedEarly(inv *Invocation) { inv.relaying().early = true }

// hideArgs takes the arguments away that were decoded early, while the Relay has the call.
func (inv *Invocation) hideArgs() {
	if r := inv.relay; r != nil && r.early {
		r.hidden, inv.Args = len(inv.Args), inv.Args[:0]
	}
}

// showArgs undoes hideArgs.
func (inv *Invocation) showArgs() {
	if r := inv.relay; r != nil && r.early {
		r.early, inv.Args = false, inv.Args[:r.hidden]
	}
}

// passesTo notes the object to which the Relay passes a call that was not decoded.
func (c *relayObject) passesTo(core seam.Core, p Prefix) {
	var table *MethodTable
	if object, ok := core.(*objectCore); ok {
		table = object.tableFor(p)
	}
	switch known := c.home.Load(); {
	case table == nil:
		c.home.Store(nil)
	case known == nil || known.table != table:
		c.home.Store(&home{table})
	}
}

// decodeAll has the arguments be general values, for a handler that takes any.
func (inv *Invocation) decodeAll() error {
	if err := inv.decodeLate(nil); err != nil {
		return err
	}
	return inv.bind(nil)
}
