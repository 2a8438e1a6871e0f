package interop

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/published"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/perspectivebroker/pb/internal/wire"
)

// page is the Publishable of python/pages.py in Go.
type page struct {
	published.Publishable
	text    string
	fetched atomic.Int64
}

func (*page) TypeToCopy() string  { return "pages.Page" }
func (*page) PublishedID() string { return "front" }

func (p *page) StateToPublish() any {
	p.fetched.Add(1)
	return map[string]string{"text": p.text}
}

// press publishes a page.
type press struct {
	flavors.Root
	page page
}

func (p *press) RemoteGetPage() *page { return &p.page }

// remotePage is a published copy.
type remotePage struct {
	published.Remote
	Text string `pb:"text"`
}

// TestStockKeepsPublished runs several sessions of a stock client with our original.
func TestStockKeepsPublished(t *testing.T) {
	stock.Require(t)
	root := &press{}
	root.page.text = "first"
	ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", root)
	require.NoError(t, err)
	kept, scripts := t.TempDir(), unpack(t)
	session := func(want string, fetched int64) {
		t.Helper()
		client := stock.Start(t, filepath.Join(scripts, "publish_client.py"), ln.Addr().String(), kept)
		assert.Contains(t, client.WaitLine("page"), want)
		assert.Equal(t, 0, client.Exit())
		assert.Equal(t, fetched, root.page.fetched.Load())
	}
	session("page first 0", 1)
	assert.FileExists(t, filepath.Join(kept, "None-None-front.pub"))
	session("page first 1", 1)
	_, err = flavors.Update(&root.page, func(flavors.Observers) {
		root.page.text = "second"
		root.page.Republish()
	}).Await(t.Context())
	require.NoError(t, err)
	session("page second 0", 2)
	session("page second 1", 2)
}

// TestKeepStockPublished runs several sessions of our client with a stock original.
func TestKeepStockPublished(t *testing.T) {
	stock.Require(t)
	server := stock.Start(t, filepath.Join(unpack(t), "publish_server.py"))
	dir := t.TempDir()
	session := func(text string, clean bool, fetched int, then ...any) {
		t.Helper()
		store, err := published.NewDir(dir)
		require.NoError(t, err)
		registry := jelly.NewRegistry()
		require.NoError(t, published.Register[remotePage](registry, "pages.Page", store))
		conn, err := broker.Dial(
			t.Context(),
			newRuntime(t),
			"pb://"+server.Addr(),
			broker.WithRegistry(registry),
			broker.WithServerIdentity("stock"),
		)
		require.NoError(t, err)
		v, err := published.WhenReady(conn.Root().CallRemote("getPage")).Await(t.Context())
		require.NoError(t, err)
		require.NoError(t, v.(*flavors.Cached[remotePage]).View(func(p *remotePage) {
			assert.Equal(t, text, p.Text)
			assert.Equal(t, clean, p.WasCleanWhenLoaded())
			assert.True(t, p.IsActivated())
		}))
		assert.Equal(t, fetched, call[int](t, conn, "fetched"))
		if len(then) > 0 {
			call[any](t, conn, then[0].(string), then[1:]...)
		}
		require.NoError(t, conn.Close(t.Context()))
	}
	session("first", false, 1)
	assert.FileExists(t, filepath.Join(dir, "stock-None-None-front.pub"))
	session("first", true, 1, "write", "second")
	session("second", false, 2)
	session("second", true, 2, "setBack", "third")
	session("third", false, 3) // Not newer, but different: stock fetches it too.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "stock-None-None-front.pub"), []byte("torn"), 0o600))
	session("third", false, 4)
	session("third", true, 4)
}

// original is a Cacheable of a class that the stock server knows.
type original struct {
	flavors.Cacheable
	gone atomic.Int64
}

func (*original) TypeToCopy() string                        { return "conformance.Pond" }
func (*original) StateToCopy() any                          { return []any{1, 2} }
func (o *original) StoppedObserving(any, *flavors.Observer) { o.gone.Add(1) }

// TestStockReturnsOriginal makes a stock method return an original to which it has no other reference.
func TestStockReturnsOriginal(t *testing.T) {
	server := Server(t)
	conn, err := broker.Dial(t.Context(), newRuntime(t), "pb://"+server.Addr())
	require.NoError(t, err)
	mine := &original{}
	var under []*actor.Deferred
	for range 50 {
		under = append(under, conn.Root().CallRemote("echo", mine))
	}
	for _, d := range under {
		v, err := d.Await(t.Context())
		require.NoError(t, err)
		require.Same(t, mine, v)
	}
	for range 50 {
		v, err := conn.Root().CallRemote("echo", mine).Await(t.Context())
		require.NoError(t, err)
		require.Same(t, mine, v)
	}
	require.Eventually(t, func() bool {
		call[any](t, conn, "stats") // It collects garbage.
		observers := -1
		_, err := flavors.Update(mine, func(o flavors.Observers) { observers = o.Len() }).Await(t.Context())
		require.NoError(t, err)
		return observers == 0
	}, stock.Timeout, time.Millisecond)
	require.Positive(t, mine.gone.Load())
}

// TestStockDecachesBeforeReturn shows why an original can be resolved for a while after its decache.
func TestStockDecachesBeforeReturn(t *testing.T) {
	peer := wire.Connect(t, Server(t).Addr())
	peer.Join()
	peer.Write(`[message 1 root echo 1 [tuple ["conformance.Pond" 9 [list]]] [dictionary]]`)
	peer.Want(`[decache 9]`, `[answer 1 [lcache 9]]`)
}
