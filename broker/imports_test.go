package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shelf keeps all references until it is told to release them.
type shelf struct {
	flavors.Root
	kept []any
}

func (s *shelf) RemotePut(things ...any) int {
	s.kept = append(s.kept, things...)
	return len(s.kept)
}

func (s *shelf) RemoteEmpty() int {
	n := len(s.kept)
	for _, thing := range s.kept {
		thing.(*flavors.RemoteReference).Release()
	}
	s.kept = nil
	return n
}

// remotes returns n references with ids from first on.
func remotes(first, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " [remote %d]", first+i)
	}
	return b.String()
}

func TestImportsLimit(t *testing.T) {
	s := newServer(t, &shelf{}, broker.WithLimits(broker.Limits{Imports: 3}))
	p := s.peer()
	p.Write(`[message 1 root put 1 [tuple [remote 1] [remote 2]] [dictionary]]`)
	p.Want(`[answer 1 2]`)
	// One of these is there already, one fits, and one does not. The call keeps none.
	p.Write(`[message 2 root put 1 [tuple [remote 1] [remote 3] [remote 4]] [dictionary]]`)
	p.Want(`[decref 4]`, `[decref _]`, `[decref _]`)
	assert.Contains(t, wantAnyError(p, 2), "Limits.Imports is 3")
	require.Eventually(t, func() bool { return only(t, s).Stats().Imports == 2 }, patience, tick)

	p.Write(`[message 3 root put 1 [tuple [remote 1] [remote 4]] [dictionary]]`)
	p.Want(`[answer 3 4]`)
	p.Write(`[message 4 root empty 1 [tuple] [dictionary]]`) // The table is full.
	p.Want(`[decref _]`, `[decref _]`, `[decref _]`, `[decref _]`, `[answer 4 4]`)
	p.Write(`[message 5 root put 1 [tuple` + remotes(10, 3) + `] [dictionary]]`)
	p.Want(`[answer 5 3]`)
	assert.Equal(t, map[broker.Rejection]uint64{"imports": 1}, only(t, s).Stats().Refusals)
}

// TestTooManyReferencesInMessage checks that a message with more references than this side may hold is not decoded, and
// that all are given back.
func TestTooManyReferencesInMessage(t *testing.T) {
	const n = 20
	s := newServer(t, &shelf{}, broker.WithLimits(broker.Limits{Imports: n - 1}))
	p := s.peer()
	p.Write(`[message 1 root put 1 [tuple` + strings.Repeat(` [remote 7]`, n) + `] [dictionary]]`)
	for range n {
		p.Want(`[decref 7]`)
	}
	assert.Contains(t, wantAnyError(p, 1), "too many references")
	p.Write(`[message 2 root put 1 [tuple` + strings.Repeat(` [remote 7]`, n-1) + `] [dictionary]]`)
	p.Want(`[answer 2 19]`)
	assert.Equal(t, 1, only(t, s).Stats().Imports)
	assert.Equal(t, map[broker.Rejection]uint64{"imports": 1}, only(t, s).Stats().Refusals)
}

func TestImportsLimitInAnswer(t *testing.T) {
	conn, p := client(t, broker.WithLimits(broker.Limits{Imports: 1}))
	held, lost := conn.Root().CallRemote("f"), conn.Root().CallRemote("g")
	p.Want(`[message 1 root f 1 _ _]`, `[message 2 root g 1 _ _]`)
	p.Write(`[answer 1 [remote 1]]`, `[answer 2 [remote 2]]`)
	p.Want(`[decref 2]`)
	ref, err := result(t, held)
	require.NoError(t, err)
	require.ErrorIs(t, errorOf(lost), broker.ErrTooManyImports)
	ref.(*flavors.RemoteReference).Release()
	p.Want(`[decref 1]`)
}

// TestImportsInMemoryTotal checks that when Limits.MemoryTotal is reached, no connection gets more references than its
// share, which is as many as a stock peer can send.
func TestImportsInMemoryTotal(t *testing.T) {
	const shareOfImports, size, beyond = 1024, 512, 20
	s := newServer(t, &shelf{}, broker.WithLimits(broker.Limits{MemoryTotal: (shareOfImports + beyond) * size}))
	p, other := s.peer(), s.peer()
	held := func() int { return broker.StatsOf(s.rt).BytesHeld }
	p.Write(`[message 1 root put 1 [tuple` + remotes(1, shareOfImports) + `] [dictionary]]`)
	p.Want(`[answer 1 _]`)
	require.Eventually(
		t,
		func() bool { return broker.StatsOf(s.rt).Imports == shareOfImports && held() == shareOfImports*size },
		patience,
		tick,
	)
	// A few more fit, until the total is reached together with the call that brings the next.
	taken := 0
	for refused := false; !refused; taken++ {
		require.LessOrEqual(t, taken, beyond)
		p.Forget("kind")
		p.Ignore(fmt.Sprintf(`[decref %d]`, 2000+taken))
		p.Write(fmt.Sprintf(`[message %d root put 1 [tuple [remote %d]] [dictionary]]`, 2+taken, 2000+taken))
		p.Want(fmt.Sprintf(`[$kind %d _]`, 2+taken))
		kind, _ := p.Var("kind").([]byte)
		refused = string(kind) == "error"
	}
	require.Greater(t, taken, beyond-5)
	assert.Equal(t, map[broker.Rejection]uint64{"imports": 1}, broker.StatsOf(s.rt).Refusals)
	require.Eventually(t, func() bool { return held() == (shareOfImports+taken-1)*size }, patience, tick)
	other.Write(`[message 1 root put 1 [tuple` + remotes(1, 100) + `] [dictionary]]`)
	other.Want(`[answer 1 _]`)
	p.Close()
	require.Eventually(t, func() bool { return held() == 100*size && broker.StatsOf(s.rt).Imports == 100 }, patience, tick)
}
