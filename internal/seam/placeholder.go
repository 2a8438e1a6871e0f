package seam

// Placeholders stand in a fragment for luids, which the broker fills in when it sends the fragment.

// Export is the placeholder of an object of ours. The broker finds or makes the entry in its table of exports and
// counts one reference.
type Export struct {
	Core Core
	// Prefix is that of the methods that can be called through the reference.
	Prefix string
	// Perspective is whose reference it is; nil for a plain Referenceable. There is one export for each object,
	// prefix and perspective.
	Perspective any
	// Caller is the user whose login this answers; nil in most.
	Caller Caller
	// View is the *flavors.ViewPoint that the user sent; nil if an object was sent.
	View any
	// OnRelease, if not nil, is called in the broker's turn when the peer has released the object.
	OnRelease func()
	// For is the perspective under which an object of another peer is sent. It makes no export of its own: the peer gets
	// the same luid under each.
	For any
	// Gone says that the peer is told with this mention that the object is gone.
	Gone bool
}

// Passed is the placeholder of an object of another peer. The object is in use until the fragment is freed.
type Passed interface{ Export() Export }

// Relayed is a Core that stands for an object of another peer.
type Relayed interface {
	// WhenOriginEnds has f called, on a goroutine of its own, when the connection has ended that the object came over.
	// gone is a flavors.Gone.
	WhenOriginEnds(f func(gone any)) (cancel func() bool)
}

// Substituter is implemented by connections.
type Substituter interface {
	// Substitute returns what is sent to other peers in place of a *flavors.RemoteReference with a class that came over
	// the connection; nil for the reference itself.
	Substitute(ref any) any
	// SubstituteCache returns what is sent over the connection in place of a Cacheable; nil for the Cacheable itself.
	SubstituteCache(original, perspective any) any
	// AddressOf returns the address that is sent over the connection in place of an object of ours; ok is false for a
	// reference to it.
	AddressOf(object any) (kind, id string, ok bool)
}

// Cache is the placeholder of a Cacheable. The broker writes the state with a new luid, or a mention of the copy that
// the peer has.
type Cache struct {
	Core        Core
	Class       string
	Perspective any
	Viewer      any // whose view of the original it is; the Perspective for most
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
