package table

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// countedModel is what a table and its list of lingering entries should be.
type countedModel struct {
	limit     int
	rows      []*row // the id of each is its index plus 1
	lingering []*row
	dropped   []int64
}

type row struct {
	id      int64
	key     string
	count   int
	leaving bool // released, but does not linger yet
	request int64
	since   time.Time
	gone    bool
}

func (m *countedModel) held(key string) *row {
	for _, r := range m.rows {
		if r.key == key && r.count > 0 {
			return r
		}
	}
	return nil
}

func (m *countedModel) drop(r *row) {
	r.gone = true
	m.lingering = slices.DeleteFunc(m.lingering, func(x *row) bool { return x == r })
	m.dropped = append(m.dropped, r.id)
}

// TestCountedModel plays random scripts with a table and with its model.
func TestCountedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			ids     IDs
			list    Lingering
			table   Counted[string, int]
			dropped []int64
			now     time.Time
			request int64
		)
		table.Dropped = func(e *Entry[string, int]) { dropped = append(dropped, e.ID) }
		m := countedModel{limit: rapid.IntRange(1, 4).Draw(t, "limit")}
		key := rapid.SampledFrom([]string{"a", "b", "c"})
		anyRow := func(t *rapid.T) *row {
			if len(m.rows) == 0 {
				t.Skip("the table is empty")
			}
			return rapid.SampledFrom(m.rows).Draw(t, "row")
		}
		t.Repeat(map[string]func(*rapid.T){
			"mention": func(t *rapid.T) {
				k := key.Draw(t, "key")
				e, r := table.Held(k), m.held(k)
				require.Equal(t, r == nil, e == nil)
				if e == nil {
					e, r = table.Add(ids.Next(), k, 0), &row{id: int64(len(m.rows) + 1), key: k}
					m.rows = append(m.rows, r)
				} else {
					e.Mention()
				}
				r.count++
				require.Equal(t, r.id, e.ID)
			},
			"unmention": func(t *rapid.T) {
				r := anyRow(t)
				if r.count == 0 {
					t.Skip("not held")
				}
				table.Find(r.id).Unmention()
				if r.count--; r.count == 0 {
					m.drop(r)
				}
			},
			"remove": func(t *rapid.T) {
				r := anyRow(t)
				if r.count != 1 {
					t.Skip("not the only mention")
				}
				table.Find(r.id).Remove()
				r.count, r.gone = 0, true
			},
			"release": func(t *rapid.T) {
				r, n := anyRow(t), rapid.IntRange(1, 3).Draw(t, "n")
				_, last, ok := table.Release(r.id, n)
				require.Equal(t, r.count >= n, ok)
				require.Equal(t, r.count == n, last)
				if ok {
					r.count -= n
					r.leaving = r.count == 0
				}
			},
			"linger": func(t *rapid.T) {
				r := anyRow(t)
				if !r.leaving {
					t.Skip("not released")
				}
				table.Find(r.id).Linger(&list, request, now, m.limit)
				r.leaving, r.request, r.since = false, request, now
				if m.lingering = append(m.lingering, r); len(m.lingering) > m.limit {
					m.drop(m.lingering[0])
				}
			},
			"request": func(*rapid.T) { request++ },
			"wait":    func(*rapid.T) { now = now.Add(time.Second) },
			"sweep": func(t *rapid.T) {
				oldest := rapid.Int64Range(0, request+1).Draw(t, "oldest request")
				deadline := now.Add(-time.Duration(rapid.IntRange(0, 5).Draw(t, "seconds")) * time.Second)
				list.Sweep(oldest, deadline)
				for len(m.lingering) > 0 {
					r := m.lingering[0]
					if r.request >= oldest && r.since.After(deadline) {
						break
					}
					m.drop(r)
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, m.dropped, dropped)
				require.Equal(t, len(m.lingering), list.Len())
				held, passed, size := 0, 0, 0
				for _, r := range m.rows {
					require.Equal(t, r.gone, table.Find(r.id) == nil)
					if r.count > 0 {
						held++
						passed += isPassed(r.id)
					}
					if !r.gone {
						size++
					}
				}
				require.Equal(t, held, table.Len())
				require.Equal(t, passed, table.Passed())
				require.Equal(t, size, table.Size())
			},
		})
		table.Clear()
		assert.Zero(t, table.Size())
		assert.Zero(t, table.Len())
	})
}

// TestSharedLingering checks that the limit of one table does not drop the entries of another.
func TestSharedLingering(t *testing.T) {
	var (
		list    Lingering
		exports Exports[string, int]
		caches  Caches[string, bool]
	)
	linger := func(id int64) {
		if e, last, _ := exports.Release(id, 1); last {
			e.Linger(&list, 0, time.Time{}, 1)
		}
	}
	caches.Add(1, "cache", true)
	exports.Add(2, "first", 0)
	exports.Add(3, "second", 0)
	e, last, ok := caches.Release(1, 1)
	require.True(t, last && ok)
	assert.False(t, caches.HasRoom(1), "the original has not been told")
	e.Linger(&list, 0, time.Time{}, 1)
	assert.True(t, caches.HasRoom(1))
	linger(2)
	linger(3)
	assert.NotNil(t, caches.Find(1))
	assert.Nil(t, exports.Find(2))
	assert.NotNil(t, exports.Find(3))
	assert.Equal(t, 2, list.Len())
	list.Sweep(1, time.Time{})
	assert.Zero(t, caches.Size()+exports.Size()+list.Len())
}

func TestPublishedExports(t *testing.T) {
	var x Exports[string, int]
	assert.Nil(t, x.Lookup(0, "root"))
	x.Publish("root", "key", 7)
	assert.Equal(t, 7, x.Lookup(0, "root").Value)
	assert.Nil(t, x.Held("key"))
	assert.Zero(t, x.Len()+x.Size())
	n := 0
	x.Clear(func(*Entry[string, int]) { n++ })
	assert.Equal(t, 1, n)
	assert.Nil(t, x.Lookup(0, "root"))
}
