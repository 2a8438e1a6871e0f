package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// lender releases what it hands over.
type lender struct {
	flavors.Root
	kept  interface{ Release() }
	late  chan *actor.Deferred
	state chan struct{}
}

type handle = interface{ Release() }

// handleOf is the handle in an argument that may be of either kind.
func handleOf(v any) handle { return v.(handle) }

func (*lender) RemoteBack(v any) any {
	defer handleOf(v).Release()
	return v
}

func (*lender) RemoteBackTwice(v any) []any {
	defer handleOf(v).Release()
	return []any{v, v}
}

func (l *lender) RemoteKeep(v any) { l.kept = handleOf(v) }

func (l *lender) RemoteTakeBack() any {
	kept := l.kept
	l.kept = nil
	defer kept.Release()
	return kept
}

// RemoteLate is answered later with an argument that it has released.
func (l *lender) RemoteLate(inv *flavors.Invocation, v any) *actor.Deferred {
	defer handleOf(v).Release()
	d := actor.NewDeferred(inv.Conn().Runtime())
	l.late <- d
	return d
}

// RemoteContinued is answered by a continuation, with what was released before the continuation ran.
func (l *lender) RemoteContinued(inv *flavors.Invocation) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	kept := l.kept
	l.kept = nil
	go func() {
		d.Complete(kept, nil)
		kept.Release()
	}()
	return d.Then(inv, func(v any, err error) (any, error) { return v, err })
}

func (l *lender) RemoteDrop() {
	l.kept.Release()
	l.kept = nil
}

// RemoteBehindState answers with what is kept, behind an original that takes its time.
func (l *lender) RemoteBehindState() []any { return []any{&slowOriginal{gate: l.state}, l.kept} }

type slowOriginal struct {
	flavors.Cacheable
	gate <-chan struct{}
}

func (*slowOriginal) TypeToCopy() string { return "test.Slow" }
func (o *slowOriginal) StateToCacheAndObserveFor(any, *flavors.Observer) any {
	<-o.gate
	return 1
}

// handed is one kind of handle, as the peer writes it, sees it come home, and is told that it was released.
type handed struct{ name, sent, home, told string }

var handedKinds = []handed{
	{"reference", `[remote 7]`, `[local 7]`, `[decref 7]`},
	{"cache", `["test.Pond" 7 [list]]`, `[lcache 7]`, `[decache 7]`},
}

func TestReleasedByMethod(t *testing.T) {
	for _, h := range handedKinds {
		run := func(name string, f func(p *wire.Peer, l *lender)) {
			t.Run(h.name+", "+name, func(t *testing.T) {
				l := &lender{late: make(chan *actor.Deferred, 1), state: make(chan struct{})}
				f(newServer(t, l, pondRegistry(t)).peer(), l)
			})
		}
		call := func(id int, method string) string {
			return fmt.Sprintf(`[message %d root %s 1 [tuple] [dictionary]]`, id, method)
		}
		with := func(id int, method string) string {
			return fmt.Sprintf(`[message %d root %s 1 [tuple %s] [dictionary]]`, id, method, h.sent)
		}
		answer := func(id int, values ...string) string {
			return fmt.Sprintf(`[answer %d %s]`, id, strings.Join(values, " "))
		}
		run("argument returned", func(p *wire.Peer, _ *lender) {
			p.Write(with(1, "back"))
			p.Want(answer(1, h.home), h.told)
		})
		run("argument returned twice", func(p *wire.Peer, _ *lender) {
			p.Write(with(1, "backTwice"))
			p.Want(answer(1, `[list `+h.home+` `+h.home+`]`), h.told)
		})
		run("field returned", func(p *wire.Peer, _ *lender) {
			p.Write(with(1, "keep"), call(2, "takeBack"))
			p.Want(answer(1, `[None]`), answer(2, h.home), h.told)
		})
		run("argument of a late answer", func(p *wire.Peer, l *lender) {
			p.Write(with(1, "late"))
			d := <-l.late
			p.Write(call(2, "noSuchMethod"))
			p.Want(`[error 2 _]`) // The release has not been told meanwhile.
			d.Complete(nil, nil)
			p.Want(h.told, answer(1, `[None]`))
		})
		run("continuation", func(p *wire.Peer, _ *lender) {
			p.Write(with(1, "keep"), call(2, "continued"))
			p.Want(answer(1, `[None]`), answer(2, h.home), h.told)
		})
		run("not mentioned", func(p *wire.Peer, _ *lender) {
			p.Write(with(1, "keep"), call(2, "drop"))
			p.Want(answer(1, `[None]`), h.told, answer(2, `[None]`))
		})
		run("by a later method", func(p *wire.Peer, l *lender) {
			p.Write(with(1, "keep"))
			p.Want(answer(1, `[None]`))
			p.Ignore(answer(3, `[None]`))
			p.Write(call(2, "behindState"), call(3, "drop"))
			close(l.state)
			p.Want(answer(2, `[list ["test.Slow" 1 1] `+h.home+`]`), h.told)
		})
	}
}

