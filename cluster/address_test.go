package cluster_test

import (
	"crypto/tls"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
)

// shelf is a placed object that passes on what it was given.
type shelf struct {
	flavors.Referenceable
	node   string
	value  any
	kept   *flavors.Relayed
	window *window
}

func (s *shelf) RemoteNode() string                { return s.node }
func (s *shelf) RemotePut(x any)                   { s.value = x }
func (s *shelf) RemoteTake() any                   { return s.value }
func (s *shelf) RemoteKeep(x *flavors.Relayed)     { s.kept.Release(); s.kept = x }
func (s *shelf) RemoteFetch() *flavors.Relayed     { return s.kept }
func (s *shelf) RemoteIsRef() bool                 { _, ok := s.value.(*cluster.Ref); return ok }
func (s *shelf) RemoteWindow() *window             { return s.window }
func (s *shelf) RemoteShow(x any) *actor.Deferred  { return s.window.show(x) }
func (s *shelf) RemoteAsk(c flavors.Callee) any    { return c.CallRemote("give") }
func (s *shelf) RemoteHandOn(c flavors.Callee) any { return c.CallRemote("put", s.value) }

// window is a Cacheable that shows a value.
type window struct {
	flavors.Cacheable
	shown any
}

func (*window) TypeToCopy() string { return "test.Window" }

func (w *window) StateToCacheAndObserveFor(any, *flavors.Observer) any { return w.shown }

func (w *window) show(x any) *actor.Deferred {
	return flavors.Update(w, func(observers flavors.Observers) {
		w.shown = x
		_ = observers.CallRemote("show", x)
	})
}

// front is what clients of a gateway find.
type front struct {
	flavors.Referenceable
	node *cluster.Node
	kept any
}

func (f *front) RemoteGet(kind, id string) *cluster.Ref { return f.node.Get(kind, id) }
func (f *front) RemoteKeep(x any)                       { f.kept = x }

// shelves has every node offer shelves, and returns the URL of a gateway on each.
func (c *testCluster) shelves() (urls map[string]string) {
	urls = map[string]string{}
	for name, n := range c.nodes {
		require.NoError(c.t, n.Kind("shelf", func(string) *shelf { return &shelf{node: name, window: &window{}} }))
		ln, err := broker.Listen(c.rts[name], "pb://127.0.0.1:0", &front{node: n}, broker.WithRelaying())
		require.NoError(c.t, err)
		urls[name] = ln.URL()
	}
	return urls
}

func (c *testCluster) dial(url string) *flavors.RemoteReference {
	conn, err := broker.Dial(testContext(c.t), pbtest.NewRuntime(c.t), url)
	require.NoError(c.t, err)
	return conn.Root()
}

// hops returns how often calls of a method were passed on, by node.
func (c *testCluster) hops(method string) map[string]uint64 {
	hops := map[string]uint64{}
	for name, rt := range c.rts {
		for _, m := range broker.StatsOf(rt).MethodsIn {
			if m.Type == "relay" && m.Method == method {
				hops[name] += m.Made
			}
		}
	}
	return hops
}

// TestPassedAlong: a reference that has gone from node to node leads straight to its object. The nodes in between hold
// nothing of it, and may end.
func TestPassedAlong(t *testing.T) {
	const many = 50
	c := newCluster(t, "a", "b", "c", "d")
	urls := c.shelves()
	atA, atC := c.dial(urls["a"]), c.dial(urls["c"])
	get := func(root *flavors.RemoteReference, kind, id string) *flavors.RemoteReference {
		return ask[*flavors.RemoteReference](t, root, "get", kind, id)
	}
	onB, onC := c.idOn("shelf", "b"), c.idOn("shelf", "c")
	shelfB, shelfC := get(atA, "shelf", onB), get(atA, "shelf", onC)
	takeC := get(atC, "shelf", onC)
	var passed []*flavors.RemoteReference
	pass := func(id string) *flavors.RemoteReference {
		ask[any](t, shelfB, "put", get(atA, "counter", id)) // a to b
		ask[any](t, shelfB, "hand_on", shelfC)              // b to c
		return ask[*flavors.RemoteReference](t, takeC, "take")
	}
	pass("another")
	before := broker.StatsOf(c.rts["b"])
	for i := range many {
		passed = append(passed, pass(fmt.Sprint("passed", i)))
	}
	after := broker.StatsOf(c.rts["b"])
	assert.LessOrEqual(t, after.Exports+after.Imports, before.Exports+before.Imports+2, "b keeps nothing")

	want := map[string]uint64{"c": 0}
	for i, ref := range passed {
		if home, _ := c.nodes["a"].Where(c.nodes["a"].Get("counter", fmt.Sprint("passed", i))); home != "c" {
			want["c"]++ // from c to the owner
		}
		assert.Equal(t, 1, ask[int](t, ref, "incr", 1))
	}
	require.NotZero(t, want["c"])
	assert.Equal(t, want, c.hops("incr"))

	c.nodes["b"].Close()
	for i, ref := range passed {
		if home, _ := c.nodes["a"].Where(c.nodes["a"].Get("counter", fmt.Sprint("passed", i))); home != "b" {
			assert.Equal(t, 2, ask[int](t, ref, "incr", 1))
		}
	}
}

