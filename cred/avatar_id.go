package cred

// AvatarID says which avatar a checker has let in. It is comparable, so it can be a map's key.
//
// The zero value names nobody and no portal lets it in, and the anonymous user is not somebody with an empty
// name: a slip in a checker or in a password file must not turn into a login.
type AvatarID struct {
	name      string
	anonymous bool
}

// ID is the avatar id of the user with that name. The id of an empty name is the zero value.
func ID(name string) AvatarID { return AvatarID{name: name} }

// AnonymousID is the avatar id of all who did not say who they are.
func AnonymousID() AvatarID { return AvatarID{anonymous: true} }

// Name returns the user's name, and nothing for the anonymous user.
func (id AvatarID) Name() string { return id.name }

// Anonymous says whether this is the anonymous user.
func (id AvatarID) Anonymous() bool { return id.anonymous }

// IsZero says whether this names nobody at all.
func (id AvatarID) IsZero() bool { return id == AvatarID{} }

// String is for logs: the name, "(anonymous)" or "(nobody)".
func (id AvatarID) String() string {
	switch {
	case id.anonymous:
		return "(anonymous)"
	case id.name == "":
		return "(nobody)"
	}
	return id.name
}
