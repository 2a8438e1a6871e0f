package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestCachesModel plays random scripts with a scripted peer. The model is two lists: what the peer holds of ours, and
// what we hold of the peer's. Each step derives from the model what must arrive, and compares the observers afterwards.
func TestCachesModel(t *testing.T) {
	registry := pondRegistry(t)
	root := &zoo{}
	s := newServer(t, root, registry)
	rapid.Check(t, func(rt *rapid.T) {
		m := &modelled{rt: rt, root: root}
		sock := s.dial()
		m.peer = wire.New(failing{t, rt}, sock)
		m.peer.Join()
		defer sock.Close()
		root.reset()
		m.theirs = make([]theirPond, len(root.kept))
		m.ours = make([]ourPond, len(root.ponds))
		m.luid = 100
		steps := map[string]func(){
			"get": m.get, "get two": m.getTwo, "decache": m.decache, "change": m.change, "home": m.home,
			"take": m.take, "take two": m.takeTwo, "release": m.release, "update": m.update, "look": m.look,
			"return": m.giveBack,
		}
		names := make([]string, 0, len(steps))
		for name := range steps {
			names = append(names, name)
		}
		slices.Sort(names)
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			steps[rapid.SampledFrom(names).Draw(rt, "step")]()
			m.check()
		}
	})
}

// failing makes a scripted peer fail the attempt and not the test, so that rapid can look for a smaller script.
type failing struct {
	testing.TB
	rt *rapid.T
}

func (f failing) Fatalf(format string, args ...any) { f.rt.Fatalf(format, args...) }
func (f failing) Fatal(args ...any)                 { f.rt.Fatal(args...) }

// zoo has several Cacheables, and keeps caches of several of the peer's.
type zoo struct {
	flavors.Root
	ponds [3]*pond
	kept  [3]*flavors.Cached[pondCopy]
}

func (z *zoo) reset() {
	for i := range z.ponds {
		z.ponds[i] = &pond{}
	}
	for i := range z.kept {
		z.kept[i] = nil
	}
}

func (z *zoo) RemoteGet(i int) *pond         { return z.ponds[i] }
func (z *zoo) RemoteGetTwo(i, j int) []*pond { return []*pond{z.ponds[i], z.ponds[j]} }
func (z *zoo) RemoteIs(i int, x any) bool    { return x == any(z.ponds[i]) }

// RemoteTake takes a cache of the peer's Cacheable i, and reports whether its handle is the same as before.
func (z *zoo) RemoteTake(i int, c *flavors.Cached[pondCopy]) (bool, error) {
	same := z.kept[i] == nil || z.kept[i] == c
	z.kept[i] = c
	return same, nil
}

func (z *zoo) RemoteTakeTwo(i, j int, c, d *flavors.Cached[pondCopy]) (bool, error) {
	first, _ := z.RemoteTake(i, c)
	second, _ := z.RemoteTake(j, d)
	return first && second, nil
}

func (z *zoo) RemoteLetGo(i int, last bool) {
	z.kept[i].Release()
	if last {
		z.kept[i] = nil
	}
}

func (z *zoo) RemoteLook(i int) (ducks []string, err error) {
	err = z.kept[i].View(func(c *pondCopy) { ducks = slices.Clone(c.ducks) })
	return ducks, err
}
func (z *zoo) RemoteReturn(i int) *flavors.Cached[pondCopy] { return z.kept[i] }

type (
	ourPond struct {
		ducks   []string
		luid    string // the peer's variable that has the id; "" if the peer does not hold the Cacheable
		count   int
		stopped int64
	}
	theirPond struct {
		ducks []string
		luid  int // 0 if we do not hold it
		count int
	}
)

type modelled struct {
	rt      *rapid.T
	root    *zoo
	peer    *wire.Peer
	ours    []ourPond
	theirs  []theirPond
	request int
	luid    int // the last id that the peer gave out
	sent    int // the number of variables
}

func (m *modelled) one(of int, what string) int { return rapid.IntRange(0, of-1).Draw(m.rt, what) }

func (m *modelled) call(method, args string) string {
	m.request++
	m.peer.Write(fmt.Sprintf(`[message %d root %s 1 [tuple %s] [dictionary]]`, m.request, method, args))
	return fmt.Sprintf(`[answer %d `, m.request)
}

func ducksText(ducks []string) string {
	var b strings.Builder
	for _, d := range ducks {
		fmt.Fprintf(&b, " [unicode %q]", d)
	}
	return `[list` + b.String() + `]`
}

// mention returns how a Cacheable of ours is mentioned next.
func (m *modelled) mention(i int) string {
	o := &m.ours[i]
	o.count++
	if o.count > 1 {
		return `[cached $` + o.luid + `]`
	}
	m.sent++
	o.luid = fmt.Sprintf("l%d", m.sent)
	return `["test.Pond" $` + o.luid + ` ` + ducksText(o.ducks) + `]`
}

