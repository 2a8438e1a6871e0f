package broker_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

// nursery hands out objects and counts those that live.
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

func TestObjectsThatWereLetGoAreCollected(t *testing.T) {
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
	// The last few may still be in somebody's hands: a frame for parameters, a buffer of a mailbox.
	for range 1000 {
		if runtime.GC(); root.living.Load() <= 2 {
			break
		}
		runtime.Gosched()
	}
	require.LessOrEqual(t, root.living.Load(), int64(2))
}
