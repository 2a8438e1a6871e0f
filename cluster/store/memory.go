package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a Store in the memory of the process.
type Memory struct {
	mu        sync.Mutex
	entries   map[string]Entry
	revision  int64
	compacted int64 // events up to this revision are gone
	history   []Event
	leases    map[LeaseID]*memoryLease
	lastLease LeaseID
	watches   map[*memoryWatch]struct{}
	closed    bool
}

type memoryLease struct {
	ttl   time.Duration
	timer *time.Timer
	keys  map[string]struct{}
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		entries: map[string]Entry{}, leases: map[LeaseID]*memoryLease{}, watches: map[*memoryWatch]struct{}{}, revision: 1,
	}
}

// Grant implements Store.
func (m *Memory) Grant(ctx context.Context, ttl time.Duration) (LeaseID, time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return 0, 0, err
	}
	ttl = wholeSeconds(ttl)
	m.lastLease++
	id := m.lastLease
	m.leases[id] = &memoryLease{
		ttl: ttl, keys: map[string]struct{}{}, timer: time.AfterFunc(ttl, func() { m.expire(id) }),
	}
	return id, ttl, nil
}

// Renew implements Store.
func (m *Memory) Renew(ctx context.Context, lease LeaseID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return err
	}
	l := m.leases[lease]
	// A timer that has fired waits for the lock: the lease has ended.
	if l == nil || !l.timer.Stop() {
		return ErrLeaseGone
	}
	l.timer.Reset(l.ttl)
	return nil
}

// Revoke implements Store.
func (m *Memory) Revoke(ctx context.Context, lease LeaseID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return err
	}
	m.end(lease)
	return nil
}

// Commit implements Store.
func (m *Memory) Commit(ctx context.Context, conditions []Condition, operations ...Operation) (bool, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return false, 0, err
	}
	for _, c := range conditions {
		if m.entries[c.Key].Created != c.Created {
			return false, m.revision, nil
		}
	}
	for _, op := range operations {
		if !op.Delete && op.Lease != 0 && m.leases[op.Lease] == nil {
			return false, m.revision, ErrLeaseGone
		}
	}
	m.apply(operations)
	return true, m.revision, nil
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, prefix string) (Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Revision: m.revision}
	for _, key := range slices.Sorted(maps.Keys(m.entries)) {
		if strings.HasPrefix(key, prefix) {
			e := m.entries[key]
			e.Value = slices.Clone(e.Value)
			s.Entries = append(s.Entries, e)
		}
	}
	return s, nil
}

// Watch implements Store.
func (m *Memory) Watch(ctx context.Context, prefix string, after int64) (Watch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return nil, err
	}
	w := &memoryWatch{store: m, prefix: prefix, news: make(chan struct{}, 1)}
	if after < m.compacted {
		w.err = ErrCompacted
	} else {
		from, _ := slices.BinarySearchFunc(m.history, after+1, func(e Event, r int64) int { return int(e.Modified - r) })
		w.add(m.history[from:])
	}
	w.wake()
	m.watches[w] = struct{}{}
	return w, nil
}

// Close implements Store.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, l := range m.leases {
		l.timer.Stop()
	}
	for w := range m.watches {
		w.err = ErrClosed
		w.wake()
	}
	return nil
}

// Compact forgets past events. A watch that has yet to begin behind one of them fails with ErrCompacted.
func (m *Memory) Compact() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.compacted = m.revision
	m.history = nil
}

func (m *Memory) usable(ctx context.Context) error {
	if m.closed {
		return ErrClosed
	}
	return ctx.Err()
}

func (m *Memory) expire(lease LeaseID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.end(lease)
	}
}

// end deletes a lease with its keys.
func (m *Memory) end(lease LeaseID) {
	l := m.leases[lease]
	if l == nil {
		return
	}
	l.timer.Stop()
	delete(m.leases, lease)
	var operations []Operation
	for _, key := range slices.Sorted(maps.Keys(l.keys)) {
		operations = append(operations, Delete(key))
	}
	m.apply(operations)
}

// apply makes changes, which share a revision, and tells the watches.
func (m *Memory) apply(operations []Operation) {
	next := m.revision + 1
	var events []Event
	for _, op := range operations {
		old, there := m.entries[op.Key]
		if l := m.leases[old.Lease]; there && l != nil {
			delete(l.keys, op.Key)
		}
		if op.Delete {
			if there {
				delete(m.entries, op.Key)
				events = append(events, Event{Entry: Entry{Key: op.Key, Modified: next}, Deleted: true})
			}
			continue
		}
		e := Entry{Key: op.Key, Value: slices.Clone(op.Value), Created: next, Modified: next, Lease: op.Lease}
		if there {
			e.Created = old.Created
		}
		if l := m.leases[op.Lease]; l != nil {
			l.keys[op.Key] = struct{}{}
		}
		m.entries[op.Key] = e
		events = append(events, Event{Entry: e})
	}
	if len(events) == 0 {
		return
	}
	m.revision = next
	m.history = append(m.history, events...)
	for w := range m.watches {
		w.add(events)
		w.wake()
	}
}

type memoryWatch struct {
	store  *Memory
	prefix string
	news   chan struct{}
	events []Event // guarded by store.mu
	err    error   // guarded by store.mu
}

func (w *memoryWatch) add(events []Event) {
	for _, e := range events {
		if strings.HasPrefix(e.Key, w.prefix) {
			w.events = append(w.events, e)
		}
	}
}

func (w *memoryWatch) wake() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

func (w *memoryWatch) Next(ctx context.Context) ([]Event, error) {
	for {
		w.store.mu.Lock()
		events, err := w.events, w.err
		w.events = nil
		w.store.mu.Unlock()
		if len(events) > 0 {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-w.news:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (w *memoryWatch) Close() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	delete(w.store.watches, w)
	w.err = ErrClosed
	w.wake()
}

// wholeSeconds rounds up, as etcd's leases have whole seconds.
func wholeSeconds(d time.Duration) time.Duration {
	return max((d+time.Second-1)/time.Second, 1) * time.Second
}
