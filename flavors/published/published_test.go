package published_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/published"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

var errRefused = errors.New("refused")

// gazette is published.
type gazette struct {
	published.Publishable
	id      string
	text    string
	other   any
	fetched int
}

func (*gazette) TypeToCopy() string    { return "test.Gazette" }
func (g *gazette) PublishedID() string { return g.id }

func (g *gazette) StateToPublishFor(perspective any) any {
	g.fetched++
	state := map[string]any{"text": g.text}
	if g.other != nil {
		state["other"] = g.other
	}
	if r, ok := perspective.(*reader); ok {
		state["text"] = g.text + " for " + r.name
	}
	return state
}

// reader is a perspective.
type reader struct{ name string }

func (r *reader) PerspectiveName() string { return r.name }
func (r *reader) ServiceName() string     { return "reading" }

// keptGazette is the local copy of a gazette.
type keptGazette struct {
	published.Remote
	Text      string `pb:"text"`
	activated int
}

func (k *keptGazette) Activated() {
	k.activated++
	if k.Text == "panic" {
		panic("unreadable")
	}
}

// kiosk gives out gazettes, with and without a perspective.
type kiosk struct {
	flavors.Root
	gazette gazette
	counter counterTop
}

func (k *kiosk) RemoteGet() *gazette { return &k.gazette }

func (k *kiosk) RemoteFor(name string) (*flavors.ViewPoint, error) {
	k.counter.kiosk = k
	var perspective any = &reader{name}
	if name == "" {
		perspective = new(int)
	}
	return flavors.NewViewPoint(perspective, &k.counter)
}

// counterTop gives out gazettes under a perspective.
type counterTop struct {
	flavors.Viewable
	kiosk *kiosk
}

func (c *counterTop) ViewGet(any) *gazette { return &c.kiosk.gazette }

// shelf is a store in memory that refuses to save if it is full.
type shelf struct {
	mu   sync.Mutex
	kept map[published.Key][]byte
	full bool
}

func (s *shelf) Load(key published.Key) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.kept[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

func (s *shelf) Save(key published.Key, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return errors.New("no room")
	}
	if s.kept == nil {
		s.kept = map[published.Key][]byte{}
	}
	s.kept[key] = data
	return nil
}

func (s *shelf) keys() (keys []published.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.kept {
		keys = append(keys, key)
	}
	return keys
}

func gazettes(t *testing.T, store published.Store) broker.Option {
	t.Helper()
	r := jelly.NewRegistry()
	require.NoError(t, published.Register[keptGazette](r, "test.Gazette", store))
	return broker.WithRegistry(r)
}

func newKiosk(t *testing.T) (*kiosk, *pbtest.Server) {
	t.Helper()
	root := &kiosk{}
	root.gazette.id, root.gazette.text = "daily", "first"
	return root, pbtest.NewServer(t, root)
}

// read waits for a gazette and returns its text.
func read(t *testing.T, d *actor.Deferred) (text string, clean bool, err error) {
	t.Helper()
	v, err := published.WhenReady(d).Await(t.Context())
	if err != nil {
		return "", false, err
	}
	err = v.(*flavors.Cached[keptGazette]).View(func(k *keptGazette) {
		text, clean = k.Text, k.WasCleanWhenLoaded()
		require.Equal(t, 1, k.activated)
		require.True(t, k.IsActivated())
	})
	return text, clean, err
}

func TestStoreAcrossSessions(t *testing.T) {
	root, s := newKiosk(t)
	store := &shelf{}
	session := func(wantText string, wantClean bool) {
		t.Helper()
		conn := s.Dial(gazettes(t, store))
		text, clean, err := read(t, conn.Root().CallRemote("get"))
		require.NoError(t, err)
		require.Equal(t, wantText, text)
		require.Equal(t, wantClean, clean)
		require.NoError(t, conn.Close(t.Context()))
	}
	session("first", false)
	session("first", true)
	require.Equal(t, 1, root.gazette.fetched)
	root.gazette.text = "second"
	root.gazette.Republish()
	session("second", false)
	session("second", true)
	root.gazette.RepublishAt(time.Now().Add(-time.Hour)) // The timestamp grows even if the clock was set back.
	session("second", false)
	server := store.keys()[0].Server
	require.Equal(
		t,
		[]published.Key{{Server: server, Service: "None", Perspective: "None", ID: "daily"}},
		store.keys(),
	)
	t.Run("another id in the file", func(t *testing.T) {
		for key, data := range store.kept {
			key.ID = "weekly"
			store.kept[key] = data
		}
		root.gazette.id = "weekly"
		session("second", false)
		session("second", true)
	})
	for what, spoil := range map[string]func([]byte) []byte{
		"torn":      func(b []byte) []byte { return b[:len(b)-1] },
		"more":      func(b []byte) []byte { return append(b, 0x81) },
		"empty":     func([]byte) []byte { return nil },
		"a number":  func([]byte) []byte { return []byte{1, 0x81} },
		"no Banana": func([]byte) []byte { return []byte("<html>") },
	} {
		t.Run(what, func(t *testing.T) {
			for key, data := range store.kept {
				store.kept[key] = spoil(data)
			}
			session("second", false)
			session("second", true)
		})
	}
	t.Run("cannot be stored", func(t *testing.T) {
		store.full = true
		root.gazette.Republish()
		session("second", false)
		session("second", false)
		store.full = false
		root.gazette.other = &referenced{}
		session("second", false)
		session("second", false)
	})
}

