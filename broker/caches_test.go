package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// pond is a Cacheable.
type pond struct {
	flavors.Cacheable
	ducks   []string
	stopped atomic.Int64
	broken  atomic.Bool
	other   any
}

func (p *pond) TypeToCopy() string { return "test.Pond" }

func (p *pond) StateToCacheAndObserveFor(perspective any, o *flavors.Observer) any {
	if p.broken.Load() {
		panic("no state")
	}
	if p.other != nil {
		return []any{p.ducks, p.other}
	}
	return slices.Clone(p.ducks)
}

func (p *pond) StoppedObserving(any, *flavors.Observer) { p.stopped.Add(1) }

func (p *pond) add(duck string) *actor.Deferred {
	return flavors.Update(p, func(observers flavors.Observers) {
		p.ducks = append(p.ducks, duck)
		_ = observers.CallRemote("add", duck)
	})
}

// pondCopy is the cache of a pond.
type pondCopy struct {
	flavors.RemoteCache
	ducks []string
}

func (p *pondCopy) SetCopyableState(state any) error { return jelly.Assign(&p.ducks, state) }
func (p *pondCopy) ObserveAdd(duck string)           { p.ducks = append(p.ducks, duck) }

// ponds serves a Cacheable, and keeps a cache of one of the peer's.
type ponds struct {
	flavors.Root
	pond pond
	copy *flavors.Cached[pondCopy]
}

func (p *ponds) RemoteGet() *pond     { return &p.pond }
func (p *ponds) RemoteTwice() []*pond { return []*pond{&p.pond, &p.pond} }
func (p *ponds) RemoteIs(x any) bool  { return x == any(&p.pond) }

// RemoteAdd is answered after the update is sent, so that tests see the two in this order.
func (p *ponds) RemoteAdd(duck string) *actor.Deferred { return p.pond.add(duck) }

func (p *ponds) RemoteTake(c *flavors.Cached[pondCopy]) { p.copy = c }

func (p *ponds) RemoteDucks() (ducks []string, err error) {
	if p.copy == nil {
		return nil, errors.New("no pond")
	}
	err = p.copy.View(func(c *pondCopy) { ducks = slices.Clone(c.ducks) })
	return ducks, err
}
func (p *ponds) RemoteReturn() *flavors.Cached[pondCopy] { return p.copy }
func (p *ponds) RemoteIgnore() {
	p.copy.Release()
	p.copy = nil
}

func pondRegistry(t *testing.T) broker.Option {
	r := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCache[pondCopy](r, "test.Pond"))
	return broker.WithRegistry(r)
}

func newPonds(t *testing.T) (*ponds, *wire.Peer) {
	root, s := newPondServer(t)
	return root, s.peer()
}

func newPondServer(t *testing.T) (*ponds, *server) {
	root := &ponds{}
	root.pond.ducks = []string{"one"}
	return root, newServer(t, root, pondRegistry(t))
}

func TestCacheableSentOnce(t *testing.T) {
	root, p := newPonds(t)
	p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 ["test.Pond" 1 [list [unicode one]]]]`)
	p.Write(`[message 2 root twice 1 [tuple] [dictionary]]`)
	p.Want(`[answer 2 [list [cached 1] [cached 1]]]`)
	p.Write(`[message 3 root is 1 [tuple [lcache 1]] [dictionary]]`)
	p.Want(`[answer 3 [boolean true]]`)
	p.Write(`[message 4 root add 1 [tuple [unicode two]] [dictionary]]`)
	p.Want(`[cachemessage 1 1 add 0 [tuple [unicode two]] [dictionary]]`, `[answer 4 [None]]`)
	p.Write(`[decache 1]`, `[decache 1]`, `[decache 1]`)
	p.Want(`[uncache 1]`)
	require.EqualValues(t, 1, root.pond.stopped.Load())
	p.Write(`[message 5 root get 1 [tuple] [dictionary]]`)
	p.Want(`[answer 5 ["test.Pond" 2 [list [unicode one] [unicode two]]]]`)
}

func TestCacheableTwiceInMessage(t *testing.T) {
	_, p := newPonds(t)
	p.Write(`[message 1 root twice 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 [list ["test.Pond" 1 [list [unicode one]]] [cached 1]]]`)
}

func TestNestedCacheables(t *testing.T) {
	root, p := newPonds(t)
	inner := &pond{ducks: []string{"deep"}}
	shared := []any{"x"}
	root.pond.other = []any{inner, &two{}, shared, shared, &root.pond}
	p.Write(`[message 1 root twice 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 [list ["test.Pond" 1 [list [list [unicode one]] [list ["test.Pond" 2 [list [unicode deep]]] ` +
		`[remote 3] [reference 1 [list [unicode x]]] [dereference 1] [cached 1]]]] [cached 1]]]`)
}

func TestUncacheCrossesNewState(t *testing.T) {
	root, p := newPonds(t)
	p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 ["test.Pond" 1 _]]`)
	p.Ignore(`[uncache 1]`) // It may come before or after the answer.
	p.Write(`[decache 1]`, `[message 2 root get 1 [tuple] [dictionary]]`)
	p.Want(`[answer 2 ["test.Pond" 2 _]]`)
	p.Write(`[message 3 root add 1 [tuple [unicode two]] [dictionary]]`)
	p.Want(`[cachemessage _ 2 add 0 _ _]`, `[answer 3 [None]]`)
	require.EqualValues(t, 1, root.pond.stopped.Load())
}

