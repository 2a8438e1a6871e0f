package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/perspectivebroker/pb/cluster/internal/etcdtest"
	"github.com/perspectivebroker/pb/cluster/store"
)

const testTime = time.Minute

func TestMemory(t *testing.T) {
	conformance(t, func(t *testing.T) (store.Store, func()) {
		m := store.NewMemory()
		return m, m.Compact
	})
}

func TestEtcd(t *testing.T) {
	servers := etcdtest.Start(t, 1)
	conformance(t, func(t *testing.T) (store.Store, func()) {
		s, err := store.NewEtcd(servers.Config())
		require.NoError(t, err)
		return s, func() { compactEtcd(t, servers) }
	})
}

// TestEtcdLeaderKilled: a lease and a watch survive the end of the server that led.
func TestEtcdLeaderKilled(t *testing.T) {
	servers := etcdtest.Start(t, 3)
	s, err := store.NewEtcd(servers.Config())
	require.NoError(t, err)
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	lease, _, err := s.Grant(ctx, time.Minute)
	require.NoError(t, err)
	w, err := s.Watch(ctx, "a/", 0)
	require.NoError(t, err)
	defer w.Close()

	leader, _ := servers.Leader()
	leader.Kill()
	for {
		done, _, err := s.Commit(ctx, []store.Condition{store.Absent("a/x")}, store.Put("a/x", []byte("1"), lease))
		if err == nil {
			// The first attempt may have been carried out although its answer was lost.
			_ = done
			break
		}
		require.NoError(t, ctx.Err())
	}
	require.NoError(t, s.Renew(ctx, lease))
	events, err := w.Next(ctx)
	require.NoError(t, err)
	assert.Equal(t, "a/x", events[0].Key)
}

func compactEtcd(t *testing.T, servers *etcdtest.Cluster) {
	client, err := clientv3.New(servers.Config())
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	answer, err := client.Get(ctx, "x")
	require.NoError(t, err)
	_, err = client.Compact(ctx, answer.Header.Revision, clientv3.WithCompactPhysical())
	require.NoError(t, err)
}

// conformance holds every Store to the same promises.
func conformance(t *testing.T, open func(t *testing.T) (s store.Store, compact func())) {
	for name, test := range map[string]func(*testing.T, context.Context, store.Store, string, func()){
		"transactions": testTransactions,
		"get":          testGet,
		"leases":       testLeases,
		"lease ends":   testLeaseEnds,
		"watch":        testWatch,
		"compacted":    testCompacted,
		"one winner":   testOneWinner,
	} {
		t.Run(name, func(t *testing.T) {
			s, compact := open(t)
			defer s.Close()
			ctx, cancel := context.WithTimeout(context.Background(), testTime)
			defer cancel()
			test(t, ctx, s, fmt.Sprintf("%s/", name), compact)
		})
	}
}

func testTransactions(t *testing.T, ctx context.Context, s store.Store, p string, _ func()) {
	done, first, err := s.Commit(ctx, []store.Condition{store.Absent(p + "a")}, store.Put(p+"a", []byte("1"), 0))
	require.NoError(t, err)
	require.True(t, done)

	done, _, err = s.Commit(ctx, []store.Condition{store.Absent(p + "a")}, store.Put(p+"a", []byte("2"), 0))
	require.NoError(t, err)
	assert.False(t, done, "the key exists")

	// A change keeps the revision of creation.
	done, second, err := s.Commit(ctx, []store.Condition{store.Created(p+"a", first)}, store.Put(p+"a", []byte("3"), 0))
	require.NoError(t, err)
	require.True(t, done)
	assert.Greater(t, second, first)
	got, err := s.Get(ctx, p)
	require.NoError(t, err)
	assert.Equal(t, []store.Entry{{Key: p + "a", Value: []byte("3"), Created: first, Modified: second}}, got.Entries)

	// A key that was made again is another one. A transaction whose conditions do not all hold does nothing.
	_, _, err = s.Commit(ctx, nil, store.Delete(p+"a"))
	require.NoError(t, err)
	_, again, err := s.Commit(ctx, nil, store.Put(p+"a", []byte("4"), 0))
	require.NoError(t, err)
	done, _, err = s.Commit(ctx, []store.Condition{store.Created(p+"a", first)}, store.Delete(p+"a"))
	require.NoError(t, err)
	assert.False(t, done)
	done, _, err = s.Commit(ctx, []store.Condition{store.Created(p+"a", again), store.Created(p+"b", again)},
		store.Put(p+"c", nil, 0), store.Delete(p+"a"))
	require.NoError(t, err)
	assert.False(t, done)
	got, err = s.Get(ctx, p)
	require.NoError(t, err)
	require.Len(t, got.Entries, 1)
	assert.Equal(t, "4", string(got.Entries[0].Value))

	done, _, err = s.Commit(ctx, nil, store.Delete(p+"nothing"))
	require.NoError(t, err)
	assert.True(t, done)
}

