package store

import (
	"context"
	"errors"
	"time"
)

// Errors of a Store.
var (
	// ErrLeaseGone fails an operation on a lease that has ended: it was revoked, or was not renewed in time.
	ErrLeaseGone = errors.New("cluster/store: the lease has ended")
	// ErrCompacted ends a watch whose next events the store no longer has. Read the prefix again and watch from there.
	ErrCompacted = errors.New("cluster/store: the store no longer has the events that the watch needs")
	// ErrClosed is the error of a store that was closed.
	ErrClosed = errors.New("cluster/store: the store has been closed")
)

// LeaseID names a lease. A store never uses an id twice.
type LeaseID int64

// Entry is a key with its value.
type Entry struct {
	Key   string
	Value []byte
	// Created is the revision in which the key came to be. It changes only when the key is deleted and made again.
	Created int64
	// Modified is the revision of the last change.
	Modified int64
	// Lease is the lease that the key belongs to; 0 if it belongs to none.
	Lease LeaseID
}

// Event is a change of one key. If Deleted is set, only Key and Modified of the Entry count.
type Event struct {
	Entry
	Deleted bool
}

// Snapshot is the entries of a prefix at one moment, sorted by key.
type Snapshot struct {
	Entries []Entry
	// Revision is that of the store at the moment. A watch that begins after it misses nothing.
	Revision int64
}

// Condition is what must hold for a transaction to be carried out; see [Absent] and [Created].
type Condition struct {
	Key string
	// Created is what the key's revision of creation must be; 0 if there must be no such key.
	Created int64
}

// Absent is the condition that there is no such key.
func Absent(key string) Condition { return Condition{Key: key} }

// Created is the condition that the key exists and is the one that was made in a revision.
func Created(key string, revision int64) Condition { return Condition{Key: key, Created: revision} }

// Operation is a change that a transaction makes; see [Put] and [Delete].
type Operation struct {
	Key    string
	Value  []byte
	Lease  LeaseID
	Delete bool
}

// Put sets a key. It belongs to the lease from then on; 0 stands for none.
func Put(key string, value []byte, lease LeaseID) Operation {
	return Operation{Key: key, Value: value, Lease: lease}
}

// Delete removes a key. It has no effect if there is none.
func Delete(key string) Operation { return Operation{Key: key, Delete: true} }

// Store is what the nodes of a cluster have in common. All methods may be called from any goroutine. An error other
// than those of this package means that the store could not be asked: the operation may have been carried out
// nevertheless.
type Store interface {
	// Grant makes a lease. It ends unless it is renewed within ttl, which is rounded up to seconds. The ttl that is
	// returned is the one that the store has decided on.
	Grant(ctx context.Context, ttl time.Duration) (LeaseID, time.Duration, error)
	// Renew makes a lease last for its whole ttl from now. The error is ErrLeaseGone if it has ended.
	Renew(ctx context.Context, lease LeaseID) error
	// Revoke ends a lease and deletes its keys. It is no error if the lease has ended.
	Revoke(ctx context.Context, lease LeaseID) error
	// Commit carries out the operations in one step if all conditions hold, and reports whether they did. The revision is
	// the store's afterwards. The error is ErrLeaseGone if a lease of an operation has ended.
	Commit(ctx context.Context, conditions []Condition, operations ...Operation) (done bool, revision int64, err error)
	// Get reads all keys with a prefix. It sees every change that was made before it was called.
	Get(ctx context.Context, prefix string) (Snapshot, error)
	// Watch follows the keys with a prefix, from the first change after a revision.
	Watch(ctx context.Context, prefix string, after int64) (Watch, error)
	// Close ends the store's connections and watches. It does not end leases.
	Close() error
}

// Watch is the changes of the keys with a prefix.
type Watch interface {
	// Next waits for changes and returns them in order: those of one transaction are never in different results. The
	// watch has ended if it returns an error: that of ctx, ErrCompacted, or another one.
	Next(ctx context.Context) ([]Event, error)
	// Close ends the watch.
	Close()
}
