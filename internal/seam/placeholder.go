package seam

// Placeholders stand in a fragment for luids, which the broker fills in when it sends the fragment.

// Export is the placeholder of an object of ours. The broker finds or makes the entry in its table of exports and
// counts one reference.
type Export struct {
	Core Core
	// Prefix is that of the methods that can be called through the reference.
	Prefix string
	// Perspective is whose reference it is; nil for a plain Referenceable. There is one export for each object, prefix and
	// perspective.
	Perspective any
	// Caller is the user whose login this answers; nil in most.
	Caller Caller
	// View is the *flavors.ViewPoint that the user sent; nil if an object was sent.
	View any
	// OnRelease, if not nil, is called in the broker's turn when the peer has released the object.
	OnRelease func()
}

// Passed is the placeholder of an object of another peer. The object is in use until the fragment is freed.
type Passed interface{ Export() Export }

// Cache is the placeholder of a Cacheable. The broker writes the state with a new luid, or a mention of the copy that
// the peer has.
type Cache struct {
	Core        Core
	Class       string
	Perspective any
}

// Home is the placeholder of an object of the peer that is sent back to it. The reference is in use until the fragment
// is freed.
type Home interface {
	// Target returns what the peer knows the object by: a luid, or the name under which it is published.
	Target() (luid int64, name string)
}

// CacheHome is the placeholder of a peer's original that is sent back to it. The cache is in use until the fragment is
// freed.
type CacheHome interface {
	// CacheLuid returns the peer's luid.
	CacheLuid() int64
}
