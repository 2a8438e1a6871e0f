package directory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/cluster/store"
)

const (
	testKind   = "room"
	testTTL    = 5 * time.Second
	testShards = 24 // those that members try to own
)

var errPartition = errors.New("partition")

// farStore is the store as one member sees it: late, or not at all.
type farStore struct {
	*store.Memory
	mu      sync.Mutex
	until   time.Time     // no request is answered before
	lossy   bool          // requests are carried out meanwhile
	delayed time.Duration // of every watch
}

// request waits while the store cannot be reached. carried reports whether the request is carried out although its
// answer does not arrive.
func (s *farStore) request(ctx context.Context) (carried bool, err error) {
	s.mu.Lock()
	wait, lossy := time.Until(s.until), s.lossy
	s.mu.Unlock()
	if wait <= 0 {
		return true, nil
	}
	if !sleep(ctx, wait) {
		return lossy, ctx.Err()
	}
	return lossy, errPartition
}

func (s *farStore) Grant(ctx context.Context, ttl time.Duration) (store.LeaseID, time.Duration, error) {
	if _, err := s.request(ctx); err != nil {
		return 0, 0, err
	}
	return s.Memory.Grant(ctx, ttl)
}

func (s *farStore) Renew(ctx context.Context, lease store.LeaseID) error {
	carried, err := s.request(ctx)
	if carried {
		if err := s.Memory.Renew(context.Background(), lease); err != nil {
			return err
		}
	}
	return err
}

func (s *farStore) Revoke(ctx context.Context, lease store.LeaseID) error {
	if _, err := s.request(ctx); err != nil {
		return err
	}
	return s.Memory.Revoke(ctx, lease)
}

func (s *farStore) Commit(
	ctx context.Context, conditions []store.Condition, operations ...store.Operation,
) (bool, int64, error) {
	carried, failed := s.request(ctx)
	if carried {
		done, at, err := s.Memory.Commit(context.Background(), conditions, operations...)
		if failed == nil {
			return done, at, err
		}
	}
	return false, 0, failed
}

func (s *farStore) Get(ctx context.Context, prefix string) (store.Snapshot, error) {
	if _, err := s.request(ctx); err != nil {
		return store.Snapshot{}, err
	}
	return s.Memory.Get(ctx, prefix)
}

func (s *farStore) Watch(ctx context.Context, prefix string, after int64) (store.Watch, error) {
	w, err := s.Memory.Watch(ctx, prefix, after)
	return &farWatch{w, s}, err
}

func (s *farStore) delay() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.delayed, time.Until(s.until))
}

type farWatch struct {
	store.Watch
	store *farStore
}

func (w *farWatch) Next(ctx context.Context) ([]store.Event, error) {
	events, err := w.Watch.Next(ctx)
	if d := w.store.delay(); d > 0 && err == nil && !sleep(ctx, d) {
		return nil, ctx.Err()
	}
	return events, err
}

// member is a virtual node.
type member struct {
	name   string
	dir    *Directory
	store  *farStore
	stop   context.CancelFunc
	done   sync.WaitGroup
	won    atomic.Int64 // shards acquired
	fenced atomic.Int64
}

// world is a cluster within a bubble of testing/synctest.
type world struct {
	t       require.TestingT
	shared  *store.Memory
	began   time.Time
	members []*member
	random  *rand.Rand
	next    int
	pause   time.Duration // between two attempts of a member to own a shard, at most
	broken  string        // what should not have been
}

func newWorld(t require.TestingT, seed uint64) *world {
	random := rand.New(rand.NewPCG(seed, 1))
	return &world{t: t, shared: store.NewMemory(), began: time.Now(), random: random, pause: time.Second}
}

func (w *world) join(n int) {
	for range n {
		w.next++
		w.start(fmt.Sprintf("n%d", w.next), time.Duration(w.random.IntN(3000))*time.Millisecond, w.random.Uint64())
	}
}

