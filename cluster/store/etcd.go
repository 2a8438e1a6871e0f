package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Etcd is a Store in etcd.
type Etcd struct {
	client *clientv3.Client
	// requests bounds what one request may take. The client itself waits for a server as long as the context allows.
	requests time.Duration
}

// DefaultRequestTimeout is how long a request to etcd may take.
const DefaultRequestTimeout = 5 * time.Second

// tryTimeout is how long one server may take to answer. The client asks another one each time, so that a stopped one
// holds up few requests. gRPC itself notices a silent server after ten seconds at the earliest.
const tryTimeout = 2 * time.Second

// renewTimeout is tryTimeout for renewals, which need no agreement of the servers and are urgent.
const renewTimeout = time.Second

// How a connection to a server is made that could not be made at once. With the defaults of gRPC an attempt takes up to
// twenty seconds where packets are lost, and the next one begins up to two minutes later: so long would a node that was
// cut off go without a lease after the network is whole again.
const (
	connectTimeout = 2 * time.Second
	firstBackoff   = 100 * time.Millisecond
	longestBackoff = time.Second
)

// keepAlive is how soon a connection to a server is given up that answers nothing: a stopped one, or one behind a
// partition. The client then takes another server.
const keepAlive = time.Second

// NewEtcd returns a store in the etcd that the configuration describes. It does not wait for a connection. Fields of
// the configuration that are zero have these defaults: DialKeepAliveTime and DialKeepAliveTimeout one second each, so
// that another server takes the place of a silent one, and no log. It tries to connect at least every three seconds,
// unless DialOptions say otherwise.
func NewEtcd(config clientv3.Config) (*Etcd, error) {
	if config.DialKeepAliveTime == 0 {
		config.DialKeepAliveTime = keepAlive
	}
	if config.DialKeepAliveTimeout == 0 {
		config.DialKeepAliveTimeout = keepAlive
	}
	if config.Logger == nil && config.LogConfig == nil {
		config.Logger = zap.NewNop()
	}
	connecting := backoff.DefaultConfig
	connecting.BaseDelay, connecting.MaxDelay = firstBackoff, longestBackoff
	params := grpc.ConnectParams{Backoff: connecting, MinConnectTimeout: connectTimeout}
	config.DialOptions = append([]grpc.DialOption{grpc.WithConnectParams(params)}, config.DialOptions...)
	client, err := clientv3.New(config)
	if err != nil {
		return nil, fmt.Errorf("cluster/store: etcd: %w", err)
	}
	return &Etcd{client: client, requests: DefaultRequestTimeout}, nil
}

// Grant implements Store.
func (s *Etcd) Grant(ctx context.Context, ttl time.Duration) (LeaseID, time.Duration, error) {
	answer, err := ask(ctx, s, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
		return s.client.Grant(ctx, int64(wholeSeconds(ttl)/time.Second)) // One that nobody renews ends by itself.
	})
	if err != nil {
		return 0, 0, etcdError("grant a lease", err)
	}
	return LeaseID(answer.ID), time.Duration(answer.TTL) * time.Second, nil
}

// Renew implements Store.
func (s *Etcd) Renew(ctx context.Context, lease LeaseID) error {
	answer, err := askFor(ctx, renewTimeout, func(ctx context.Context) (*clientv3.LeaseKeepAliveResponse, error) {
		return s.client.KeepAliveOnce(ctx, clientv3.LeaseID(lease))
	})
	switch {
	case err != nil:
		return etcdError("renew a lease", err)
	case answer.TTL <= 0:
		return ErrLeaseGone
	}
	return nil
}

// Revoke implements Store.
func (s *Etcd) Revoke(ctx context.Context, lease LeaseID) error {
	_, err := ask(ctx, s, func(ctx context.Context) (*clientv3.LeaseRevokeResponse, error) {
		return s.client.Revoke(ctx, clientv3.LeaseID(lease))
	})
	if err = etcdError("revoke a lease", err); errors.Is(err, ErrLeaseGone) {
		return nil
	}
	return err
}