func testGet(t *testing.T, ctx context.Context, s store.Store, p string, _ func()) {
	_, at, err := s.Commit(ctx, nil, store.Put(p+"b", []byte("2"), 0), store.Put(p+"a", []byte("1"), 0),
		store.Put("other "+p, []byte("3"), 0))
	require.NoError(t, err)
	got, err := s.Get(ctx, p)
	require.NoError(t, err)
	assert.Equal(t, []store.Entry{
		{Key: p + "a", Value: []byte("1"), Created: at, Modified: at},
		{Key: p + "b", Value: []byte("2"), Created: at, Modified: at},
	}, got.Entries)
	assert.GreaterOrEqual(t, got.Revision, at)
	got, err = s.Get(ctx, p+"nothing")
	require.NoError(t, err)
	assert.Empty(t, got.Entries)
}

func testLeases(t *testing.T, ctx context.Context, s store.Store, p string, _ func()) {
	lease, ttl, err := s.Grant(ctx, 59500*time.Millisecond)
	require.NoError(t, err)
	assert.Equal(t, time.Minute, ttl)
	other, _, err := s.Grant(ctx, time.Minute)
	require.NoError(t, err)
	require.NotEqual(t, lease, other)
	_, _, err = s.Commit(ctx, nil, store.Put(p+"a", nil, lease), store.Put(p+"b", nil, lease),
		store.Put(p+"c", nil, other))
	require.NoError(t, err)
	// The key now belongs to the other lease.
	_, _, err = s.Commit(ctx, nil, store.Put(p+"b", nil, other))
	require.NoError(t, err)
	require.NoError(t, s.Renew(ctx, lease))

	require.NoError(t, s.Revoke(ctx, lease))
	got, err := s.Get(ctx, p)
	require.NoError(t, err)
	assert.Equal(t, []string{p + "b", p + "c"}, keys(got.Entries))
	assert.Equal(t, other, got.Entries[0].Lease)

	require.ErrorIs(t, s.Renew(ctx, lease), store.ErrLeaseGone)
	require.NoError(t, s.Revoke(ctx, lease), "it has ended already")
	_, _, err = s.Commit(ctx, nil, store.Put(p+"d", nil, lease))
	require.ErrorIs(t, err, store.ErrLeaseGone)
	got, err = s.Get(ctx, p)
	require.NoError(t, err)
	assert.Equal(t, []string{p + "b", p + "c"}, keys(got.Entries))
}