// TestComesHome: Go code gets its own node's Ref, whatever way the reference has gone.
func TestComesHome(t *testing.T) {
	c := newCluster(t, "a", "b")
	c.shelves()
	n := c.nodes["a"]
	target := n.Get("counter", "x")
	for _, home := range []string{"a", "b"} {
		s := n.Get("shelf", c.idOn("shelf", home))
		call[any](t, s, "put", target)
		assert.Same(t, target, call[any](t, s, "take"), home)
		assert.True(t, call[bool](t, s, "is_ref"), home)
		call[any](t, s, "keep", []any{target})
		assert.Same(t, target, call[[]any](t, s, "fetch")[0], home)
		assert.Same(t, target, call[*cluster.Ref](t, s, "take"), home)
		callee := call[flavors.Callee](t, s, "take")
		_, err := callee.CallRemote("incr", 1).Await(testContext(t))
		require.NoError(t, err)
	}
	// What is too long for an address is a reference that the nodes pass on.
	long := n.Get("counter", strings.Repeat("x", jelly.MaxAddress))
	s := n.Get("shelf", c.idOn("shelf", "b"))
	call[any](t, s, "put", long)
	assert.Same(t, long, call[any](t, s, "take"))
	assert.False(t, call[bool](t, s, "is_ref"))
	assert.Equal(t, 1, call[int](t, call[*cluster.Ref](t, s, "take"), "incr", 1))
}

// scripted is a scripted client of a gateway that numbers its calls.
type scripted struct {
	*wire.Peer
	t *testing.T
	n int
}

func newScripted(t *testing.T, url string) *scripted {
	p := wire.Connect(t, url[len("pb://"):])
	p.Join()
	return &scripted{Peer: p, t: t}
}

// ask makes a call and requires an answer.
func (p *scripted) ask(object, method, args, want string) {
	p.t.Helper()
	p.n++
	p.Write(fmt.Sprintf(`[message %d %s %q 1 [tuple %s] [dictionary]]`, p.n, object, method, args))
	p.Want(fmt.Sprintf(`[answer %d %s]`, p.n, want))
}

// show changes a window of which the client has a copy.
func (p *scripted) show(value, want string) {
	p.t.Helper()
	p.n++
	p.Forget("u")
	p.Write(fmt.Sprintf(`[message %d $s "show" 1 [tuple %s] [dictionary]]`, p.n, value))
	p.Want(fmt.Sprintf(`[cachemessage $u $w "show" 0 [tuple %s] [dictionary]]`, want))
	p.Want(fmt.Sprintf(`[answer %d [None]]`, p.n))
}

func (p *scripted) get(kind, id, want string) {
	p.t.Helper()
	p.ask(`"root"`, "get", fmt.Sprintf("%q %q", kind, id), want)
}

