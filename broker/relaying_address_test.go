package broker_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
)

// addressed is an object with an address.
type addressed struct {
	*flavors.Relay
	kind, id string
}

// addresses knows what has an address.
type addresses struct {
	mu   sync.Mutex
	made map[string]*addressed
}

func (a *addresses) of(object any) (kind, id string, ok bool) {
	x, ok := object.(*addressed)
	if !ok {
		return "", "", false
	}
	return x.kind, x.id, true
}

func (a *addresses) object(kind, id string) any {
	if kind != "room" {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.made[id] == nil {
		relay := flavors.NewRelay(func(inv *flavors.Invocation) { inv.Answer(id, nil) })
		a.made[id] = &addressed{relay, kind, id}
	}
	return a.made[id]
}

// TestAddresses, P-13.9, P-13.10: between programs that share addresses an object goes by its own, decoded or not.
// Others get a reference, and cannot use addresses.
func TestAddresses(t *testing.T) {
	known := &addresses{made: map[string]*addressed{}}
	root := &store{}
	trusted := newServer(t, root, broker.WithRelaying(),
		broker.WithSubstitutes(broker.Substitutes{Address: known.of, Object: known.object}))
	public := serveOn(t, trusted.rt, root, broker.WithRelaying())
	link := func() *wire.Peer {
		p := trusted.connect()
		p.JoinAs(banana.ProfilePB1)
		return p
	}
	stranger := func(profile banana.Profile) *wire.Peer {
		p := public.connect()
		p.JoinAs(profile)
		return p
	}
	a, b, stock, ours := link(), link(), stranger(banana.ProfilePB), stranger(banana.ProfilePB1)
	const lobby = `["address" "room" "lobby"]`
	thing := `["pond.Thing" [dictionary [["unicode" "k"] [list %[1]s %[1]s]]]]`
	for _, p := range []*wire.Peer{b, stock, ours} {
		want := map[bool]string{true: lobby, false: `[remote 1]`}[p == b]
		leave(a, p, lobby, want)
		leave(a, p, fmt.Sprintf(thing, lobby), fmt.Sprintf(thing, want))
		a.Write(`[message 2 "root" "keep" 1 [tuple [list ` + lobby + `]] [dictionary]]`)
		a.Want(`[answer 2 [None]]`)
		p.Write(`[message 2 "root" "kept" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 2 [list ` + want + `]]`)
	}
	assert.Same(t, known.object("room", "lobby"), root.kept.([]any)[0])
	for _, p := range []*wire.Peer{stock, ours} {
		p.Write(`[message 3 1 "name" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 3 ["unicode" "lobby"]]`)
		leave(p, a, `[local 1]`, lobby)
		for i, method := range []string{"keep", "leave"} {
			p.Write(fmt.Sprintf(`[message %d "root" %q 1 [tuple %s "y"] [dictionary]]`, 10+i, method, lobby))
			wantError(t, p, 10+i, "twisted.spread.jelly.InsecureJelly")
		}
	}
	// What has no address goes by reference, and what is at no address fails its call.
	leave(a, stock, `[remote 7]`, `[remote 5]`)
	b.Write(`[message 4 "root" "fetch" 1 [tuple ["unicode" "k"]] [dictionary]]`)
	b.Want(`[answer 4 [remote 1]]`)
	for i, method := range []string{"keep", "leave"} {
		a.Write(fmt.Sprintf(`[message %d "root" %q 1 [tuple ["address" "hut" "x"] "y"] [dictionary]]`, 20+i, method))
		assert.Contains(t, wantError(t, a, 20+i, "twisted.spread.pb.Error"), "nothing at the address")
	}
	a.Write(`[message 30 "root" "echo" 1 [tuple 5] [dictionary]]`)
	a.Want(`[answer 30 5]`)
}