func TestNoStore(t *testing.T) {
	root, s := newKiosk(t)
	for range 2 {
		_, clean, err := read(t, s.Dial(gazettes(t, nil)).Root().CallRemote("get"))
		require.NoError(t, err)
		require.False(t, clean)
	}
	require.Equal(t, 2, root.gazette.fetched)
}

func TestPerspectivesKeptApart(t *testing.T) {
	_, s := newKiosk(t)
	store := &shelf{}
	for range 2 {
		for _, name := range []string{"ann", "bob"} {
			conn := s.Dial(gazettes(t, store))
			counter, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "for", name)
			require.NoError(t, err)
			text, _, err := read(t, counter.CallRemote("get"))
			require.NoError(t, err)
			require.Equal(t, "first for "+name, text)
		}
	}
	require.ElementsMatch(t, []published.Key{
		{Server: store.keys()[0].Server, Service: "reading", Perspective: "ann", ID: "daily"},
		{Server: store.keys()[0].Server, Service: "reading", Perspective: "bob", ID: "daily"},
	}, store.keys())
	conn := s.Dial(gazettes(t, store))
	counter, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "for", "")
	require.NoError(t, err)
	_, _, err = read(t, counter.CallRemote("get"))
	require.ErrorContains(t, err, "PerspectiveName")
}

// Servers that share a store never get each other's states, even with the same id and timestamp.
func TestServersShareStore(t *testing.T) {
	store := &shelf{}
	at := time.Unix(1700000000, 0)
	var servers []*pbtest.Server
	for _, text := range []string{"the true page", "forged"} {
		root, s := newKiosk(t)
		root.gazette.text = text
		root.gazette.RepublishAt(at)
		servers = append(servers, s)
	}
	session := func(s *pbtest.Server, wantText string, wantClean bool, opts ...broker.DialOption) {
		t.Helper()
		conn := s.Dial(append(opts, gazettes(t, store))...)
		text, clean, err := read(t, conn.Root().CallRemote("get"))
		require.NoError(t, err)
		require.Equal(t, wantText, text)
		require.Equal(t, wantClean, clean)
		require.NoError(t, conn.Close(t.Context()))
	}
	session(servers[1], "forged", false)
	session(servers[0], "the true page", false)
	session(servers[1], "forged", true)
	session(servers[0], "the true page", true)
	require.Len(t, store.keys(), 2)

	t.Run("one identity, two addresses", func(t *testing.T) {
		named := broker.WithServerIdentity("the true one")
		session(servers[0], "the true page", false, named)
		session(servers[0], "the true page", true, named)
		session(servers[0], "the true page", true)
	})
	t.Run("key without a server", func(t *testing.T) {
		for key, data := range store.kept {
			delete(store.kept, key)
			key.Server = ""
			store.kept[key] = data
		}
		session(servers[0], "the true page", false)
	})
	t.Run("another server's key", func(t *testing.T) {
		session(servers[1], "forged", false)
		mine := published.Key{Server: servers[0].Listener.URL(), Service: "None", Perspective: "None", ID: "daily"}
		theirs := mine
		theirs.Server = servers[1].Listener.URL()
		store.kept[mine] = store.kept[theirs]
		session(servers[0], "the true page", false)
	})
	t.Run("unknown peer", func(t *testing.T) {
		store.kept = nil
		for range 2 {
			sock, err := net.Dial("tcp", servers[0].Listener.Addr().String())
			require.NoError(t, err)
			conn, err := broker.NewClientConn(t.Context(), servers[0].Runtime, sock, gazettes(t, store))
			require.NoError(t, err)
			_, clean, err := read(t, conn.Root().CallRemote("get"))
			require.NoError(t, err)
			require.False(t, clean)
			require.Empty(t, store.keys())
		}
	})
}