// TestLateAnswerMentionsArgument: the value of a Deferred is an argument that was released when the method returned.
func TestLateAnswerMentionsArgument(t *testing.T) {
	for _, h := range handedKinds {
		t.Run(h.name, func(t *testing.T) {
			completed := make(chan struct{})
			s := newServer(t, &lateReturner{completed: completed}, pondRegistry(t))
			p := s.peer()
			p.Write(
				fmt.Sprintf(`[message 1 root back 1 [tuple %s] [dictionary]]`, h.sent),
				`[message 2 root none 1 [tuple] [dictionary]]`,
			)
			p.Want(`[answer 2 [None]]`)
			close(completed)
			p.Want(`[answer 1 `+h.home+`]`, h.told)
		})
	}
}

type lateReturner struct {
	flavors.Root
	completed <-chan struct{}
}

func (*lateReturner) RemoteNone() {}

func (l *lateReturner) RemoteBack(inv *flavors.Invocation, v any) *actor.Deferred {
	defer handleOf(v).Release()
	d := actor.NewDeferred(inv.Conn().Runtime())
	go func() {
		<-l.completed
		d.Complete(v, nil)
	}()
	return d
}

// TestReleasedByCaller: what CallRemote was given, the target included, outlives its release.
func TestReleasedByCaller(t *testing.T) {
	for _, h := range handedKinds {
		get := func(t *testing.T) (*broker.Conn, *scripted, handle) {
			conn, p := client(t, pondRegistry(t))
			d := conn.Root().CallRemote("get")
			p.Want(`[message 1 root get 1 [tuple] [dictionary]]`)
			p.Write(`[answer 1 ` + h.sent + `]`)
			v, err := result(t, d)
			require.NoError(t, err)
			return conn, p, v.(handle)
		}
		t.Run(h.name, func(t *testing.T) {
			conn, p, v := get(t)
			require.NoError(t, conn.Root().CallRemoteNoAnswer("take", v, []any{v}))
			v.Release()
			p.Want(`[message 2 root take 0 [tuple `+h.home+` [list `+h.home+`]] [dictionary]]`, h.told)
			require.ErrorIs(t, errorOf(conn.Root().CallRemote("take", v)), flavors.ErrReleased)
		})
		t.Run(h.name+", the call cannot be sent", func(t *testing.T) {
			conn, p, v := get(t)
			require.Error(t, conn.Root().CallRemoteNoAnswer("take", v, make(chan int)))
			v.Release()
			p.Want(h.told)
		})
		t.Run(h.name+", behind a state", func(t *testing.T) {
			conn, p, v := get(t)
			gate := make(chan struct{})
			require.NoError(t, conn.Root().CallRemoteNoAnswer("take", &slowOriginal{gate: gate}, v))
			v.Release()
			close(gate)
			p.Want(`[message 2 root take 0 [tuple ["test.Slow" 1 1] `+h.home+`] [dictionary]]`, h.told)
		})
	}
	t.Run("target", func(t *testing.T) {
		conn, p := client(t)
		ref := receive(t, conn, p, 7)
		gate := make(chan struct{})
		require.NoError(t, ref.CallRemoteNoAnswer("take", &slowOriginal{gate: gate}))
		ref.Release()
		close(gate)
		p.Want(`[message 2 7 take 0 [tuple ["test.Slow" 1 1]] [dictionary]]`, `[decref 7]`)
	})
}

// TestReleasedByOriginal: what an update or a state mentions.
func TestReleasedByOriginal(t *testing.T) {
	conn, p := client(t)
	ref, other := receive(t, conn, p, 7), receive(t, conn, p, 8)
	original := &pond{ducks: []string{"one"}, other: ref}
	require.NoError(t, conn.Root().CallRemoteNoAnswer("take", original))
	p.Want(`[message 3 root take 0 [tuple ["test.Pond" 1 [list [list [unicode one]] [local 7]]]] [dictionary]]`)
	require.NoError(t, errorOf(flavors.Update(original, func(os flavors.Observers) {
		original.other = nil
		_ = os.CallRemote("lose", ref, other)
		ref.Release()
		other.Release()
	})))
	p.Want(`[cachemessage 4 1 lose 0 [tuple [local 7] [local 8]] [dictionary]]`, `[decref 7]`, `[decref 8]`)
}

// handoverModel plays a stock peer: it counts what it has handed out, and wants every mention to be of something that
// is still counted.
type handoverModel struct {
	p      *scripted
	conn   *broker.Conn
	counts map[int64]int
	held   map[int64]*flavors.RemoteReference
	gate   chan struct{} // of the message that is held up, if there is one
	behind int           // messages that have not been read
	last   int64
}

