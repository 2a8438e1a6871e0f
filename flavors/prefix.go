package flavors

// Prefix is the prefix of the Go methods that peers can call. It depends on how the object is reached: as a
// Referenceable, an avatar, a Viewable or, for updates, a cache.
type Prefix string

// The prefixes of the flavors.
const (
	PrefixRemote      Prefix = "Remote"      // RemoteX of a Referenceable
	PrefixPerspective Prefix = "Perspective" // PerspectiveX of an avatar
	PrefixView        Prefix = "View"        // ViewX of a Viewable: its first parameter is the caller's perspective
	PrefixObserve     Prefix = "Observe"     // ObserveX of a RemoteCache
)

// wire returns Twisted's spelling of the prefix, for errors.
func (p Prefix) wire() string {
	switch p {
	case PrefixRemote:
		return "remote_"
	case PrefixPerspective:
		return "perspective_"
	case PrefixView:
		return "view_"
	case PrefixObserve:
		return "observe_"
	}
	return string(p) + "_"
}
