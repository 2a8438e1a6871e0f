package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/perspectivebroker/pb/cluster/store"
)

// Errors of a Directory.
var (
	// ErrFenced is the error while the member has no good lease.
	ErrFenced = errors.New("cluster: this node has no good lease")
	// ErrNotMine is the error of Acquire if another member owns the shard or should own it.
	ErrNotMine = errors.New("cluster: the shard belongs to another node")
	// ErrNameTaken is the error of Join if there is another member of this name.
	ErrNameTaken = errors.New("cluster: there is another node of this name")
)

// Config is what a Directory needs.
type Config struct {
	Store store.Store
	// Prefix is put in front of all keys.
	Prefix string
	// Name and Address are those of the member.
	Name, Address string
	// TTL is how long the member's lease lasts without a renewal.
	TTL time.Duration
	// Clock is a clock that runs while the machine sleeps.
	Clock func() time.Duration
	Log   *zerolog.Logger
	// The functions are called without locks, one at a time, and must not block for long.

	// Fenced is called when the lease is not good any more, before the Directory joins anew. All shards are lost.
	Fenced func(cause error)
	// Lost is called when another member owns a shard that this one had acquired, or nobody does.
	Lost func(Shard)
	// Changed is called when members or owners have changed, or a new lease is good.
	Changed func()
}

// Directory is a member's view of the cluster, and the member's lease.
type Directory struct {
	cfg    Config
	cancel context.CancelFunc
	done   sync.WaitGroup
	depart context.CancelFunc // ends the keeping of the lease
	stayed chan struct{}      // closed when it has ended
	turn   sync.Mutex         // held while one of the functions of the Config is called

	// goodUntil is when the lease ceases to be good, on the clock; 0 if there is none.
	goodUntil atomic.Int64

	mu sync.Mutex
	// Guarded by mu.
	members map[string]Member
	owners  map[Shard]Owner
	bad     map[Shard]int64 // records that make no sense, by the revision in which they were made
	lease   store.LeaseID
	record  int64 // the revision of our member record; 0 if there is none
	kinds   []string
	leaving bool
	owned   map[Shard]int64 // what we have acquired, with the revision of the key
	evicted chan struct{}   // closed when our member record has gone
}

// New returns a Directory that does nothing yet.
func New(cfg Config) *Directory {
	return &Directory{
		cfg: cfg, members: map[string]Member{}, owners: map[Shard]Owner{}, bad: map[Shard]int64{},
		owned: map[Shard]int64{}, evicted: make(chan struct{}),
	}
}

// Join reads the store, becomes a member, and keeps both up until Close. If there is a member of the same name it
// waits for the end of its lease, because a node that was killed and started again finds its own.
func (d *Directory) Join(ctx context.Context) error {
	run, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	at, err := d.reload(ctx)
	if err != nil {
		cancel()
		return err
	}
	d.done.Go(func() { d.follow(run, at) })
	err = d.enter(ctx, d.cfg.TTL+joinGrace)
	for errors.Is(err, store.ErrLeaseGone) { // The process was stopped for longer than the lease.
		err = d.enter(ctx, d.cfg.TTL+joinGrace)
	}
	if err != nil {
		cancel()
		d.done.Wait()
		return err
	}
	staying, depart := context.WithCancel(run)
	d.depart, d.stayed = depart, make(chan struct{})
	d.done.Go(func() {
		defer close(d.stayed)
		d.stay(staying)
	})
	return nil
}

// Times of a Directory.
const (
	joinGrace   = 3 * time.Second // for how much longer than a lease a name may be taken
	firstPause  = 50 * time.Millisecond
	longestWait = 2 * time.Second
)

// Close ends the Directory without leaving: the lease ends by itself unless Leave has revoked it.
func (d *Directory) Close() {
	if d.cancel != nil {
		d.cancel()
		d.done.Wait()
	}
	d.goodUntil.Store(0)
}

// Admit reports whether the member may carry out a call to an object of a shard that it owns.
func (d *Directory) Admit() bool { return int64(d.cfg.Clock()) < d.goodUntil.Load() }

// Members returns the members, sorted by name.
func (d *Directory) Members() []Member {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.members), func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
}