// Commit implements Store.
func (s *Etcd) Commit(ctx context.Context, conditions []Condition, operations ...Operation) (bool, int64, error) {
	var compares []clientv3.Cmp
	for _, c := range conditions {
		compares = append(compares, clientv3.Compare(clientv3.CreateRevision(c.Key), "=", c.Created))
	}
	var ops []clientv3.Op
	for _, op := range operations {
		switch {
		case op.Delete:
			ops = append(ops, clientv3.OpDelete(op.Key))
		case op.Lease != 0:
			ops = append(ops, clientv3.OpPut(op.Key, string(op.Value), clientv3.WithLease(clientv3.LeaseID(op.Lease))))
		default:
			ops = append(ops, clientv3.OpPut(op.Key, string(op.Value)))
		}
	}
	// It is not repeated: if it was carried out unnoticed, its conditions do not hold any more.
	answer, err := try(ctx, tryTimeout, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return s.client.Txn(ctx).If(compares...).Then(ops...).Commit()
	})
	if err != nil {
		return false, 0, etcdError("commit a transaction", err)
	}
	return answer.Succeeded, answer.Header.Revision, nil
}

// Get implements Store.
func (s *Etcd) Get(ctx context.Context, prefix string) (Snapshot, error) {
	answer, err := ask(ctx, s, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend))
	})
	if err != nil {
		return Snapshot{}, etcdError("read", err)
	}
	snapshot := Snapshot{Revision: answer.Header.Revision}
	for _, kv := range answer.Kvs {
		snapshot.Entries = append(snapshot.Entries, Entry{
			Key: string(kv.Key), Value: kv.Value, Created: kv.CreateRevision, Modified: kv.ModRevision,
			Lease: LeaseID(kv.Lease),
		})
	}
	return snapshot, nil
}

// Watch implements Store.
func (s *Etcd) Watch(ctx context.Context, prefix string, after int64) (Watch, error) {
	// A server without a leader ends the watch, so that the client asks another one.
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	events := s.client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(after+1))
	return &etcdWatch{events: events, cancel: cancel}, nil
}

// ask makes a request that may be repeated, until a server answers.
func ask[T any](ctx context.Context, s *Etcd, request func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, s.requests)
	defer cancel()
	return askFor(ctx, tryTimeout, request)
}

// askFor is ask with another time for each server. It has no bound but ctx.
func askFor[T any](
	ctx context.Context, each time.Duration, request func(ctx context.Context) (T, error),
) (T, error) {
	for {
		answer, err := try(ctx, each, request)
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return answer, err
		}
	}
}

// try makes a request of one server.
func try[T any](
	ctx context.Context, each time.Duration, request func(ctx context.Context) (T, error),
) (T, error) {
	one, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	answer, err := request(one)
	if err != nil && one.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err) // The client's own error may not say so.
	}
	return answer, err
}

// Close implements Store.
func (s *Etcd) Close() error { return s.client.Close() }

type etcdWatch struct {
	events clientv3.WatchChan
	cancel context.CancelFunc
}

func (w *etcdWatch) Next(ctx context.Context) ([]Event, error) {
	for {
		select {
		case answer, ok := <-w.events:
			if !ok {
				return nil, ErrClosed
			}
			if err := answer.Err(); err != nil {
				return nil, etcdError("watch", err)
			}
			if len(answer.Events) == 0 {
				continue
			}
			return etcdEvents(answer.Events), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (w *etcdWatch) Close() { w.cancel() }

func etcdEvents(from []*clientv3.Event) []Event {
	events := make([]Event, 0, len(from))
	for _, e := range from {
		events = append(events, Event{
			Entry: Entry{
				Key: string(e.Kv.Key), Value: e.Kv.Value, Created: e.Kv.CreateRevision, Modified: e.Kv.ModRevision,
				Lease: LeaseID(e.Kv.Lease),
			},
			Deleted: e.Type == clientv3.EventTypeDelete,
		})
	}
	return events
}

func etcdError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return ErrLeaseGone
	case errors.Is(err, rpctypes.ErrCompacted):
		return ErrCompacted
	}
	return fmt.Errorf("cluster/store: etcd: %s: %w", what, err)
}
