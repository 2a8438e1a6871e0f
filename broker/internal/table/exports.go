package table

// Exports is the table of the objects that the peer can call: those that it holds, by id, and those that are published,
// by name. The zero Exports is empty.
type Exports[K comparable, V any] struct {
	Counted[K, V]
	names map[string]*Entry[K, V]
}

// Publish adds an entry that the peer can call by name. It has no id, and is not counted.
func (x *Exports[K, V]) Publish(name string, key K, value V) {
	if x.names == nil {
		x.names = map[string]*Entry[K, V]{}
	}
	x.names[name] = &Entry[K, V]{Key: key, Value: value, count: 1, table: &x.Counted}
}

// Lookup returns the entry that a peer names, or nil. An empty name means that the peer uses the id.
func (x *Exports[K, V]) Lookup(id int64, name string) *Entry[K, V] {
	if name != "" {
		return x.names[name]
	}
	return x.Find(id)
}

// Clear drops all entries, and passes the published ones to unpublished.
func (x *Exports[K, V]) Clear(unpublished func(*Entry[K, V])) {
	x.Counted.Clear()
	for _, e := range x.names {
		unpublished(e)
	}
	x.names = nil
}