// Member returns the member of a name.
func (d *Directory) Member(name string) (Member, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, ok := d.members[name]
	return m, ok
}

// Lookup returns the member that owns a shard, or else the one that should claim it; ok is false if there is none.
func (d *Directory) Lookup(s Shard) (m Member, owns, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m, ok := d.ownerLocked(s); ok {
		return m, true, true
	}
	m, ok = d.members[candidate(d.members, s)]
	return m, false, ok
}

// ownerLocked returns the owner of a shard. An owner whose lease has ended is none.
func (d *Directory) ownerLocked(s Shard) (Member, bool) {
	o, ok := d.owners[s]
	if !ok {
		return Member{}, false
	}
	m, ok := d.members[o.Node]
	return m, ok && m.Incarnation == o.Incarnation
}

// Owned returns the revision with which the member owns a shard. It grows with every owner of the shard.
func (d *Directory) Owned(s Shard) (token int64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	token, ok = d.owned[s]
	return token, ok
}

// AllOwned returns the shards of this member.
func (d *Directory) AllOwned() []Shard {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.owned))
}

// Lease returns the member's lease, which is its incarnation.
func (d *Directory) Lease() store.LeaseID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lease
}

// Misplaced returns the shards of this member that another one should own.
func (d *Directory) Misplaced() []Shard {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []Shard
	for s := range d.owned {
		if c := candidate(d.members, s); c != d.cfg.Name && c != "" {
			all = append(all, s)
		}
	}
	return all
}

// SetKinds changes the kinds that the member offers.
func (d *Directory) SetKinds(ctx context.Context, kinds []string) error {
	d.mu.Lock()
	d.kinds = slices.Sorted(slices.Values(kinds))
	d.mu.Unlock()
	return d.writeRecord(ctx)
}

// SetLeaving says that the member takes no more shards.
func (d *Directory) SetLeaving(ctx context.Context) error {
	d.mu.Lock()
	d.leaving = true
	d.mu.Unlock()
	return d.writeRecord(ctx)
}

// Revoke ends the lease for good, after which all keys of the member are gone.
func (d *Directory) Revoke(ctx context.Context) error {
	d.depart()
	<-d.stayed
	d.mu.Lock()
	lease := d.lease
	d.mu.Unlock()
	d.goodUntil.Store(0)
	return d.cfg.Store.Revoke(ctx, lease)
}

// writeRecord brings our record in the store up to date, if we are a member.
func (d *Directory) writeRecord(ctx context.Context) error {
	d.mu.Lock()
	m, lease, record := d.selfLocked(), d.lease, d.record
	d.mu.Unlock()
	if record == 0 {
		return nil
	}
	key := d.memberKey()
	mine := []store.Condition{store.Created(key, record)}
	done, _, err := d.cfg.Store.Commit(ctx, mine, store.Put(key, encode(m), lease))
	if err != nil || !done {
		return cmp.Or(err, ErrFenced)
	}
	return nil
}

func (d *Directory) selfLocked() Member {
	return Member{
		Name: d.cfg.Name, Address: d.cfg.Address, Incarnation: d.lease, Kinds: slices.Clone(d.kinds),
		Leaving: d.leaving,
	}
}

func (d *Directory) memberKey() string { return d.cfg.Prefix + memberPrefix + d.cfg.Name }

// Acquire makes the member the owner of a shard, if it should own it. token is the revision of the shard.
func (d *Directory) Acquire(ctx context.Context, s Shard) (token int64, err error) {
	d.mu.Lock()
	if token, ok := d.owned[s]; ok {
		d.mu.Unlock()
		return token, nil
	}
	lease, record := d.lease, d.record
	owner, isOwned := d.ownerLocked(s)
	mine := isOwned && owner.Incarnation == lease || !isOwned && candidate(d.members, s) == d.cfg.Name
	// A record that makes no sense, or whose owner is gone without it, is replaced.
	key, replaced := d.cfg.Prefix+s.key(), d.bad[s]
	d.mu.Unlock()
	switch {
	case !d.Admit() || record == 0:
		return 0, ErrFenced
	case !mine:
		return 0, ErrNotMine
	}
	conditions := []store.Condition{{Key: key, Created: replaced}, store.Created(d.memberKey(), record)}
	done, at, err := d.commitShard(ctx, conditions, s, lease)
	if err != nil {
		return 0, err
	}
	if done {
		return at, d.keep(s, at, lease)
	}
	return d.whose(ctx, s, lease)
}