func (w *world) start(name string, delayed time.Duration, seed uint64) *member {
	m := w.member(name, delayed)
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.done.Go(func() { m.run(ctx, seed, w.pause) })
	w.members = append(w.members, m)
	return m
}

// member returns a member that has not joined.
func (w *world) member(name string, delayed time.Duration) *member {
	nop := zerolog.Nop()
	m := &member{name: name, store: &farStore{Memory: w.shared, delayed: delayed}}
	m.dir = New(Config{
		Store: m.store, Prefix: "pb/", Name: name, Address: "pbs://" + name, TTL: testTTL, Log: &nop,
		Clock:   func() time.Duration { return time.Since(w.began) },
		Fenced:  func(error) { m.fenced.Add(1) },
		Lost:    func(Shard) {},
		Changed: func() {},
	})
	require.NoError(w.t, m.dir.SetKinds(context.Background(), []string{testKind}))
	return m
}

// run claims shards again and again, whether or not it should.
func (m *member) run(ctx context.Context, seed uint64, pause time.Duration) {
	for m.dir.Join(ctx) != nil {
		if !sleep(ctx, time.Second) {
			return
		}
	}
	random := rand.New(rand.NewPCG(seed, 2))
	for sleep(ctx, time.Duration(random.Int64N(int64(pause)))) {
		s := Shard{testKind, random.IntN(testShards)}
		if _, err := m.dir.Acquire(ctx, s); err == nil {
			m.won.Add(1)
		}
		for n := range testShards {
			s := Shard{testKind, n}
			if should, owned, _ := m.dir.Lookup(s); !owned && should.Name == m.name {
				_, _ = m.dir.Acquire(ctx, s) // It may fail; the next attempt is not far.
			}
		}
		for _, s := range m.dir.Misplaced() {
			_ = m.dir.Release(ctx, s) // It may be cut off.
		}
	}
}

func (w *world) pick() *member {
	if len(w.members) == 0 {
		return nil
	}
	return w.members[w.random.IntN(len(w.members))]
}

// kill ends a member as kill -9 does: its lease stays.
func (w *world) kill(m *member) {
	if m == nil {
		return
	}
	m.stop()
	m.done.Wait()
	m.dir.Close()
	for i, other := range w.members {
		if other == m {
			w.members = append(w.members[:i], w.members[i+1:]...)
			return
		}
	}
}

func (w *world) partition(m *member, d time.Duration, lossy bool) {
	if m == nil {
		return
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	m.store.until, m.store.lossy = time.Now().Add(d), lossy
}

// pass lets time pass and checks at each step that no shard has two owners.
func (w *world) pass(d time.Duration) {
	const step = 100 * time.Millisecond
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(step)
		w.check()
	}
}

func (w *world) check() {
	owners := map[Shard]string{}
	for _, m := range w.members {
		if !m.dir.Admit() {
			continue
		}
		m.dir.mu.Lock()
		for s := range m.dir.owned {
			// Admit is asked again, as it is at each call.
			if other := owners[s]; other != "" && m.dir.Admit() {
				w.broken = fmt.Sprintf("%v is owned by %s and %s after %v", s, other, m.name, time.Since(w.began))
			}
			owners[s] = m.name
		}
		m.dir.mu.Unlock()
	}
}

func (w *world) end() {
	for _, m := range w.members {
		m.stop()
	}
	for len(w.members) > 0 {
		w.kill(w.members[0])
	}
	require.NoError(w.t, w.shared.Close())
}

// TestOneOwner: whatever happens to members, and however late they learn of it, no shard ever has two owners.
func TestOneOwner(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		seed := rapid.Uint64().Draw(r, "seed")
		actions := rapid.SliceOfN(rapid.IntRange(0, 6), 1, 25).Draw(r, "actions")
		var broken string
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed)
			defer w.end()
			w.join(3)
			for _, a := range actions {
				w.act(a)
				w.pass(time.Duration(w.random.IntN(4000)) * time.Millisecond)
			}
			broken = w.broken
		})
		require.Empty(r, broken)
	})
}

