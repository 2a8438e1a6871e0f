package jelly

// Unbound stands in a decoded value for what only a connection or a registered
// class can supply. Bind puts that in its place, or rather its places: something
// shared stands in several.
type Unbound struct {
	// Tag is "remote", "local", "cached" or "lcache", or the name of a class.
	Tag string
	// ID is the luid: of a reference, or of a RemoteCache that comes for the first time.
	ID int64
	// Name is set in the place of ID where a reference names its object, as in [local "root"].
	Name []byte
	// State is the state of an instance. It may hold other Unbounds.
	State any
	// Offset is where it stands in the frame, for errors and logs.
	Offset int

	instance bool
	bound    bool
	entry    ClassEntry
	slot     *any
	more     []*any
	value    any
}

// IsInstance reports whether it is an object of a registered class, which Unjelly makes, and
// not a reference, which the connection knows.
func (u *Unbound) IsInstance() bool { return u.instance }

// Entry returns what the registry knew of an instance's class.
func (u *Unbound) Entry() ClassEntry { return u.entry }

// Bound reports whether Bind has been called.
func (u *Unbound) Bound() bool { return u.bound }

// Value returns what Bind was given.
func (u *Unbound) Value() any { return u.value }

// Bind puts v wherever u stands. It writes into the decoded value, so it must be
// called before anybody else is given that value, and only while no part of it has been
// moved.
func (u *Unbound) Bind(v any) {
	u.bound, u.value = true, v
	if u.slot != nil {
		*u.slot = v
	}
	for _, slot := range u.more {
		*slot = v
	}
}

// put makes u stand in another slot.
func (u *Unbound) put(slot *any) {
	*slot = u
	if u.slot == nil {
		u.slot = slot
		return
	}
	u.more = append(u.more, slot)
}
