package replica

import (
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/seam"
)

// The default limits of a copy of a map.
const (
	// DefaultMaxEntries is the default of [WithMaxEntries].
	DefaultMaxEntries = 65536
	// DefaultMaxBytes is the default of [WithMaxBytes].
	DefaultMaxBytes = 64 << 20
)

// Option sets a limit of the copies that [RegisterMap] registers.
type Option interface{ apply(*limits) }

type optionFunc func(*limits)

func (f optionFunc) apply(l *limits) { f(l) }

type limits struct{ entries, bytes int }

// WithMaxEntries limits the number of keys of a copy. The default is [DefaultMaxEntries]; a number below 1 means that.
func WithMaxEntries(n int) Option { return optionFunc(func(l *limits) { l.entries = n }) }

// WithMaxBytes limits the memory of what brought the present entries of a copy: the first state and the updates. Each
// counts as it does in the runtime's budget, see broker.Limits.MemoryTotal; the first state and a replacement are
// divided evenly among their entries. A first state beyond the limit fails the call that brought it. The default is
// [DefaultMaxBytes]; a number below 1 means that.
func WithMaxBytes(n int) Option { return optionFunc(func(l *limits) { l.bytes = n }) }

func limitsOf(opts []Option) limits {
	var l limits
	for _, o := range opts {
		if o != nil {
			o.apply(&l)
		}
	}
	if l.entries < 1 {
		l.entries = DefaultMaxEntries
	}
	if l.bytes < 1 {
		l.bytes = DefaultMaxBytes
	}
	return l
}

func (l limits) checkEntries(n int) error {
	if n > l.entries {
		return flavors.ValueError.Errorf("the copy may have %d entries, not %d: see replica.WithMaxEntries", l.entries, n)
	}
	return nil
}

func (l limits) checkBytes(n int) error {
	if n > l.bytes {
		return flavors.ValueError.Errorf("the copy may take %d bytes, not %d: see replica.WithMaxBytes", l.bytes, n)
	}
	return nil
}

// internal is what package flavors has for this module only.
var internal = flavors.Internal.Export(seam.Token{})

// costOf returns what an update counts for.
func costOf(inv *flavors.Invocation) int { return internal.Weight(inv) }
