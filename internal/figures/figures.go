package figures

import (
	"context"
	"maps"
	"math/bits"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxOut is how many methods of peers are counted apart. The program chooses their names.
	MaxOut = 1024
	// MaxHandled is how many methods of one type are counted apart if a Handler takes them by any name, because peers
	// choose the names.
	MaxHandled = 64
	// MaxFailures is how many of the latest failures are kept.
	MaxFailures = 64
	// maxText is the most bytes of a name that a peer chose.
	maxText = 80
)

// The names of series that several methods share. No method that exists has such a name.
const (
	Unknown = "(unknown)" // methods that do not exist
	Other   = "(other)"   // methods beyond MaxOut or MaxHandled
)

// Buckets is the number of buckets of a histogram: one for each bound, and one for what is above all of them.
const Buckets = 26

// Bound returns the upper bound of a bucket other than the last: a power of two, in microseconds.
func Bound(bucket int) time.Duration { return time.Microsecond << bucket }

func bucketOf(d time.Duration) int {
	if d <= time.Microsecond {
		return 0
	}
	return min(bits.Len64(uint64(d-1)/uint64(time.Microsecond)), Buckets-1)
}

// epoch is when the process began, more or less. A clock that is read as a difference is read once, not twice.
var epoch = time.Now()

// Now returns the monotonic time since the process began. It is never 0.
func Now() time.Duration { return time.Since(epoch) + 1 }

// Key names a series.
type Key struct{ Type, Method string }

// Series counts the calls of one method in one direction. The zero Series is ready for use.
type Series struct {
	key    Key
	shards [shards]atomic.Pointer[shard]
	failed atomic.Pointer[lastFailure]
	labels atomic.Pointer[context.Context]
}

// shards is how many connections count at the same time without sharing memory.
const shards = 8

// shard counts the calls over some of the connections. Its size is one of the allocator's, so that no two shards share
// a cache line. Nor do calls that begin share one with those that end: a caller's goroutine counts the ones, a reader's
// the others.
type shard struct {
	begun                    atomic.Uint64
	_                        [56]byte
	ended, failed, cancelled atomic.Uint64
	sum                      atomic.Int64
	buckets                  [Buckets]atomic.Uint64
	_                        [16]byte
}

type lastFailure struct {
	kind string
	at   time.Time
}

func (s *Series) shard(i int) *shard {
	p := &s.shards[i]
	if have := p.Load(); have != nil {
		return have
	}
	p.CompareAndSwap(nil, new(shard))
	return p.Load()
}

// Key returns the name of the series.
func (s *Series) Key() Key {
	if s.key == (Key{}) {
		return Key{Method: Unknown}
	}
	return s.key
}

// LabelKey is the key of the label that profiles show.
const LabelKey = "pb.method"

// Labels returns a context with the label of the method, as Type.method, for profiles.
func (s *Series) Labels() context.Context {
	if p := s.labels.Load(); p != nil {
		return *p
	}
	k := s.Key()
	name := k.Method
	if k.Type != "" {
		name = k.Type + "." + name
	}
	ctx := pprof.WithLabels(context.Background(), pprof.Labels(LabelKey, name))
	s.labels.Store(&ctx)
	return ctx
}

// Table has the series of one direction.
type Table struct {
	mu      sync.RWMutex
	series  map[Key]*Series
	handled map[string]int // by type: how many of its series are of names that a Handler took
	unknown Series
}

// Find returns the series of a method, or nil if it is not counted yet.
func (t *Table) Find(k Key) *Series {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.series[k]
}

// Unknown returns the series of all methods that do not exist.
func (t *Table) Unknown() *Series { return &t.unknown }

// Own returns the series of a method that a type of this program has.
func (t *Table) Own(k Key) *Series { return t.add(k, Key{}, func() bool { return true }) }

// Handled returns the series of a method that a Handler has taken.
func (t *Table) Handled(k Key) *Series {
	return t.add(k, Key{k.Type, Other}, func() bool {
		if t.handled[k.Type] >= MaxHandled {
			return false
		}
		t.handled[k.Type]++
		return true
	})
}

// Called returns the series of a peer's method.
func (t *Table) Called(k Key) *Series {
	return t.add(k, Key{"", Other}, func() bool { return len(t.series) < MaxOut })
}

