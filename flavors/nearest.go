package flavors

import (
	"reflect"
	"strings"
	"sync"

	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// unknownNames are the names of methods that peers have called in vain, of one type. Each is logged once, and only so
// many are, because a peer can make up any number.
type unknownNames struct {
	mu   sync.Mutex
	seen map[string]struct{}
}

// maxUnknownNames is how many unknown names of a type are logged.
const maxUnknownNames = 64

// isNew reports whether the name is to be logged.
func (u *unknownNames) isNew(name string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, ok := u.seen[name]; ok || len(u.seen) >= maxUnknownNames {
		return false
	}
	if u.seen == nil {
		u.seen = map[string]struct{}{}
	}
	u.seen[name] = struct{}{}
	return true
}

// logUnknown logs a call of a method that does not exist, with the nearest one. The peer is told neither the type nor
// another method's name.
func (t *MethodTable) logUnknown(inv *Invocation) {
	name := clipText(inv.Method, maxQuotedName)
	if inv.core == nil || t.prefix == PrefixObserve || !t.unknown.isNew(name) {
		return
	}
	hint := t.nearest(name)
	usercode.Log(func() {
		e := inv.conn.Logger().Warn().Str("call", inv.name())
		if hint != "" {
			e = e.Str("nearest", hint)
		}
		e.Msg("a peer called a method that does not exist")
	})
}

// nearest returns which method the caller of an unknown one may have meant, and why it was not found; "" if none is
// near.
func (t *MethodTable) nearest(wire string) string {
	best := nearestOf(wire)
	for name := range t.methods {
		goName := string(t.prefix) + dispatch.RaiseFirst(name)
		if _, ok := t.typ.MethodByName(goName); !ok {
			goName = name
		}
		best.offer(name, goName+" exists")
	}
	for i := range t.typ.NumMethod() {
		goName := t.typ.Method(i).Name
		rest := goName
		for _, p := range []Prefix{PrefixRemote, PrefixPerspective, PrefixView, PrefixObserve} {
			if carries(goName, p) {
				rest = goName[len(p):]
			}
		}
		if rest == goName && !strings.EqualFold(goName, strings.ReplaceAll(wire, "_", "")) {
			continue // It was not written for peers.
		}
		best.offer(rest, goName+" exists, but peers call "+string(t.prefix)+" methods of this object, "+
			"and those listed in PublishMethods")
	}
	return best.text
}

// nearestMethod returns the exported method of t whose name is nearest to a misspelt one, for errors: "; Model exists".
func nearestMethod(t reflect.Type, name string) string {
	best := nearestOf(name)
	for i := range t.NumMethod() {
		best.offer(t.Method(i).Name, "; "+t.Method(i).Name+" exists")
	}
	return best.text
}

// candidate is the nearest name so far.
type candidate struct {
	name     string
	distance int
	text     string
}

// nearestOf begins a search. A name is near if at most a third of its letters differ, or if one begins with the other.
func nearestOf(name string) *candidate {
	name = plainName(name)
	return &candidate{name: name, distance: max(len(name)/3, 1) + 1}
}

// offer takes a name if it is nearer. Of equally near ones it takes the first in the alphabet.
func (c *candidate) offer(name, text string) {
	name = plainName(name)
	d := distance(c.name, name)
	if min(len(name), len(c.name)) >= 3 && (strings.HasPrefix(name, c.name) || strings.HasPrefix(c.name, name)) {
		d = min(d, 1)
	}
	if d < c.distance || d == c.distance && c.text != "" && text < c.text {
		c.distance, c.text = d, text
	}
}

// plainName makes the spellings of a name equal: get_two, getTwo and GetTwo.
func plainName(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// distance returns how many letters must be changed, added or removed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := before
			if a[i] != b[j] {
				d = min(before, row[j], row[j+1]) + 1
			}
			before, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