// TestPublishedOnWire is P-7.8.
func TestPublishedOnWire(t *testing.T) {
	root, s := newKiosk(t)
	root.gazette.RepublishAt(time.Unix(1000, 500_000_000))
	p := s.Peer()
	p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
	p.Want(
		`[answer 1 ["test.Gazette" 1 [dictionary [[unicode remote] [remote 2]] [[unicode publishedID] [unicode daily]] ` +
			`[[unicode perspective] [unicode None]] [[unicode service] [unicode None]] [[unicode timestamp] 1000.5]]]]`,
	)
	p.Write(`[message 2 2 getStateToPublish 1 [tuple] [dictionary]]`)
	p.Want(`[answer 2 [dictionary [[unicode text] [unicode first]]]]`)
}

// A scripted original sends invalid states or closes the connection.
func TestFetchFails(t *testing.T) {
	const good = `["test.Gazette" 7 [dictionary [[unicode remote] [remote 3]] [[unicode publishedID] 12] ` +
		`[[unicode perspective] [unicode None]] ` +
		`["service" "None"] [[unicode timestamp] 5]]]`
	for name, c := range map[string]struct {
		state string // what the original sends
		fetch func(p *wire.Peer)
		want  string
	}{
		"refused":          {good, func(p *wire.Peer) { p.Write(`[error 2 [unicode closed]]`) }, "closed"},
		"not a dictionary": {good, func(p *wire.Peer) { p.Write(`[answer 2 [list]]`) }, "dictionary"},
		"wrong type":       {good, func(p *wire.Peer) { p.Write(`[answer 2 [dictionary [[unicode text] [list]]]]`) }, "text"},
		"panic": {good, func(p *wire.Peer) {
			p.Write(`[answer 2 [dictionary [[unicode text] [unicode panic]]]]`)
		}, "panicked"},
		"connection ends": {good, func(p *wire.Peer) { p.Close() }, ""},
		"no reference":    {`["test.Gazette" 7 [dictionary [[unicode publishedID] 12]]]`, nil, "remote"},
		"no state":        {`["test.Gazette" 7 [list]]`, nil, "dictionary"},
	} {
		t.Run(name, func(t *testing.T) {
			store := &shelf{}
			conn, p := pbtest.Client(t, gazettes(t, store))
			d := published.WhenReady(conn.Root().CallRemote("get"))
			p.Want(`[message 1 root get 1 [tuple] [dictionary]]`)
			p.Write(`[answer 1 ` + c.state + `]`)
			if c.fetch != nil {
				p.Want(`[message 2 3 getStateToPublish 1 [tuple] [dictionary]]`)
				c.fetch(p.Peer)
			} else {
				go p.Drain()
			}
			_, err := pbtest.Result(t, d)
			require.Error(t, err)
			require.ErrorContains(t, err, c.want)
			if c.fetch != nil && name != "connection ends" {
				go p.Drain()
			}
		})
	}
}

// A published id is a scalar, because a container may contain itself and the id names a file.
func TestPublishedIDIsScalar(t *testing.T) {
	doubled := `[list]`
	for i := range 60 {
		doubled = fmt.Sprintf(`[list [reference %d %s] [dereference %d]]`, i+1, doubled, i+1)
	}
	for name, id := range map[string]string{
		"a list in itself": `[reference 1 [list [dereference 1]]]`,
		"2^60 empty lists": doubled,
		"a tuple":          `[tuple 1]`,
		"a dictionary":     `[dictionary]`,
		"a set":            `[set 1]`,
		"None":             `[None]`,
		"a reference":      `[remote 9]`,
		"a date":           `[date "2026 1 1"]`,
	} {
		t.Run(name, func(t *testing.T) {
			conn, p := pbtest.Client(t, gazettes(t, &shelf{}))
			d := published.WhenReady(conn.Root().CallRemote("get"))
			p.Want(`[message 1 root get 1 [tuple] [dictionary]]`)
			p.Write(`[answer 1 ["test.Gazette" 7 [dictionary [[unicode remote] [remote 3]] [[unicode publishedID] ` + id + `] ` +
				`[[unicode perspective] [unicode None]] [[unicode service] [unicode None]] [[unicode timestamp] 5]]]]`)
			go p.Drain()
			_, err := pbtest.Result(t, d)
			require.ErrorContains(t, err, "publishedID")
		})
	}
}