// TestClientSeesReferences: a stock client has one number for a placed object, wherever its reference comes from: in a
// list, a dictionary, a copy, or a cache. It counts, and the last release forgets the object.
func TestClientSeesReferences(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	urls := c.shelves()
	for _, home := range []string{"a", "b"} {
		t.Run(home, func(t *testing.T) {
			p, other := newScripted(t, urls["a"]), newScripted(t, urls["c"])
			id := c.idOn("shelf", home)
			p.get("shelf", id, `[remote $s]`)
			other.get("shelf", id, `[remote $s]`)
			p.get("counter", "x"+home, `[remote $r]`)
			mentions := 1
			for _, form := range []string{
				`%s`, `[list %[1]s [tuple %[1]s]]`, `[dictionary ["k" %[1]s]]`,
			} {
				sent, got := fmt.Sprintf(form, `[local $r]`), fmt.Sprintf(form, `[remote $r]`)
				p.ask(`$s`, "put", sent, `[None]`)
				p.ask(`$s`, "take", ``, got)
				mentions += strings.Count(got, "$r")
			}
			const thing = `["test.Thing" [dictionary [["unicode" "k"] [list %s]]]]`
			p.ask(`$s`, "keep", fmt.Sprintf(thing, `[local $r]`), `[None]`)
			p.ask(`$s`, "fetch", ``, fmt.Sprintf(thing, `[remote $r]`))
			mentions++

			p.ask(`$s`, "show", `[local $r]`, `[None]`)
			p.ask(`$s`, "window", ``, `["test.Window" $w [remote $r]]`)
			mentions++
			other.ask(`$s`, "show", `[None]`, `[None]`)
			p.Want(`[cachemessage $u $w "show" 0 [tuple [None]] [dictionary]]`)
			p.show(`[list [local $r]]`, `[list [remote $r]]`)
			mentions++

			// The other gateway's client gets a number of its own.
			other.ask(`$s`, "take", ``, `[dictionary ["k" [remote $r]]]`)
			other.ask(`$r`, "incr", `1`, `1`)
			p.ask(`$r`, "incr", `1`, `2`)

			relays := func() int { return broker.StatsOf(c.rts["a"]).Relays }
			p.ask(`$s`, "put", `[None]`, `[None]`)
			p.ask(`$s`, "keep", `[None]`, `[None]`)
			p.show(`[None]`, `[None]`)
			held := relays()
			for range mentions - 1 {
				p.Write(`[decref $r]`)
			}
			p.ask(`$r`, "incr", `1`, `3`)
			assert.Equal(t, held, relays())
			p.Write(`[decref $r]`)
			pbtest.Eventually(t, func() bool { return relays() < held })
			p.Close()
			other.Close()
		})
	}
	for _, rt := range c.rts {
		pbtest.Eventually(t, func() bool { runtime.GC(); return broker.StatsOf(rt).Imports < 10 })
	}
}

// crooked is a value that writes what it likes.
type crooked func(e *jelly.Encoder) error

func (c crooked) JellyTo(e *jelly.Encoder, _ any) error { return c(e) }

// form writes a list of a word and other elements.
func form(word string, elements ...any) crooked {
	return func(e *jelly.Encoder) error {
		if err := e.List(1 + len(elements)); err != nil {
			return err
		}
		err := e.String(word)
		for _, x := range elements {
			if text, ok := x.(string); ok && err == nil {
				err = e.String(text)
			} else if err == nil {
				err = e.Value(x)
			}
		}
		return err
	}
}

// giver is a client's object that answers what it likes.
type giver struct {
	flavors.Referenceable
	value any
}

func (g *giver) RemoteGive() any { return g.value }

