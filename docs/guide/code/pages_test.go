package code

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
)

//guide:begin send

// Shelf sends files in pages.
type Shelf struct {
	flavors.Root
	dir *os.Root // a peer chooses the name: keep it inside one directory
}

func (s *Shelf) RemoteRead(collector *flavors.RemoteReference, name string) (*actor.Deferred, error) {
	file, err := s.dir.Open(name)
	if err != nil {
		return nil, err
	}
	sent := paging.Send(collector, paging.FromReader(file, 0))
	sent.OnComplete(func(any, error) { _ = file.Close() })
	return sent, nil
}

//guide:end

//guide:begin receive

// download writes a peer's file. It holds a few megabytes of it at most.
func download(ctx context.Context, shelf *flavors.RemoteReference, name string, to io.Writer) error {
	pages := paging.Open(ctx, shelf, "read", name)
	defer pages.Close()
	_, err := io.Copy(to, pages)
	return err
}

//guide:end

//guide:begin upload

// RemoteWrite returns the collector to which the peer sends a file. ctx ends with the peer's connection.
func (s *Shelf) RemoteWrite(ctx context.Context, name string) (any, error) {
	file, err := s.dir.Create(name)
	if err != nil {
		return nil, err
	}
	pages := paging.NewReader(0)
	pages.EndWith(ctx) // or a peer that goes early would leave the goroutine waiting

	go func() { // a method must not wait, so another goroutine reads
		_, err := io.Copy(file, pages)
		_ = pages.Close() // after an error the peer's Writer fails
		if closed := file.Close(); err == nil && closed != nil {
			err = closed
		}
		s.written(name, err)
	}()
	return pages.Collector(), nil
}

func upload(ctx context.Context, shelf *flavors.RemoteReference, name string, from io.Reader) error {
	collector, err := flavors.Call[*flavors.RemoteReference](ctx, shelf, "write", name)
	if err != nil {
		return err
	}
	pages := paging.NewWriter(ctx, collector, 0, nil)
	if _, err := io.Copy(pages, from); err != nil {
		pages.CloseWithError(err)
		return err
	}
	return pages.Close() // returns when the peer has taken everything
}

//guide:end

var fileWritten = make(chan error, 1)

func (*Shelf) written(_ string, err error) { fileWritten <- err }

// TestPages sends files in both directions, and to Python.
func TestPages(t *testing.T) {
	dir := t.TempDir()
	text := bytes.Repeat([]byte("It was a dark and stormy night. "), 30_000)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "novel"), text, 0o600))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	rt := pbtest.NewRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Shelf{dir: root})
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)

	var got bytes.Buffer
	require.NoError(t, download(t.Context(), conn.Root(), "novel", &got))
	assert.Equal(t, text, got.Bytes())
	require.Error(t, download(t.Context(), conn.Root(), "../novel", io.Discard))

	require.NoError(t, upload(t.Context(), conn.Root(), "copy", bytes.NewReader(text)))
	require.NoError(t, <-fileWritten)
	written, err := os.ReadFile(filepath.Join(dir, "copy"))
	require.NoError(t, err)
	assert.Equal(t, text, written)

	leaver, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), leaver.Root(), "write", "never")
	require.NoError(t, err)
	require.NoError(t, leaver.Close(t.Context()))
	require.Error(t, <-fileWritten)

	t.Run("Python", func(t *testing.T) {
		stock.Require(t)
		client := stock.Start(t, "pages.py", "call", ln.Addr().String())
		client.WaitLine("960000 bytes")
		assert.Zero(t, client.Exit())

		server := stock.Start(t, "pages.py", "serve", "0")
		conn, err := broker.Dial(t.Context(), rt, "pb://"+server.Addr())
		require.NoError(t, err)
		got.Reset()
		require.NoError(t, download(t.Context(), conn.Root(), "novel", &got))
		assert.Equal(t, 960_000, got.Len())
	})
}

//guide:begin lent

// Album keeps pictures in memory.
type Album struct {
	flavors.Root
	pictures map[string][]byte
}

// RemotePut is lent the picture until it returns, so it keeps a copy.
func (a *Album) RemotePut(name string, picture *flavors.Lent) {
	a.pictures[name] = bytes.Clone(picture.Bytes())
}

// RemoteGet sends the picture from where it is. It must not change while it is sent, so nobody changes pictures.
func (a *Album) RemoteGet(name string) *flavors.Lent { return flavors.Lend(a.pictures[name]) }

func show(ctx context.Context, album *flavors.RemoteReference, name string, to io.Writer) error {
	picture, err := flavors.Call[*flavors.Lent](ctx, album, "get", name)
	if err != nil {
		return err
	}
	defer picture.Release() // picture.Bytes() must not be used afterwards
	_, err = to.Write(picture.Bytes())
	return err
}

//guide:end

func TestAlbum(t *testing.T) {
	conn, leave := pbtest.Visit(&Album{pictures: map[string][]byte{}})
	defer leave()
	album := conn.Root()
	picture := bytes.Repeat([]byte("picture"), 50_000)
	for range 3 {
		_, err := flavors.Call[any](t.Context(), album, "put", "sunset", picture)
		require.NoError(t, err)
		var shown bytes.Buffer
		require.NoError(t, show(t.Context(), album, "sunset", &shown))
		require.True(t, bytes.Equal(picture, shown.Bytes()))
	}
}
