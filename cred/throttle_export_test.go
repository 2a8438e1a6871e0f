package cred

import "fmt"

// CheckTable returns what is wrong with the throttle's table.
func (t *Throttle) CheckTable() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	table := &t.table
	recent, guilty := table.recent.Len(), len(table.guilty.keys)
	switch {
	case len(table.keys) > t.config.keys:
		return fmt.Errorf("%d keys where %d are allowed", len(table.keys), t.config.keys)
	case recent+guilty != len(table.keys), recent > table.recentRoom, guilty > table.guiltyRoom:
		return fmt.Errorf("%d keys, of these %d recent and %d guilty", len(table.keys), recent, guilty)
	}
	for e := table.recent.Front(); e != nil; e = e.Next() {
		if a := e.Value.(*attempts); a.recent != e || a.index != notInHeap || table.keys[a.key] != a {
			return fmt.Errorf("recent key out of place: %+v", a)
		}
	}
	for i, a := range table.guilty.keys {
		if a.recent != nil || a.index != i || table.keys[a.key] != a {
			return fmt.Errorf("guilty key out of place at %d: %+v", i, a)
		}
		if parent := (i - 1) / 2; i > 0 && table.guilty.Less(i, parent) {
			return fmt.Errorf("key %d is less guilty than its parent: %+v", i, a)
		}
	}
	return nil
}

// Knows reports whether the key is in the table.
func (t *Throttle) Knows(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.table.keys[key]
	return ok
}