func TestPanicInState(t *testing.T) {
	root, s := newPondServer(t)
	p := s.peer()
	p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 ["test.Pond" 1 _]]`)
	q := s.peer()
	root.pond.broken.Store(true)
	q.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
	wantAnyError(q, 1)
	root.pond.broken.Store(false)
	q.Write(`[message 2 root get 1 [tuple] [dictionary]]`)
	q.Want(`[answer 2 ["test.Pond" 1 _]]`)
	// The first peer's observer has survived the restart.
	root.pond.add("two")
	p.Want(`[cachemessage _ 1 add 0 [tuple [unicode two]] [dictionary]]`)
	q.Want(`[cachemessage _ 1 add 0 [tuple [unicode two]] [dictionary]]`)
}

func TestCacheFollowsUpdates(t *testing.T) {
	root, p := newPonds(t)
	p.Write(`[message 1 root take 1 [tuple ["test.Pond" 9 [list [unicode a]]]] [dictionary]]`)
	p.Want(`[answer 1 [None]]`)
	for i := range 100 {
		p.Write(fmt.Sprintf(`[cachemessage %d 9 add 0 [tuple [unicode "%d"]] [dictionary]]`, 10+i, i))
	}
	p.Write(`[message 2 root ducks 1 [tuple] [dictionary]]`)
	p.Want(`[answer 2 $ducks]`)
	require.Len(t, p.Var("ducks"), 102)
	require.False(t, root.copy.LastUpdate().IsZero())
	t.Run("returned", func(t *testing.T) {
		p.Write(`[message 3 root return 1 [tuple] [dictionary]]`)
		p.Want(`[answer 3 [lcache 9]]`)
	})
	t.Run("received again", func(t *testing.T) {
		before := root.copy
		p.Write(`[message 4 root take 1 [tuple [cached 9]] [dictionary]]`)
		p.Want(`[answer 4 [None]]`)
		require.Same(t, before, root.copy)
		root.copy.Release()
		p.Want(`[decache 9]`)
	})
	t.Run("update with an answer", func(t *testing.T) {
		p.Write(`[cachemessage 5 9 add 1 [tuple [unicode z]] [dictionary]]`)
		p.Want(`[answer 5 [None]]`)
		p.Write(`[cachemessage 6 9 nosuch 1 [tuple] [dictionary]]`)
		wantAnyError(p, 6)
		p.Write(`[cachemessage 7 8 add 1 [tuple] [dictionary]]`)
		wantError(t, p, 7, "twisted.spread.pb.Error")
	})
	t.Run("released", func(t *testing.T) {
		p.Write(`[message 8 root ignore 1 [tuple] [dictionary]]`)
		p.Want(`[decache 9]`, `[answer 8 [None]]`)
		p.Write(`[uncache 9]`, `[cachemessage 9 9 add 1 [tuple [unicode z]] [dictionary]]`)
		wantAnyError(p, 9)
	})
}

func TestCacheOutlivesConnection(t *testing.T) {
	root, p := newPonds(t)
	p.Write(`[message 1 root take 1 [tuple ["test.Pond" 9 [list [unicode a]]]] [dictionary]]`)
	p.Want(`[answer 1 [None]]`)
	_, stale := root.copy.Stale()
	require.False(t, stale)
	p.Close()
	<-root.copy.Conn().Context().Done()
	ducks, err := root.RemoteDucks()
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, ducks)
	since, stale := root.copy.Stale()
	require.True(t, stale)
	require.False(t, since.Before(root.copy.LastUpdate()))
	root.copy.Release()
}

func TestRefusedCacheIsReleased(t *testing.T) {
	_, p := newPonds(t)
	p.Write(`[message 1 root take 1 [tuple ["test.Pond" 9 [list [unicode a]]] ["evil.Class" [dictionary]]] [dictionary]]`)
	p.Want(`[decache 9]`)
	wantError(t, p, 1, "twisted.spread.jelly.InsecureJelly")
	p.Write(`[uncache 9]`)
	p.Write(`[message 2 root ducks 1 [tuple] [dictionary]]`)
	wantAnyError(p, 2)
}
