package otel

import (
	"maps"
	"slices"

	"github.com/perspectivebroker/pb/flavors"
)

// carrier is metadata as a propagator sees it.
type carrier flavors.Metadata

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string {
	switch v := c[key].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (c carrier) Set(key, value string) { c[key] = value }

// Keys implements propagation.TextMapCarrier.
func (c carrier) Keys() []string { return slices.Collect(maps.Keys(c)) }

// received is the metadata of a call of the peer as a propagator sees it.
type received flavors.CallInfo

// Get implements propagation.TextMapCarrier.
func (c *received) Get(key string) string { return (*flavors.CallInfo)(c).MetadataText(key) }

// Set implements propagation.TextMapCarrier. What a peer has sent is not changed.
func (*received) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (c *received) Keys() []string { return carrier((*flavors.CallInfo)(c).Metadata()).Keys() }

const (
	// maxAdded is how many bytes a propagator may add to the metadata of a call without a look at the rest of it.
	maxAdded = 1 << 10
	// entrySize is more than an entry has on the wire besides its key and its value.
	entrySize = 32
)

// fit removes what would take the metadata of a call, others included, beyond its limits. The longest values go first.
// Metadata of the application that is too long by itself is left to fail.
func (c carrier) fit(others flavors.Metadata) {
	size := c.size()
	if len(others) == 0 && size <= maxAdded {
		return
	}
	room := flavors.MaxMetadataBytes - 2*entrySize // for the deadline and the head
	entries := flavors.MaxMetadataEntries - 1
	for key, v := range others {
		if _, replaced := c[key]; replaced {
			continue
		}
		entries--
		room -= entrySize + len(key)
		switch v := v.(type) {
		case string:
			room -= len(v)
		case []byte:
			room -= len(v)
		}
	}
	for len(c) > 0 && (size > room || len(c) > entries) {
		delete(c, c.longest())
		size = c.size()
	}
}

func (c carrier) size() (bytes int) {
	for key := range c {
		bytes += entrySize + len(key) + len(c.Get(key))
	}
	return bytes
}

func (c carrier) longest() (longest string) {
	for key := range c {
		if have, this := len(c.Get(longest)), len(c.Get(key)); longest == "" || this > have ||
			this == have && key > longest {
			longest = key
		}
	}
	return longest
}
