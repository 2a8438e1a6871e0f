package broker_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/require"
)

// nursery hands out objects and counts those that were not collected.
type nursery struct {
	flavors.Root
	living atomic.Int64
}

func (n *nursery) RemoteMake() *two {
	child := &two{}
	n.living.Add(1)
	runtime.AddCleanup(child, func(living *atomic.Int64) { living.Add(-1) }, &n.living)
	return child
}

func TestReleasedObjectsAreCollected(t *testing.T) {
	root := &nursery{}
	s := newServer(t, root)
	p := s.peer()
	const many = 50
	for i := range many {
		p.Write(fmt.Sprintf(`[message %d root make 1 [tuple] [dictionary]]`, i))
		p.Want(fmt.Sprintf(`[answer %d [remote %d]]`, i, i+1))
		p.Write(fmt.Sprintf(`[message %d %d three 1 [tuple 1] [dictionary]]`, 100+i, i+1))
		p.Want(fmt.Sprintf(`[answer %d 1]`, 100+i))
	}
	require.EqualValues(t, many, root.living.Load())
	for i := range many {
		p.Write(fmt.Sprintf(`[decref %d]`, i+1))
	}
	// The last few may still be referenced by a stack frame or a buffer.
	pbtest.Eventually(t, func() bool { runtime.GC(); return root.living.Load() <= 2 })
}

// keeper keeps references.
type keeper struct {
	flavors.Root
	kept []*flavors.RemoteReference
}

// TestEndedConnectionIsCollected checks that a program which connects again and again does not keep its connections
// alive. The cleanup of a handle refers to the connection, so the connection must not refer to the handle.
func TestEndedConnectionIsCollected(t *testing.T) {
	h := &house{}
	login, lender := h.serve(t), newServer(t, &service{})
	connect := func(t *testing.T, rt *actor.Runtime, s *server, opts ...broker.DialOption) *broker.Conn {
		conn, err := broker.NewClientConn(t.Context(), rt, s.dial(), opts...)
		require.NoError(t, err)
		return conn
	}
	for name, use := range map[string]func(t *testing.T, rt *actor.Runtime) *broker.Conn{
		"idle": func(t *testing.T, rt *actor.Runtime) *broker.Conn { return connect(t, rt, lender) },
		"logged in": func(t *testing.T, rt *actor.Runtime) *broker.Conn {
			conn := connect(t, rt, login)
			_, err := conn.Login(t.Context(), cred.UsernamePassword{Username: "alice", Password: "sesame"}, nil)
			require.NoError(t, err)
			return conn
		},
		"published object keeps a reference": func(t *testing.T, rt *actor.Runtime) *broker.Conn {
			k := &keeper{}
			conn := connect(t, rt, lender, broker.WithPublished("keeper", k))
			ref, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "new")
			require.NoError(t, err)
			k.kept = append(k.kept, ref)
			return conn
		},
	} {
		t.Run(name, func(t *testing.T) {
			rt := newRuntime(t)
			const many = 20
			var living atomic.Int64
			for range many {
				conn := use(t, rt)
				living.Add(1)
				runtime.AddCleanup(conn, func(living *atomic.Int64) { living.Add(-1) }, &living)
				require.NoError(t, conn.Close(t.Context()))
			}
			// Lists of children keep the last few until they are overwritten.
			require.Eventually(t, func() bool { runtime.GC(); return living.Load() <= 3 }, patience, tick)
		})
	}
}