func (m *handoverModel) luid(t *rapid.T) int64 {
	var luids []int64
	for luid := range m.last + 1 {
		if m.held[luid] != nil {
			luids = append(luids, luid)
		}
	}
	if len(luids) == 0 {
		t.Skip("nothing is held")
	}
	return rapid.SampledFrom(luids).Draw(t, "luid")
}

func (m *handoverModel) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"receive": func(t *rapid.T) {
			if m.gate != nil {
				t.Skip("the call would be held up")
			}
			m.last++
			luid := m.last
			d := m.conn.Root().CallRemote("get")
			m.read(t, func(method string) bool { return method == "get" })
			m.p.Write(fmt.Sprintf(`[answer %s [remote %d]]`, banana.Format(m.p.Var("id")), luid))
			v, err := d.Await(m.conn.Context())
			if err != nil {
				t.Fatal(err)
			}
			m.held[luid] = v.(*flavors.RemoteReference)
			m.counts[luid]++
		},
		"mention": func(t *rapid.T) {
			ref := m.held[m.luid(t)]
			if err := m.conn.Root().CallRemoteNoAnswer("take", ref, []any{ref}); err != nil {
				t.Fatal(err)
			}
			m.sent(t, "take")
		},
		"call": func(t *rapid.T) {
			if err := m.held[m.luid(t)].CallRemoteNoAnswer("call"); err != nil {
				t.Fatal(err)
			}
			m.sent(t, "call")
		},
		"release": func(t *rapid.T) {
			luid := m.luid(t)
			m.held[luid].Release()
			delete(m.held, luid)
		},
		"hold": func(t *rapid.T) {
			if m.gate != nil {
				t.Skip("one message is held up already")
			}
			luid := m.luid(t)
			m.gate = make(chan struct{})
			if err := m.held[luid].CallRemoteNoAnswer("slow", &slowOriginal{gate: m.gate}, m.held[luid]); err != nil {
				t.Fatal(err)
			}
			m.behind++
		},
		"let go": m.letGo,
	}
}

func (m *handoverModel) letGo(t *rapid.T) {
	if m.gate == nil {
		t.Skip("nothing is held up")
	}
	close(m.gate)
	m.gate = nil
	for m.behind > 0 {
		m.read(t, func(string) bool { return true })
		m.behind--
	}
}

// sent reads a message that was just sent, unless it may be held up.
func (m *handoverModel) sent(t *rapid.T, want string) {
	if m.gate != nil {
		m.behind++
		return
	}
	m.read(t, func(method string) bool { return method == want })
}

// read reads up to the next message, and checks what it mentions.
func (m *handoverModel) read(t *rapid.T, wanted func(method string) bool) {
	for {
		m.p.Forget("frame")
		m.p.Want(`$frame`)
		frame := m.p.Var("frame").([]any)
		if string(frame[0].([]byte)) == "decref" {
			m.count(t, frame[1].(int64))
			continue
		}
		m.p.Forget("id")
		m.setID(frame[1])
		if luid, ok := frame[2].(int64); ok && m.counts[luid] <= 0 {
			t.Fatalf("a call to %d, which was given back", luid)
		}
		m.mentions(t, frame)
		if method := string(frame[3].([]byte)); !wanted(method) {
			t.Fatalf("an unexpected call of %s", method)
		}
		return
	}
}

func (m *handoverModel) count(t *rapid.T, luid int64) {
	if m.counts[luid]--; m.counts[luid] < 0 {
		t.Fatalf("%d was given back more often than it was received", luid)
	}
}

func (m *handoverModel) mentions(t *rapid.T, e any) {
	list, ok := e.([]any)
	if !ok {
		return
	}
	if len(list) == 2 {
		if word, ok := list[0].([]byte); ok && string(word) == "local" && m.counts[list[1].(int64)] <= 0 {
			t.Fatalf("[local %d] behind its decref", list[1])
		}
	}
	for _, x := range list {
		m.mentions(t, x)
	}
}

func (m *handoverModel) setID(id any) { m.p.SetVar("id", id) }

func TestHandoverModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		conn, p := client(t)
		m := &handoverModel{p: p, conn: conn, counts: map[int64]int{}, held: map[int64]*flavors.RemoteReference{}}
		rt.Repeat(m.actions())
		if m.gate != nil {
			m.letGo(rt)
		}
		for _, ref := range m.held {
			ref.Release()
		}
		clear(m.held)
		// Everything is given back in the end.
		require.NoError(t, conn.Root().CallRemoteNoAnswer("last"))
		m.read(rt, func(method string) bool { return method == "last" })
		for _, count := range m.counts {
			for ; count > 0; count-- {
				p.Want(`[decref _]`)
			}
		}
		p.Close()
		<-conn.Done()
	})
}