func (d *Directory) commitShard(
	ctx context.Context, conditions []store.Condition, s Shard, lease store.LeaseID,
) (bool, int64, error) {
	key, value := d.cfg.Prefix+s.key(), encode(Owner{Node: d.cfg.Name, Incarnation: lease})
	if conditions[0].Created == 0 {
		return d.cfg.Store.Commit(ctx, conditions, store.Put(key, value, lease))
	}
	// The token of a shard is the revision in which its key was made, so a bad one is deleted first.
	if done, at, err := d.cfg.Store.Commit(ctx, conditions, store.Delete(key)); err != nil || !done {
		return done, at, err
	}
	d.mu.Lock()
	delete(d.bad, s)
	d.mu.Unlock()
	conditions[0].Created = 0
	return d.cfg.Store.Commit(ctx, conditions, store.Put(key, value, lease))
}

// whose finds out why a shard could not be claimed. An earlier attempt may have been carried out unnoticed.
func (d *Directory) whose(ctx context.Context, s Shard, lease store.LeaseID) (int64, error) {
	key := d.cfg.Prefix + s.key()
	got, err := d.cfg.Store.Get(ctx, key)
	if err != nil {
		return 0, err
	}
	for _, e := range got.Entries {
		if e.Key != key {
			continue // a shard whose number begins with ours
		}
		if o, err := parseOwner(e); err == nil && o.Node == d.cfg.Name && o.Incarnation == lease {
			return e.Created, d.keep(s, e.Created, lease)
		}
		d.apply(store.Event{Entry: e})
	}
	return 0, ErrNotMine
}

// keep notes that we own a shard, unless the lease is another one by now.
func (d *Directory) keep(s Shard, token int64, lease store.LeaseID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lease != lease {
		return ErrFenced
	}
	d.owned[s] = token
	return nil
}

// Release gives a shard back. The member must have ended what belongs to it. It tries until the store has answered, or
// the lease has ended, or ctx has: others wait for the shard meanwhile.
func (d *Directory) Release(ctx context.Context, s Shard) error {
	d.mu.Lock()
	token, ok := d.owned[s]
	delete(d.owned, s)
	lease := d.lease
	d.mu.Unlock()
	if !ok {
		return nil
	}
	key := d.cfg.Prefix + s.key()
	for pause := firstPause; ; pause = min(2*pause, longestWait) {
		_, _, err := d.cfg.Store.Commit(ctx, []store.Condition{store.Created(key, token)}, store.Delete(key))
		if err == nil || d.Lease() != lease {
			return nil // What belongs to a lease ends with it.
		}
		if !sleep(ctx, pause) {
			return err
		}
	}
}

// stay keeps the lease good, and joins anew whenever it is lost.
func (d *Directory) stay(ctx context.Context) {
	for {
		cause := d.hold(ctx)
		if ctx.Err() != nil {
			return
		}
		d.fence(cause)
		for pause := firstPause; ; pause = min(2*pause, longestWait) {
			err := d.enter(ctx, 0)
			if err == nil {
				d.cfg.Log.Info().Msg("cluster: joined anew")
				break
			}
			d.cfg.Log.Warn().Err(err).Msg("cluster: cannot join anew; trying again")
			if !sleep(ctx, pause) {
				return
			}
		}
	}
}

// fence drops everything that belongs to the lease.
func (d *Directory) fence(cause error) {
	d.goodUntil.Store(0)
	d.mu.Lock()
	lease := d.lease
	d.lease, d.record = 0, 0
	clear(d.owned)
	d.mu.Unlock()
	d.cfg.Log.Error().Err(cause).
		Msg("cluster: the lease is not good any more; dropping all placed objects and joining anew")
	d.call(func() { d.cfg.Fenced(cause) })
	// The objects are gone, so others may have the shards at once. If this fails the lease ends by itself.
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.TTL/5)
	defer cancel()
	_ = d.cfg.Store.Revoke(ctx, lease)
}

