package table

// Exports is the table of the objects that the peer can call: those that it holds, by id, and those that are published,
// by name. The zero Exports is empty.
type Exports[K comparable, V any] struct {
	Counted[K, V]
	// One name is the common case, and needs no map.
	name  string
	named *Entry[K, V]            // the entry with that name; nil if there is none
	names map[string]*Entry[K, V] // the others
}

// Publish adds an entry that the peer can call by name. It has no id, and is not counted.
func (x *Exports[K, V]) Publish(name string, key K, value V) {
	e := &Entry[K, V]{Key: key, Value: value, count: 1, table: &x.Counted}
	switch {
	case x.named == nil || x.name == name:
		x.name, x.named = name, e
		return
	case x.names == nil:
		x.names = map[string]*Entry[K, V]{}
	}
	x.names[name] = e
}

// Lookup returns the entry that a peer names, or nil. An empty name means that the peer uses the id.
func (x *Exports[K, V]) Lookup(id int64, name string) *Entry[K, V] {
	switch name {
	case "":
		return x.Find(id)
	case x.name:
		return x.named
	}
	return x.names[name]
}

// Clear drops all entries, and passes the published ones to unpublished.
func (x *Exports[K, V]) Clear(unpublished func(*Entry[K, V])) {
	x.Counted.Clear()
	if x.named != nil {
		unpublished(x.named)
	}
	for _, e := range x.names {
		unpublished(e)
	}
	x.name, x.named, x.names = "", nil, nil
}