func (m *modelled) get() {
	i := m.one(len(m.ours), "Cacheable")
	answer := m.call("get", fmt.Sprint(i))
	m.peer.Want(answer + m.mention(i) + `]`)
}

func (m *modelled) getTwo() {
	i, j := m.one(len(m.ours), "Cacheable"), m.one(len(m.ours), "another")
	answer := m.call("getTwo", fmt.Sprint(i, j))
	m.peer.Want(answer + `[list ` + m.mention(i) + ` ` + m.mention(j) + `]]`)
}

func (m *modelled) decache() {
	o := &m.ours[m.one(len(m.ours), "Cacheable")]
	if o.count == 0 {
		return
	}
	m.peer.Write(`[decache $` + o.luid + `]`)
	o.count--
	if o.count == 0 {
		m.peer.Want(`[uncache $` + o.luid + `]`)
		o.stopped++
	}
}

func (m *modelled) change() {
	i := m.one(len(m.ours), "Cacheable")
	o := &m.ours[i]
	duck := fmt.Sprint(len(o.ducks))
	o.ducks = append(o.ducks, duck)
	m.root.ponds[i].add(duck)
	if o.count > 0 {
		m.peer.Want(`[cachemessage _ $` + o.luid + ` add 0 [tuple [unicode "` + duck + `"]] [dictionary]]`)
	}
}

func (m *modelled) home() {
	i := m.one(len(m.ours), "Cacheable")
	if o := m.ours[i]; o.count > 0 {
		answer := m.call("is", fmt.Sprintf(`%d [lcache $%s]`, i, o.luid))
		m.peer.Want(answer + `[boolean true]]`)
	}
}

// theirMention returns how the peer mentions a Cacheable of its own next.
func (m *modelled) theirMention(i int) string {
	o := &m.theirs[i]
	o.count++
	if o.count > 1 {
		return fmt.Sprintf(`[cached %d]`, o.luid)
	}
	m.luid++
	o.luid = m.luid
	return fmt.Sprintf(`["test.Pond" %d %s]`, o.luid, ducksText(o.ducks))
}

func (m *modelled) take() {
	i := m.one(len(m.theirs), "Cacheable")
	answer := m.call("take", fmt.Sprintf(`%d %s`, i, m.theirMention(i)))
	m.peer.Want(answer + `[boolean true]]`)
}

func (m *modelled) takeTwo() {
	i, j := m.one(len(m.theirs), "Cacheable"), m.one(len(m.theirs), "another")
	answer := m.call("takeTwo", fmt.Sprintf(`%d %d %s %s`, i, j, m.theirMention(i), m.theirMention(j)))
	m.peer.Want(answer + `[boolean true]]`)
}

func (m *modelled) release() {
	i := m.one(len(m.theirs), "Cacheable")
	o := &m.theirs[i]
	if o.count == 0 {
		return
	}
	o.count--
	answer := m.call("letGo", fmt.Sprintf(`%d [boolean %t]`, i, o.count == 0))
	m.peer.Want(fmt.Sprintf(`[decache %d]`, o.luid), answer+`[None]]`)
	if o.count == 0 {
		m.peer.Write(fmt.Sprintf(`[uncache %d]`, o.luid))
		o.luid = 0
	}
}

func (m *modelled) update() {
	o := &m.theirs[m.one(len(m.theirs), "Cacheable")]
	duck := fmt.Sprint(len(o.ducks))
	o.ducks = append(o.ducks, duck)
	if o.count > 0 {
		m.request++
		m.peer.Write(fmt.Sprintf(`[cachemessage %d %d add 1 [tuple [unicode "%s"]] [dictionary]]`, m.request, o.luid, duck))
		m.peer.Want(fmt.Sprintf(`[answer %d [None]]`, m.request))
	}
}

func (m *modelled) look() {
	i := m.one(len(m.theirs), "Cacheable")
	if o := m.theirs[i]; o.count > 0 {
		answer := m.call("look", fmt.Sprint(i))
		m.peer.Want(answer + ducksText(o.ducks) + `]`)
	}
}

func (m *modelled) giveBack() {
	i := m.one(len(m.theirs), "Cacheable")
	if o := m.theirs[i]; o.count > 0 {
		answer := m.call("return", fmt.Sprint(i))
		m.peer.Want(answer + fmt.Sprintf(`[lcache %d]]`, o.luid))
	}
}

// check compares how many observers there are, and how often observing has stopped.
func (m *modelled) check() {
	for i, o := range m.ours {
		p := m.root.ponds[i]
		observers := -1
		err := waitFor(flavors.Update(p, func(os flavors.Observers) { observers = os.Len() }))
		require.NoError(m.rt, err)
		require.Equal(m.rt, min(o.count, 1), observers, "Cacheable %d", i)
		require.Equal(m.rt, o.stopped, p.stopped.Load(), "Cacheable %d", i)
	}
}

func waitFor(d *actor.Deferred) error {
	ctx, cancel := context.WithTimeout(context.Background(), wire.Timeout)
	defer cancel()
	_, err := d.Await(ctx)
	return err
}