// station serves a gauge, which is cached but not published.
type station struct {
	flavors.Root
	gauge gauge
}

func (s *station) RemoteGet() *gauge { return &s.gauge }

type gauge struct {
	flavors.Cacheable
	N int `pb:"n"`
}

func (*gauge) TypeToCopy() string { return "test.Gauge" }

type gaugeCopy struct {
	flavors.RemoteCache
	N int `pb:"n"`
}

func TestWhenReadyNotPublished(t *testing.T) {
	v, err := published.WhenReady(actor.Succeeded(5)).Await(t.Context())
	require.NoError(t, err)
	require.Equal(t, 5, v)
	_, err = published.WhenReady(actor.Failed(errRefused)).Await(t.Context())
	require.ErrorIs(t, err, errRefused)
	s := pbtest.NewServer(t, &station{})
	r := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCache[gaugeCopy](r, "test.Gauge"))
	v, err = published.WhenReady(s.Dial(broker.WithRegistry(r)).Root().CallRemote("get")).Await(t.Context())
	require.NoError(t, err)
	require.IsType(t, &flavors.Cached[gaugeCopy]{}, v, "any other copy is ready at once")
}

func TestPublishedIDMissing(t *testing.T) {
	root := &nameless{}
	s := pbtest.NewServer(t, root)
	_, err := flavors.Call[any](t.Context(), s.Dial().Root(), "get")
	require.ErrorContains(t, err, "PublishedID")
}

// referenced is sent by reference and cannot be stored.
type referenced struct{ flavors.Referenceable }

type nameless struct {
	flavors.Root
	page struct {
		published.Publishable
		X int `pb:"x"`
	}
}

func (n *nameless) RemoteGet() any { return &n.page }

// fussyGazette is a copy whose code fails when its state is set.
type fussyGazette struct{ published.Remote }

// fussy is how the copies of the present test fail.
var fussy atomic.Pointer[fussiness]

type fussiness struct{ set, activate func() }

func (*fussyGazette) SetPublishedState(any) error { fussy.Load().set(); return nil }
func (*fussyGazette) Activated()                  { fussy.Load().activate() }

// rudeStore is a store whose methods panic.
type rudeStore struct{}

func (rudeStore) Load(published.Key) ([]byte, error) { panic("Load") }
func (rudeStore) Save(published.Key, []byte) error   { panic("Save") }

// If the copy's code fails, WhenActivated fails and the copy is stale. If the store fails, the state is fetched.
func TestUserCodeFails(t *testing.T) {
	nothing := func() {}
	for name, fail := range map[string]func(){"panics": func() { panic("no") }, "exits": runtime.Goexit} {
		for where, f := range map[string]*fussiness{"SetPublishedState": {fail, nothing}, "Activated": {nothing, fail}} {
			t.Run(where+" "+name, func(t *testing.T) {
				_, s := newKiosk(t)
				r := jelly.NewRegistry()
				require.NoError(t, published.Register[fussyGazette](r, "test.Gazette", &shelf{}))
				fussy.Store(f)
				conn := s.Dial(broker.WithRegistry(r))
				c, err := flavors.Call[*flavors.Cached[fussyGazette]](t.Context(), conn.Root(), "get")
				require.NoError(t, err)
				_, err = published.WhenActivated(c).Await(t.Context())
				require.Error(t, err)
				_, err = c.WhenStale().Await(t.Context())
				require.Error(t, err)
				_, stale := c.Stale()
				require.True(t, stale)
			})
		}
	}
	t.Run("store panics", func(t *testing.T) {
		_, s := newKiosk(t)
		for range 2 {
			text, clean, err := read(t, s.Dial(gazettes(t, rudeStore{})).Root().CallRemote("get"))
			require.NoError(t, err)
			require.Equal(t, "first", text)
			require.False(t, clean)
		}
	})
}

func TestTimestampGrows(t *testing.T) {
	var p struct{ published.Publishable }
	first := p.Timestamp()
	require.InDelta(t, first, p.Timestamp(), 0)
	last := first
	for range 1000 {
		p.Republish()
		require.Greater(t, p.Timestamp(), last)
		last = p.Timestamp()
	}
}
