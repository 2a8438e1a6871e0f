package jelly

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// ClassKind says how objects of a class travel.
type ClassKind uint8

const (
	// RemoteCopy is a copy: [class state].
	RemoteCopy ClassKind = iota
	// RemoteCache is the first mention of a cache: [class luid state].
	RemoteCache
)

// ClassEntry is what a Registry knows of a class.
type ClassEntry struct {
	Kind ClassKind
	// New returns a new, blank object: a pointer. It is called by Unjelly, never by a Decoder.
	New func() any
}

// Registry says which classes may come in and what is made of them. The zero
// Registry is empty. It may be read and added to at the same time.
type Registry struct {
	mu sync.Mutex // serialises writers
	// Readers take the whole table; writers replace it.
	table atomic.Pointer[classTable]
}

type classTable struct {
	classes  map[string]classOf
	prefixes map[string]func(class string) (ClassEntry, bool)
}

// classOf keeps a class's name with it, so that a decoder need not make a
// string of the bytes that it received.
type classOf struct {
	name string
	ClassEntry
}

// maxClassName is the longest name of a class or module. Those of Python programs seldom reach a hundred.
const maxClassName = 1024

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{} }

// Register makes the objects of a class welcome. class is what the peer sends: usually the
// dotted name of its Python class.
func (r *Registry) Register(class string, entry ClassEntry) error {
	return r.RegisterTree("", map[string]ClassEntry{class: entry})
}

// RegisterTree registers several classes of one module: each name with prefix
// and a dot in front, or by itself if prefix is empty. If one of them cannot be
// registered, none is.
func (r *Registry) RegisterTree(prefix string, classes map[string]ClassEntry) error {
	return r.change(func(t *classTable) error {
		for name, entry := range classes {
			if prefix != "" {
				name = prefix + "." + name
			}
			if err := checkClassName(name); err != nil {
				return err
			}
			if entry.New == nil {
				return fmt.Errorf("jelly: class %q has no New function", name)
			}
			if _, ok := t.classes[name]; ok {
				return fmt.Errorf("jelly: class %q is registered already", name)
			}
			t.classes[name] = classOf{name, entry}
		}
		return nil
	})
}

// RegisterPrefix lets resolve decide about all classes whose name begins with prefix and a
// dot and which are not registered by name. resolve gets the whole name; it is called by
// decoders, so it must be quick and safe for concurrent use. The longest prefix wins.
func (r *Registry) RegisterPrefix(prefix string, resolve func(class string) (ClassEntry, bool)) error {
	return r.change(func(t *classTable) error {
		if prefix == "" || resolve == nil {
			return fmt.Errorf("jelly: a class tree needs a prefix and a function")
		}
		if _, ok := t.prefixes[prefix]; ok {
			return fmt.Errorf("jelly: prefix %q is registered already", prefix)
		}
		t.prefixes[prefix] = resolve
		return nil
	})
}

// Lookup returns what is known of a class.
func (r *Registry) Lookup(class string) (ClassEntry, bool) {
	found, ok := r.lookup([]byte(class))
	return found.ClassEntry, ok
}

// lookup does not allocate for a class that is registered by name.
func (r *Registry) lookup(class []byte) (classOf, bool) {
	if r == nil {
		return classOf{}, false
	}
	t := r.table.Load()
	if t == nil {
		return classOf{}, false
	}
	if found, ok := t.classes[string(class)]; ok {
		return found, true
	}
	if len(t.prefixes) == 0 || len(class) > maxClassName {
		return classOf{}, false
	}
	name := string(class)
	for prefix := moduleOf(name); prefix != ""; prefix = moduleOf(prefix) {
		if resolve, ok := t.prefixes[prefix]; ok {
			var entry ClassEntry
			usercode.Do(func() { entry, ok = resolve(name) }) // A function that panics knows no class.
			if ok && entry.New != nil {
				return classOf{name, entry}, true
			}
		}
	}
	return classOf{}, false
}

// change replaces the table by a changed copy, unless f fails.
func (r *Registry) change(f func(*classTable) error) error {
	if r == nil {
		return fmt.Errorf("jelly: the registry is nil: make one with NewRegistry")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next := &classTable{classes: map[string]classOf{}, prefixes: map[string]func(string) (ClassEntry, bool){}}
	if now := r.table.Load(); now != nil {
		maps.Copy(next.classes, now.classes)
		maps.Copy(next.prefixes, now.prefixes)
	}
	if err := f(next); err != nil {
		return err
	}
	r.table.Store(next)
	return nil
}

// checkClassName refuses names that mean something else on the wire.
func checkClassName(name string) error {
	if err := CheckClass(name); err != nil {
		return fmt.Errorf("jelly: %w", err)
	}
	return nil
}

// CheckClass says what is wrong with the name of a class: it is empty, longer than 1,024 bytes, or a word that means
// something else on the wire, such as "list". A Registry takes no such class, and an Encoder writes no object of it.
func CheckClass(name string) error {
	switch {
	case name == "":
		return errors.New("a class needs a name")
	case len(name) > maxClassName:
		return fmt.Errorf("the class name %q is longer than %d bytes", clip(name), maxClassName)
	case strings.IndexByte(name, '.') < 0 && isJellyWord(name):
		return fmt.Errorf("%q is the name of a type of Jelly, not of a class", name)
	}
	return nil
}

func isJellyWord(name string) bool {
	return tagOf(&banana.Token{Kind: banana.String, Bytes: []byte(name)}) != tagNone
}