func testLeaseEnds(t *testing.T, ctx context.Context, s store.Store, p string, _ func()) {
	var lease store.LeaseID
	var at int64
	for ttl := time.Second; ; ttl *= 2 { // It may have ended before it has keys.
		var err error
		lease, _, err = s.Grant(ctx, ttl)
		require.NoError(t, err)
		_, at, err = s.Commit(ctx, nil, store.Put(p+"a", nil, lease), store.Put(p+"b", nil, lease))
		if err == nil {
			break
		}
		require.ErrorIs(t, err, store.ErrLeaseGone)
	}
	w, err := s.Watch(ctx, p, at)
	require.NoError(t, err)
	defer w.Close()
	var gone []string
	for len(gone) < 2 {
		events, err := w.Next(ctx)
		require.NoError(t, err)
		for _, e := range events {
			assert.True(t, e.Deleted)
			gone = append(gone, e.Key)
		}
	}
	assert.ElementsMatch(t, []string{p + "a", p + "b"}, gone)
	require.ErrorIs(t, s.Renew(ctx, lease), store.ErrLeaseGone)
}

func testWatch(t *testing.T, ctx context.Context, s store.Store, p string, _ func()) {
	_, before, err := s.Commit(ctx, nil, store.Put(p+"old", nil, 0))
	require.NoError(t, err)
	_, missed, err := s.Commit(ctx, nil, store.Put(p+"a", []byte("1"), 0))
	require.NoError(t, err)
	w, err := s.Watch(ctx, p, before)
	require.NoError(t, err)
	defer w.Close()
	_, _, err = s.Commit(ctx, nil, store.Put("other "+p, nil, 0))
	require.NoError(t, err)
	_, both, err := s.Commit(ctx, nil, store.Put(p+"b", []byte("2"), 0), store.Delete(p+"a"))
	require.NoError(t, err)

	var got []store.Event
	for len(got) < 3 {
		events, err := w.Next(ctx)
		require.NoError(t, err)
		if n := len(got) + len(events); n == 2 {
			t.Fatal("a transaction was split")
		}
		got = append(got, events...)
	}
	require.Len(t, got, 3)
	assert.Equal(t, store.Event{Entry: store.Entry{
		Key: p + "a", Value: []byte("1"), Created: missed, Modified: missed,
	}}, got[0])
	for _, e := range got[1:] {
		assert.Equal(t, both, e.Modified)
		assert.Equal(t, e.Key == p+"a", e.Deleted)
	}

	w.Close()
	_, err = w.Next(ctx)
	require.Error(t, err)
	ended, cancel := context.WithCancel(ctx)
	w, err = s.Watch(ctx, p, both)
	require.NoError(t, err)
	defer w.Close()
	cancel()
	_, err = w.Next(ended)
	require.ErrorIs(t, err, context.Canceled)
}

func testCompacted(t *testing.T, ctx context.Context, s store.Store, p string, compact func()) {
	var first int64
	for i := range 5 {
		_, at, err := s.Commit(ctx, nil, store.Put(p+"a", []byte{byte(i)}, 0))
		require.NoError(t, err)
		if i == 0 {
			first = at
		}
	}
	compact()
	w, err := s.Watch(ctx, p, first)
	require.NoError(t, err)
	defer w.Close()
	_, err = w.Next(ctx)
	require.ErrorIs(t, err, store.ErrCompacted)

	// What Get returns is a place to go on from.
	got, err := s.Get(ctx, p)
	require.NoError(t, err)
	again, err := s.Watch(ctx, p, got.Revision)
	require.NoError(t, err)
	defer again.Close()
	_, _, err = s.Commit(ctx, nil, store.Delete(p+"a"))
	require.NoError(t, err)
	events, err := again.Next(ctx)
	require.NoError(t, err)
	require.Len(t, events, 1)
	assert.True(t, events[0].Deleted)
}

func testOneWinner(t *testing.T, ctx context.Context, s store.Store, p string, _ func()) {
	const claimants = 8
	won := make(chan bool, claimants)
	for i := range claimants {
		go func() {
			free := []store.Condition{store.Absent(p + "a")}
			done, _, err := s.Commit(ctx, free, store.Put(p+"a", []byte{byte(i)}, 0))
			won <- done && err == nil
		}()
	}
	winners := 0
	for range claimants {
		if <-won {
			winners++
		}
	}
	assert.Equal(t, 1, winners)
}

func keys(entries []store.Entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Key)
	}
	return all
}
