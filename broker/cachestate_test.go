package broker_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

// sender sends Cacheables in answers, calls and updates.
type sender struct {
	flavors.Root
	slow, fast sluice
	peer       *flavors.RemoteReference
}

func newSender() *sender {
	d := &sender{}
	d.slow.gate = make(chan struct{})
	return d
}

func (d *sender) RemoteSlow() *sluice                      { return &d.slow }
func (d *sender) RemoteFast() *sluice                      { return &d.fast }
func (d *sender) RemotePing() string                       { return "pong" }
func (d *sender) RemoteMeet(peer *flavors.RemoteReference) { d.peer = peer }

// RemoteTell calls the peer with the slow Cacheable before it answers.
func (d *sender) RemoteTell() (string, error) {
	return "told", d.peer.CallRemoteNoAnswer("hear", &d.slow)
}

// RemoteAlso calls the peer without a Cacheable.
func (d *sender) RemoteAlso(method string) (string, error) {
	return "also", d.peer.CallRemoteNoAnswer(method)
}

// TestHeldMessages checks which messages overtake one that waits for a state.
func TestHeldMessages(t *testing.T) {
	const meet = `[message 1 root meet 1 [tuple [remote 7]] [dictionary]]`
	for _, c := range []struct {
		name   string
		held   string // makes the server send the message that waits
		then   string // is sent while it waits
		before []string
		after  []string
	}{
		{
			"unrelated answer overtakes an answer",
			`[message 2 root slow 1 [tuple] [dictionary]]`, `[message 3 root ping 1 [tuple] [dictionary]]`,
			[]string{`[answer 3 [unicode pong]]`}, []string{`[answer 2 ["test.Sluice" 1 [unicode open]]]`},
		},
		{
			"answer with another Cacheable overtakes",
			`[message 2 root slow 1 [tuple] [dictionary]]`, `[message 3 root fast 1 [tuple] [dictionary]]`,
			[]string{`[answer 3 ["test.Sluice" 1 [unicode open]]]`}, []string{`[answer 2 ["test.Sluice" 2 [unicode open]]]`},
		},
		{
			"same Cacheable waits",
			`[message 2 root slow 1 [tuple] [dictionary]]`, `[message 3 root slow 1 [tuple] [dictionary]]`,
			nil, []string{`[answer 2 ["test.Sluice" 1 [unicode open]]]`, `[answer 3 [cached 1]]`},
		},
		{
			"answer waits for the call that its method made",
			`[message 2 root tell 1 [tuple] [dictionary]]`, `[message 3 root ping 1 [tuple] [dictionary]]`,
			[]string{`[answer 3 [unicode pong]]`},
			[]string{`[message _ 7 hear 0 [tuple ["test.Sluice" 1 [unicode open]]] [dictionary]]`, `[answer 2 [unicode told]]`},
		},
		{
			"call to the same object waits, and the answer behind it",
			`[message 2 root tell 1 [tuple] [dictionary]]`, `[message 3 root also 1 [tuple [unicode next]] [dictionary]]`,
			nil,
			[]string{
				`[message _ 7 hear 0 [tuple ["test.Sluice" 1 [unicode open]]] [dictionary]]`, `[answer 2 [unicode told]]`,
				`[message _ 7 next 0 [tuple] [dictionary]]`, `[answer 3 [unicode also]]`,
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newSender()
				open := sync.OnceFunc(func() { close(d.slow.gate) })
				defer open()
				p := newServer(t, d).peer()
				p.Write(meet)
				p.Want(`[answer 1 [None]]`)
				p.Write(c.held)
				synctest.Wait()
				p.Write(c.then)
				p.Want(c.before...)
				synctest.Wait()
				open()
				p.Want(c.after...)
			})
		})
	}
}

// TestManyHeldMessages has more messages wait for states than may request them at a time, and one state that never
// arrives.
func TestManyHeldMessages(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		root := newLocks(true)
		p := newServer(t, root, broker.WithLimits(broker.Limits{StateTimeout: 5 * time.Second})).peer()
		p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
		const n = 200
		for range n {
			p.Write(`[message 2 root more 1 [tuple] [dictionary]]`)
		}
		for range n {
			p.Want(`[answer 2 ["test.Sluice" _ [unicode open]]]`)
		}
		require.Contains(t, wantAnyError(p, 1), "in time")
		close(root.sluice.gate)
	})
}