func (d *Directory) call(f func()) {
	d.turn.Lock()
	defer d.turn.Unlock()
	f()
}

// enter gets a lease and writes the member record. While the name is taken it waits for that long, or for as long as
// ctx lasts if patience is 0. A pause of this process does not count.
func (d *Directory) enter(ctx context.Context, patience time.Duration) error {
	pause, waited := min(d.cfg.TTL/10, longestWait), time.Duration(0)
	sent := d.cfg.Clock()
	lease, ttl, err := d.cfg.Store.Grant(ctx, d.cfg.TTL)
	if err != nil {
		return err
	}
	for {
		d.mu.Lock()
		d.lease = lease
		value := encode(d.selfLocked())
		d.mu.Unlock()
		key := d.memberKey()
		done, at, err := d.cfg.Store.Commit(ctx, []store.Condition{store.Absent(key)}, store.Put(key, value, lease))
		switch {
		case err != nil:
			return err
		case done:
			d.entered(sent, ttl, lease, at)
			return nil
		case patience != 0 && waited > patience:
			_ = d.cfg.Store.Revoke(ctx, lease)
			return fmt.Errorf("%w: %q", ErrNameTaken, d.cfg.Name)
		case !sleep(ctx, pause):
			return ctx.Err()
		}
		waited += pause
		sent = d.cfg.Clock()
		if err := d.cfg.Store.Renew(ctx, lease); err != nil {
			return err
		}
	}
}

func (d *Directory) entered(sent, ttl time.Duration, lease store.LeaseID, at int64) {
	d.mu.Lock()
	d.record = at
	d.evicted = make(chan struct{})
	m := d.selfLocked()
	m.created = at
	if old := d.members[m.Name]; old.created < at {
		d.members[m.Name] = m
	}
	d.mu.Unlock()
	// The lease that the store grants may be longer than what was asked for, but no shorter.
	d.goodUntil.Store(int64(sent + goodFor(min(ttl, d.cfg.TTL))))
	d.call(d.cfg.Changed)
}

// goodFor returns how long a lease is good after its renewal was sent. The margin is for clocks that run differently.
func goodFor(ttl time.Duration) time.Duration { return ttl - ttl/5 }

// hold renews the lease until it is not good any more, and returns why.
func (d *Directory) hold(ctx context.Context) error {
	d.mu.Lock()
	lease, evicted := d.lease, d.evicted
	d.mu.Unlock()
	var last error
	for {
		good := time.Duration(d.goodUntil.Load())
		timer := time.NewTimer(min(d.cfg.TTL/6, good-d.cfg.Clock()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-evicted:
			timer.Stop()
			return errors.New("the node's record in the store has gone or was replaced")
		case <-timer.C:
		}
		sent := d.cfg.Clock()
		if sent >= good {
			return fmt.Errorf("the lease was not renewed in time: %w", cmp.Or(last, errPaused))
		}
		// The store asks its servers in turn, as long as the lease is good.
		try, cancel := context.WithTimeout(ctx, good-sent)
		err := d.cfg.Store.Renew(try, lease)
		cancel()
		switch {
		case errors.Is(err, store.ErrLeaseGone):
			return err
		case err != nil:
			last = err
		case d.cfg.Clock() >= good:
			return fmt.Errorf("the lease was not renewed in time: %w", errPaused)
		default:
			d.goodUntil.CompareAndSwap(int64(good), int64(sent+goodFor(d.cfg.TTL)))
		}
	}
}

var errPaused = errors.New("the process was stopped, or the store was slow")

// follow keeps the view up to date.
func (d *Directory) follow(ctx context.Context, at int64) {
	pause := firstPause
	for {
		err := d.watch(ctx, at, func() { pause = firstPause })
		if ctx.Err() != nil {
			return
		}
		d.cfg.Log.Warn().Err(err).Msg("cluster: the watch has ended; reading everything")
		for {
			next, err := d.reload(ctx)
			if err == nil {
				at = next
				break
			}
			if !sleep(ctx, pause) {
				return
			}
			pause = min(2*pause, longestWait)
		}
		if !sleep(ctx, pause) {
			return
		}
		pause = min(2*pause, longestWait)
	}
}

func (d *Directory) watch(ctx context.Context, at int64, progress func()) error {
	w, err := d.cfg.Store.Watch(ctx, d.cfg.Prefix, at)
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		events, err := w.Next(ctx)
		if err != nil {
			return err
		}
		progress()
		d.apply(events...)
	}
}

