package table

import (
	"slices"
	"time"
)

// Lingering is the list of entries of all tables that the peer has released, oldest first. They linger because the peer
// may have mentioned an entry in an answer before it released it, and the answer may arrive later (P-5.4, P-7.5). So
// an entry lingers while calls are pending that were made before its release, but not longer than a grace period. The
// zero Lingering is empty.
type Lingering struct{ list []lingerer }

type lingerer struct {
	entry   entry
	request int64 // the last request when the entry was released
	since   time.Time
}

type entry interface{ drop() }

// Len returns how many entries linger.
func (l *Lingering) Len() int { return len(l.list) }

// Since returns since when the oldest entry has lingered. The list must not be empty.
func (l *Lingering) Since() time.Time { return l.list[0].since }

// Sweep drops the entries for which no call is pending, and those that have lingered since a time that is not after
// deadline. oldest is the id of the oldest pending call.
func (l *Lingering) Sweep(oldest int64, deadline time.Time) {
	n := 0
	for n < len(l.list) && (l.list[n].request < oldest || !l.list[n].since.After(deadline)) {
		l.list[n].entry.drop()
		n++
	}
	l.list = slices.Delete(l.list, 0, n)
}

// dropFirst drops the oldest entry for which is returns true.
func (l *Lingering) dropFirst(is func(entry) bool) {
	i := slices.IndexFunc(l.list, func(x lingerer) bool { return is(x.entry) })
	if i >= 0 {
		l.list[i].entry.drop()
		l.list = slices.Delete(l.list, i, i+1)
	}
}

// Clear empties the list without dropping the entries.
func (l *Lingering) Clear() { l.list = nil }