func (w *world) act(action int) {
	switch action {
	case 0:
		w.join(1 + w.random.IntN(4))
	case 1:
		w.kill(w.pick())
	case 2, 3:
		w.partition(w.pick(), time.Duration(w.random.IntN(12000))*time.Millisecond, action == 3)
	case 4:
		w.shared.Compact()
	case 5: // killed and started again at once, with the lease of the former self still there
		if m := w.pick(); m != nil {
			name := m.name
			w.kill(m)
			w.start(name, m.store.delayed, w.random.Uint64())
		}
	case 6:
		if m := w.pick(); m != nil {
			_, _, err := w.shared.Commit(context.Background(), nil, store.Delete("pb/m/"+m.name))
			require.NoError(w.t, err)
		}
	}
}

// TestThousandMembers is TestOneOwner with a thousand members. It also requires that they get on: in the end every
// shard is owned by the member that should own it.
func TestThousandMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 7)
		w.pause = 10 * time.Second
		defer w.end()
		for range 10 {
			w.join(100)
			w.pass(500 * time.Millisecond)
		}
		for range 8 {
			for range 20 {
				w.act(1 + w.random.IntN(3))
			}
			w.act(4)
			w.join(20)
			w.pass(time.Second)
		}
		w.pass(3 * testTTL)
		for range 100 { // Members try shards at random.
			require.Empty(t, w.broken)
			if w.settled() {
				return
			}
			w.pass(time.Second)
		}
		t.Fatal("a shard is not owned by the member that should own it")
	})
}

// settled reports whether every member sees that each shard is owned by the member that should own it.
func (w *world) settled() bool {
	view := w.members[0].dir
	for n := range testShards {
		s := Shard{testKind, n}
		view.mu.Lock()
		should := candidate(view.members, s)
		view.mu.Unlock()
		for _, m := range w.members {
			if got, owns, ok := m.dir.Lookup(s); !ok || !owns || got.Name != should {
				return false
			}
		}
	}
	return true
}

// TestReleaseIsRepeated: a shard that is given back while the store does not answer is free afterwards. Nobody else
// could have it otherwise, until the lease ends.
func TestReleaseIsRepeated(t *testing.T) {
	for name, lossy := range map[string]bool{"not carried out": false, "carried out unnoticed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				defer w.shared.Close()
				m := w.member("a", 0)
				require.NoError(t, m.dir.Join(t.Context()))
				defer m.dir.Close()
				s := Shard{testKind, 1}
				_, err := m.dir.Acquire(t.Context(), s)
				require.NoError(t, err)
				w.partition(m, testTTL/10, lossy)
				require.NoError(t, m.dir.Release(t.Context(), s))
				got, err := w.shared.Get(t.Context(), "pb/"+s.key())
				require.NoError(t, err)
				require.Empty(t, got.Entries)
				require.Zero(t, m.fenced.Load())
			})
		})
	}
}

// pausingStore stops the process behind its first lease.
type pausingStore struct {
	store.Store
	once sync.Once
}

func (s *pausingStore) Grant(ctx context.Context, ttl time.Duration) (store.LeaseID, time.Duration, error) {
	lease, ttl, err := s.Store.Grant(ctx, ttl)
	s.once.Do(func() { time.Sleep(2 * ttl) })
	return lease, ttl, err
}

// TestJoinAfterAPause: a process that is stopped for longer than its lease while it joins becomes a member anyway.
func TestJoinAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.shared.Close()
		m := w.member("a", 0)
		m.dir.cfg.Store = &pausingStore{Store: w.shared}
		require.NoError(t, m.dir.Join(t.Context()))
		defer m.dir.Close()
		_, err := m.dir.Acquire(t.Context(), Shard{testKind, 1})
		require.NoError(t, err)
	})
}