// reload reads everything and compares it with the view.
func (d *Directory) reload(ctx context.Context) (revision int64, err error) {
	got, err := d.cfg.Store.Get(ctx, d.cfg.Prefix)
	if err != nil {
		return 0, err
	}
	there := map[string]bool{}
	var events []store.Event
	for _, e := range got.Entries {
		there[e.Key] = true
		events = append(events, store.Event{Entry: e})
	}
	gone := func(key string) {
		if key = d.cfg.Prefix + key; !there[key] {
			events = append(events, store.Event{Entry: store.Entry{Key: key, Modified: got.Revision}, Deleted: true})
		}
	}
	d.mu.Lock()
	for name := range d.members {
		gone(memberPrefix + name)
	}
	for s := range d.owners {
		gone(s.key())
	}
	for s := range d.bad {
		gone(s.key())
	}
	for s := range d.owned {
		gone(s.key())
	}
	d.mu.Unlock()
	d.apply(events...)
	return got.Revision, nil
}

// apply brings the view up to date.
func (d *Directory) apply(events ...store.Event) {
	var lost []Shard
	d.mu.Lock()
	for _, e := range events {
		key := strings.TrimPrefix(e.Key, d.cfg.Prefix)
		if strings.HasPrefix(key, memberPrefix) {
			d.applyMemberLocked(key, e)
		} else if s, ok := shardFromKey(key); !ok {
			d.cfg.Log.Warn().Str("key", clip(e.Key)).Msg("cluster: ignoring a key of the store that means nothing")
		} else if d.applyShardLocked(s, e) {
			lost = append(lost, s)
		}
	}
	d.mu.Unlock()
	d.call(func() {
		for _, s := range lost {
			d.cfg.Log.Error().Str("kind", s.Kind).Int("shard", s.Number).
				Msg("cluster: the key of a shard of this node has gone; dropping its objects")
			d.cfg.Lost(s)
		}
		d.cfg.Changed()
	})
}

func (d *Directory) applyMemberLocked(key string, e store.Event) {
	name := strings.TrimPrefix(key, memberPrefix)
	if old, ok := d.members[name]; ok && old.created > e.Modified {
		return // The view is ahead of the watch.
	}
	m, err := parseMember(key, e.Entry)
	if e.Deleted || err != nil {
		delete(d.members, name)
		if !e.Deleted {
			d.cfg.Log.Warn().Err(err).Str("key", clip(e.Key)).Msg("cluster: ignoring a record of the store")
		}
	} else {
		d.members[name] = m
	}
	mine := err == nil && m.Incarnation == d.lease
	if name == d.cfg.Name && d.record != 0 && e.Modified > d.record && (e.Deleted || !mine) {
		d.record = 0
		close(d.evicted)
	}
}

// applyShardLocked reports whether we have lost the shard.
func (d *Directory) applyShardLocked(s Shard, e store.Event) (lost bool) {
	if old, ok := d.owners[s]; ok && old.created > e.Modified {
		return false
	}
	o, err := parseOwner(e.Entry)
	delete(d.owners, s)
	delete(d.bad, s)
	switch {
	case e.Deleted:
	case err != nil:
		d.cfg.Log.Warn().Err(err).Str("key", clip(e.Key)).Msg("cluster: ignoring a record of the store")
		d.bad[s] = e.Created
	default:
		d.owners[s] = o
	}
	token, mine := d.owned[s]
	if !mine || e.Modified <= token || !e.Deleted && err == nil && e.Created == token && o.Incarnation == d.lease {
		return false
	}
	delete(d.owned, s)
	return true
}

// clip shortens what somebody may have put into the store.
func clip(s string) string { return fmt.Sprintf("%.200q", s) }

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