// TestForgedByClients: a client that names an object by an address gets nothing.
func TestForgedByClients(t *testing.T) {
	c := newCluster(t, "a", "b")
	urls := c.shelves()
	for name, n := range c.nodes {
		require.NoError(t, n.Kind("secret", func(string) *counter {
			t.Error("the object was called")
			return &counter{node: name}
		}))
	}
	address := form("address", "secret", "x")
	forged := map[string]any{
		"plain": address, "in a list": []any{1, []any{address}}, "in a copy": form("test.Thing", []any{address}),
		"key": form("dictionary", form2{address, 1}), "behind a reference": form("reference", 1, address),
		"more elements": form("address", "secret", "x", 5), "as a class": form("address", []any{"secret", "x"}),
		"with a state": form("address", 7, []any{}), "reference with a class": form("address", "secret", 5),
	}
	for _, home := range []string{"a", "b"} {
		root := c.dial(urls["a"])
		s := ask[*flavors.RemoteReference](t, root, "get", "shelf", c.idOn("shelf", home))
		for name, value := range forged {
			for target, ref := range map[string]*flavors.RemoteReference{"gateway": root, "shelf": s} {
				_, err := ref.CallRemote("keep", value).Await(testContext(t))
				require.ErrorIs(t, err, flavors.InsecureJelly, "%s for the %s", name, target)
			}
			_, err := s.CallRemote("ask", &giver{value: value}).Await(testContext(t))
			require.Error(t, err, name)
		}
		assert.Equal(t, home, ask[string](t, s, "node"), "the connection goes on")
	}
	for _, home := range []string{"a", "b"} {
		p := newScripted(t, urls["a"])
		p.get("shelf", c.idOn("shelf", home), `[remote $s]`)
		for i, value := range []string{
			`["address" "secret" "x"]`, `[list ["address" "secret" "x"]]`,
			`["test.Thing" [list ["address" "secret" "x"]]]`,
		} {
			p.Write(fmt.Sprintf(`[message %d $s "keep" 1 [tuple %s] [dictionary]]`, 100+i, value))
			pbtest.WantError(t, p.Peer, 100+i, "twisted.spread.jelly.InsecureJelly")
		}
		p.ask(`$s`, "node", ``, fmt.Sprintf(`["unicode" %q]`, home))
	}
}

// form2 is a raw list of two values.
type form2 [2]any

func (f form2) JellyTo(e *jelly.Encoder, _ any) error {
	if err := e.List(2); err != nil {
		return err
	}
	if err := e.Value(f[0]); err != nil {
		return err
	}
	return e.Value(f[1])
}

// TestNonsenseOverLinks: an address that is none fails its call. One of nothing is a reference that cannot be called.
func TestNonsenseOverLinks(t *testing.T) {
	c := newCluster(t, "a", "b")
	c.shelves()
	config := &tls.Config{
		Certificates: []tls.Certificate{c.ca.Issue("z", nil)}, RootCAs: c.ca.Pool(), ServerName: "127.0.0.1",
	}
	known := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterReference(known, "perspectivebroker.cluster.Placed"))
	conn, err := broker.Dial(testContext(t), pbtest.NewRuntime(t), c.nodes["a"].LinkURL(), broker.WithTLS(config),
		broker.WithRegistry(known))
	require.NoError(t, err)
	_, err = flavors.Call[string](testContext(t), conn.Root(), "hello", "z")
	require.NoError(t, err)
	id := c.idOn("shelf", "a")
	placed, err := flavors.Call[map[string]any](testContext(t), conn.Root(), "place", "shelf", id, "", "")
	require.NoError(t, err)
	s, ok := placed["ref"].(*flavors.RemoteReference)
	require.True(t, ok)
	long := strings.Repeat("x", jelly.MaxAddress+1)
	for name, value := range map[string]any{
		"a kind of the wrong type": form("address", 5, "x"),
		"an id of the wrong type":  form("address", "shelf", []any{}),
		"a kind of absurd length":  form("address", long, "x"),
		"an id of absurd length":   form("address", "shelf", long),
		"nothing":                  form("address"),
		"half":                     form("address", "shelf"), "more": form("address", "shelf", id, 5),
		"among others": []any{form("address", "shelf", id), form("address", 1, 2)},
	} {
		for _, ref := range []*flavors.RemoteReference{s, conn.Root()} {
			_, err = ref.CallRemote("put", value).Await(testContext(t))
			require.Error(t, err, name)
			require.NotErrorIs(t, err, flavors.ConnectionLost, name)
		}
	}
	_, err = s.CallRemote("put", form("address", "nobody offers it", "x")).Await(testContext(t))
	require.NoError(t, err)
	mine := c.nodes["a"].Get("shelf", id)
	nothing := call[*cluster.Ref](t, mine, "take")
	assert.Equal(t, "nobody offers it", nothing.Kind())
	where, _ := c.nodes["a"].Where(nothing)
	assert.Empty(t, where)
	_, err = s.CallRemote("put", form("address", "shelf", id)).Await(testContext(t))
	require.NoError(t, err)
	assert.Same(t, mine, call[any](t, mine, "take"), "a good one is the object")

}
