package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/stretchr/testify/require"
)

func TestCachesLimitOut(t *testing.T) {
	p := newServer(t, newLocks(false), broker.WithLimits(broker.Limits{Caches: 2})).peer()
	p.Write(`[message 1 root more 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 ["test.Sluice" 1 _]]`)
	p.Write(`[message 2 root more 1 [tuple] [dictionary]]`)
	p.Want(`[answer 2 ["test.Sluice" 2 _]]`)
	p.Write(`[message 3 root more 1 [tuple] [dictionary]]`)
	require.Contains(t, wantAnyError(p, 3), "Limits.Caches")
	p.Write(`[decache 1]`)
	p.Want(`[uncache 1]`)
	p.Write(`[message 4 root more 1 [tuple] [dictionary]]`)
	p.Want(`[answer 4 ["test.Sluice" $luid _]]`)
}

func TestCachesLimitIn(t *testing.T) {
	root := &ponds{}
	p := newServer(t, root, pondRegistry(t), broker.WithLimits(broker.Limits{Caches: 2})).peer()
	p.Write(`[message 1 root take 1 [tuple ["test.Pond" 1 [list]]] [dictionary]]`)
	p.Want(`[answer 1 [None]]`)
	first := root.copy
	p.Write(`[message 2 root take 1 [tuple [list ["test.Pond" 2 [list]] ["test.Pond" 3 [list]]]] [dictionary]]`)
	p.Want(`[decache 3]`, `[decache 2]`)
	require.Contains(t, wantAnyError(p, 2), "Limits.Caches")
	p.Write(`[uncache 3]`, `[uncache 2]`)
	p.Write(`[message 3 root take 1 [tuple ["test.Pond" 4 [list]]] [dictionary]]`)
	p.Want(`[answer 3 [None]]`)
	require.NotSame(t, first, root.copy)
	first.Release()
	p.Want(`[decache 1]`)
}

// TestRefusedCachesLimit has a peer send no uncache for Cacheables that were refused.
func TestRefusedCachesLimit(t *testing.T) {
	const most = 1 << 16
	s := newServer(t, &ponds{}, pondRegistry(t), broker.WithLimits(broker.Limits{Caches: 1}))
	p := s.peer()
	p.Write(`[message 9 root take 1 [tuple ["test.Pond" 1000000 [list]]] [dictionary]]`)
	p.Want(`[answer 9 [None]]`)
	owe := func(request, first, n int) {
		originals := make([]string, n)
		for i := range originals {
			originals[i] = fmt.Sprintf(`["test.Pond" %d [list]]`, first+i)
		}
		p.Write(fmt.Sprintf(`[message %d 77 take 1 [tuple %s] [dictionary]]`, request, strings.Join(originals, " ")))
	}
	p.Ignore(`[decache _]`)
	owe(1, 1, most)
	wantAnyError(p, 1)
	p.Write(`[uncache 1]`)
	owe(2, most+1, 1)
	wantAnyError(p, 2)
	p.Write(`[message 3 root nosuch 1 [tuple] [dictionary]]`)
	wantAnyError(p, 3)
	conn := only(t, s)
	require.Zero(t, conn.Stats().Refusals["given back"])
	owe(4, most+2, 1)
	p.Write(`[message 5 root nosuch 1 [tuple] [dictionary]]`) // The limit is checked after each command.
	<-conn.Done()
	require.EqualValues(t, 1, conn.Stats().Refusals["given back"])
}

func TestUnknownCaches(t *testing.T) {
	_, p := newPonds(t)
	for i, arg := range []string{`[cached 5]`, `[lcache 5]`, `[list [lcache 5] [lcache 6]]`} {
		p.Write(fmt.Sprintf(`[message %d root take 1 [tuple %s] [dictionary]]`, i+1, arg))
		wantAnyError(p, i+1)
	}
	p.Write(`[message 9 root twice 1 [tuple] [dictionary]]`)
	p.Want(`[answer 9 [list ["test.Pond" 1 _] [cached 1]]]`)
	t.Run("decache after the last", func(t *testing.T) {
		_, p := newPonds(t)
		p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
		p.Want(`[answer 1 ["test.Pond" 1 _]]`)
		p.Write(`[decache 1]`)
		p.Want(`[uncache 1]`)
		p.Write(`[decache 1]`)
		p.WantClosed()
	})
	for _, command := range []string{`[decache 7]`, `[uncache 7]`} {
		t.Run(command, func(t *testing.T) {
			_, p := newPonds(t)
			p.Write(command)
			p.WantClosed()
		})
	}
}

// TestRefusedMentionsAreReleased receives Cacheables and mentions of them in messages that are refused (P-7.6).
func TestRefusedMentionsAreReleased(t *testing.T) {
	root, p := newPonds(t)
	t.Run("bad state in the middle", func(t *testing.T) {
		p.Write(
			`[message 1 root take 1 [tuple [list ["test.Pond" 11 [list]] ["test.Pond" 12 7] ` +
				`["test.Pond" 13 [list]] [cached 13]]] [dictionary]]`,
		)
		p.Ignore(`[decache _]`)
		wantAnyError(p, 1)
		p.Write(`[uncache 11]`, `[uncache 12]`, `[uncache 13]`)
	})
	_, p = newPonds(t)
	t.Run("with an unknown reference", func(t *testing.T) {
		p.Write(`[message 1 root take 1 [tuple [list ["test.Pond" 21 [list]] [cached 21] [local 99]]] [dictionary]]`)
		p.Want(`[decache 21]`, `[decache 21]`)
		wantAnyError(p, 1)
	})
	t.Run("mentioned again", func(t *testing.T) {
		p.Write(`[message 2 root take 1 [tuple [cached 21]] [dictionary]]`)
		p.Want(`[decache 21]`)
		wantAnyError(p, 2)
		p.Write(`[uncache 21]`)
		p.Write(`[message 3 root take 1 [tuple [cached 21]] [dictionary]]`)
		wantAnyError(p, 3)
	})
	t.Run("in a call to an unknown object", func(t *testing.T) {
		p.Write(`[message 4 77 take 1 [tuple ["test.Pond" 31 [list]] [cached 31]] [dictionary]]`)
		p.Want(`[decache 31]`, `[decache 31]`)
		wantAnyError(p, 4)
		p.Write(`[uncache 31]`)
	})
	require.Nil(t, root.copy)
}