// add returns the series of k, which it makes if there is room. Otherwise it returns that of others.
func (t *Table) add(k, others Key, room func() bool) *Series {
	k.Method = Clip(k.Method)
	if s := t.Find(k); s != nil {
		return s
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.series == nil {
		t.series, t.handled = map[Key]*Series{}, map[string]int{}
	}
	if t.series[k] == nil && !room() {
		k = others
	}
	if s := t.series[k]; s != nil {
		return s
	}
	k = Key{strings.Clone(k.Type), strings.Clone(k.Method)}
	s := &Series{key: k}
	t.series[k] = s
	return s
}

// Clip returns at most the first 80 bytes of a name that a peer chose, in a copy if it is longer.
func Clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// Set has the figures of a runtime. The zero Set is ready for use.
type Set struct {
	In, Out Table

	next   atomic.Uint32 // the shard of the next connection
	tables sync.Map      // of Cached

	mu       sync.Mutex
	failures []Failure // the latest, oldest at next mod MaxFailures once there are MaxFailures
	failed   int
}

// Cached returns what f makes for key, which it makes once.
func (s *Set) Cached(key any, f func() any) any {
	if v, ok := s.tables.Load(key); ok {
		return v
	}
	v, _ := s.tables.LoadOrStore(key, f())
	return v
}

// Failure is one call that failed.
type Failure struct {
	At       time.Time
	Incoming bool
	Key
	Peer string
	Kind string // the exception's type
}

// Recorder counts the calls of one connection.
type Recorder struct {
	set    *Set
	peer   string
	shard  int
	labels bool
	logs   bool
}

// NewRecorder returns the recorder of a connection to peer. labels says whether profiles show the methods, logs whether
// each call is logged.
func (s *Set) NewRecorder(peer string, labels, logs bool) *Recorder {
	return &Recorder{set: s, peer: peer, shard: int(s.next.Add(1) % shards), labels: labels, logs: logs}
}

// Labels reports whether methods run with the label of their series.
func (r *Recorder) Labels() bool { return r.labels }

// Logs reports whether each call is logged. To ask the logger would copy it.
func (r *Recorder) Logs() bool { return r.logs }

// Set returns the figures to which the recorder adds.
func (r *Recorder) Set() *Set { return r.set }

// Weight is how many calls a timed call stands for. It is 0 for a call that is not timed.
type Weight uint8

const (
	// everyNth of the calls of a method is timed if it is among many.
	everyNth = 8
	// allTimed is how many calls of a method are timed in any case.
	allTimed = 1024
)

// Begin counts a call that has begun. many says that other calls are under way on the connection: then most are not
// timed, because the clock costs more than everything else here.
func (r *Recorder) Begin(s *Series, many bool) Weight {
	n := s.shard(r.shard).begun.Add(1)
	switch {
	case !many || n <= allTimed:
		return 1
	case n%everyNth == 0:
		return everyNth
	}
	return 0
}

// End counts a call that was begun as over. It took d, if it was timed.
func (r *Recorder) End(s *Series, w Weight, d time.Duration) {
	h := s.shard(r.shard)
	h.ended.Add(1)
	if w > 0 {
		h.buckets[bucketOf(d)].Add(uint64(w))
		h.sum.Add(int64(w) * int64(d))
	}
}

// Cancelled counts a call as given up by its caller, and over.
func (r *Recorder) Cancelled(s *Series) {
	h := s.shard(r.shard)
	h.cancelled.Add(1)
	h.ended.Add(1)
}

// Failed notes that a call has failed, with the type of its exception. The call must also be ended.
func (r *Recorder) Failed(s *Series, incoming bool, kind string) {
	f := Failure{At: time.Now(), Incoming: incoming, Key: s.Key(), Peer: r.peer, Kind: strings.Clone(Clip(kind))}
	s.shard(r.shard).failed.Add(1)
	s.failed.Store(&lastFailure{f.Kind, f.At})
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	if len(r.set.failures) < MaxFailures {
		r.set.failures = append(r.set.failures, f)
	} else {
		r.set.failures[r.set.failed%MaxFailures] = f
	}
	r.set.failed++
}

// Failures returns the latest failures, oldest first.
func (s *Set) Failures() []Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := 0
	if len(s.failures) == MaxFailures {
		oldest = s.failed % MaxFailures
	}
	return append(slices.Clone(s.failures[oldest:]), s.failures[:oldest]...)
}

// Sums is a snapshot of a series.
type Sums struct {
	Key
	// Begun is the sum of Ended and the calls under way. Ended includes Failed and Cancelled.
	Begun, Ended, Failed, Cancelled uint64
	Sum                             time.Duration
	Buckets                         [Buckets]uint64
	LastFailure                     string
	LastFailed                      time.Time
}

func (s *Series) sums() Sums {
	sums := Sums{Key: s.Key()}
	for i := range s.shards {
		h := s.shards[i].Load()
		if h == nil {
			continue
		}
		for b := range h.buckets {
			sums.Buckets[b] += h.buckets[b].Load()
		}
		sums.Sum += time.Duration(h.sum.Load())
		sums.Failed += h.failed.Load()
		sums.Cancelled += h.cancelled.Load()
		sums.Ended += h.ended.Load()
		sums.Begun += h.begun.Load() // last, so that what is under way is not negative
	}
	if f := s.failed.Load(); f != nil {
		sums.LastFailure, sums.LastFailed = f.kind, f.at
	}
	return sums
}

// Sums returns the series, sorted by type and method.
func (t *Table) Sums() []Sums {
	t.mu.RLock()
	all := slices.Collect(maps.Values(t.series))
	t.mu.RUnlock()
	list := make([]Sums, 0, len(all)+1)
	for _, s := range all {
		list = append(list, s.sums())
	}
	if unknown := t.unknown.sums(); unknown.Begun > 0 {
		list = append(list, unknown)
	}
	slices.SortFunc(list, func(a, b Sums) int {
		if c := strings.Compare(a.Type, b.Type); c != 0 {
			return c
		}
		return strings.Compare(a.Method, b.Method)
	})
	return list
}
