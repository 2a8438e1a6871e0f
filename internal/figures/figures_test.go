package figures_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/internal/figures"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func sumsOf(t *testing.T, table *figures.Table, k figures.Key) figures.Sums {
	t.Helper()
	for _, s := range table.Sums() {
		if s.Key == k {
			return s
		}
	}
	require.Fail(t, "no series", "%v", k)
	return figures.Sums{}
}

// Each duration is in the one bucket whose bounds enclose it.
func TestBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set figures.Set
		r := set.NewRecorder("", false, false)
		k := figures.Key{Type: "T", Method: "m"}
		d := time.Duration(rapid.OneOf(rapid.Int64Range(0, 40e9), rapid.Int64Range(0, 1e4)).Draw(t, "d"))
		s := set.In.Own(k)
		r.End(s, r.Begin(s, false), d)
		sums := set.In.Sums()[0]
		for i, n := range sums.Buckets {
			low, high := time.Duration(-1), time.Duration(1<<62)
			if i > 0 {
				low = figures.Bound(i - 1)
			}
			if i < figures.Buckets-1 {
				high = figures.Bound(i)
			}
			if inside := low < d && d <= high; inside != (n == 1) {
				t.Fatalf("%v: bucket %d has %d", d, i, n)
			}
		}
		if sums.Sum != d {
			t.Fatalf("sum %v of %v", sums.Sum, d)
		}
	})
}

func TestCalledIsBounded(t *testing.T) {
	var set figures.Set
	for i := range 2 * figures.MaxOut {
		set.Out.Called(figures.Key{Type: "root", Method: fmt.Sprint(i)})
	}
	assert.Len(t, set.Out.Sums(), figures.MaxOut+1)
	other := set.Out.Called(figures.Key{Type: "root", Method: "more"})
	assert.Equal(t, figures.Key{Method: figures.Other}, other.Key())
	assert.NotSame(t, other, set.Out.Called(figures.Key{Type: "root", Method: "0"}))
}

func TestHandledIsBounded(t *testing.T) {
	var set figures.Set
	for i := range 2 * figures.MaxHandled {
		set.In.Handled(figures.Key{Type: "A", Method: fmt.Sprint(i)})
		set.In.Handled(figures.Key{Type: "B", Method: fmt.Sprint(i)})
		set.In.Own(figures.Key{Type: "A", Method: "own" + fmt.Sprint(i)})
	}
	assert.Len(t, set.In.Sums(), 2*(figures.MaxHandled+1)+2*figures.MaxHandled)
	long := set.In.Handled(figures.Key{Type: "C", Method: strings.Repeat("ü", 1000)})
	assert.LessOrEqual(t, len(long.Key().Method), 84)
}

func TestWeights(t *testing.T) {
	var set figures.Set
	r := set.NewRecorder("", false, false)
	s := set.In.Own(figures.Key{Type: "T", Method: "m"})
	for range 1024 + 8*1000 {
		r.End(s, r.Begin(s, true), time.Second)
	}
	sums := set.In.Sums()[0]
	assert.Equal(t, uint64(1024+8*1000), sums.Begun)
	assert.Equal(t, sums.Begun, sums.Ended)
	assert.Equal(t, sums.Begun, sums.Buckets[20])
	assert.Equal(t, time.Duration(sums.Begun)*time.Second, sums.Sum)
	assert.Equal(t, figures.Weight(1), r.Begin(s, false))
}

func TestFailures(t *testing.T) {
	var set figures.Set
	r := set.NewRecorder("peer", false, false)
	s := set.In.Own(figures.Key{Type: "T", Method: "m"})
	assert.Empty(t, set.Failures())
	for i := range 3*figures.MaxFailures + 5 {
		r.Failed(s, true, fmt.Sprint(i))
	}
	kept := set.Failures()
	require.Len(t, kept, figures.MaxFailures)
	for i, f := range kept {
		assert.Equal(t, fmt.Sprint(2*figures.MaxFailures+5+i), f.Kind)
		assert.Equal(t, "peer", f.Peer)
	}
	assert.Equal(t, kept[figures.MaxFailures-1].Kind, sumsOf(t, &set.In, s.Key()).LastFailure)
}

// Recorders of several connections count at the same time, and lose nothing.
func TestConcurrentCounts(t *testing.T) {
	var set figures.Set
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			r := set.NewRecorder("", false, false)
			for n := range 500 {
				s := set.Out.Called(figures.Key{Method: fmt.Sprint(n % 10)})
				if i%2 == 0 {
					r.Begin(s, false)
					r.Cancelled(s)
					continue
				}
				r.End(s, r.Begin(s, false), time.Millisecond)
				r.Failed(s, false, "x")
				_ = set.Out.Sums()
			}
		})
	}
	wg.Wait()
	var total figures.Sums
	for _, s := range set.Out.Sums() {
		assert.Equal(t, s.Begun, s.Ended)
		total.Begun += s.Begun
		total.Cancelled += s.Cancelled
		total.Failed += s.Failed
	}
	assert.Equal(t, uint64(10000), total.Begun)
	assert.Equal(t, uint64(5000), total.Cancelled)
	assert.Equal(t, uint64(5000), total.Failed)
}

func TestCountingAllocatesNothing(t *testing.T) {
	var set figures.Set
	r := set.NewRecorder("", false, false)
	s := set.In.Own(figures.Key{Type: "T", Method: "m"})
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		begun := figures.Now()
		r.End(s, r.Begin(s, false), figures.Now()-begun)
	}))
}

func BenchmarkCount(b *testing.B) {
	var set figures.Set
	r := set.NewRecorder("", false, false)
	s := set.In.Own(figures.Key{Type: "T", Method: "m"})
	for name, many := range map[string]bool{"each": false, "many": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w := r.Begin(s, many)
				var d time.Duration
				if w > 0 {
					d = figures.Now()
				}
				r.End(s, w, d)
			}
		})
	}
}
