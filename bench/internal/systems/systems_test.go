package systems

import (
	"bytes"
	"context"
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAddAndEcho(t *testing.T) {
	ctx := context.Background()
	for _, s := range All() {
		if s.Script != "" {
			continue
		}
		if raceDetector && s.Name == "protoactor" {
			continue // protoactor's remote package has data races; without the detector it is tested.
		}
		t.Run(s.Name, func(t *testing.T) {
			addr, err := s.Serve()
			require.NoError(t, err)
			c, err := s.Dial(ctx, addr)
			require.NoError(t, err)
			sum, err := c.Add(ctx, 40, 2)
			require.NoError(t, err)
			assert.Equal(t, 42, sum)
			payload := bytes.Repeat([]byte("payload "), 64<<10)
			echo, err := c.Echo(ctx, payload)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(payload, echo))
			confirmer, ok := c.(load.Confirmer)
			require.Equal(t, s.Structs, ok)
			if ok {
				order := load.Order{Customer: "Rosmerta", Number: 7, Price: 2.5, Items: map[string]int{"mead": 3}}
				confirmed, err := confirmer.Confirm(ctx, order)
				require.NoError(t, err)
				assert.Equal(t, order.Confirmed(), confirmed)
			}
			require.NoError(t, c.Close())
		})
	}
}

func TestExportHoldWatchCache(t *testing.T) {
	ctx := context.Background()
	s, ok := ByName("ours")
	require.True(t, ok)
	addr, err := s.Serve()
	require.NoError(t, err)
	c, err := s.Dial(ctx, addr)
	require.NoError(t, err)

	exporter, ok := c.(Exporter)
	require.True(t, ok)
	handles, err := exporter.Export(ctx, exportBatch+1)
	require.NoError(t, err)
	assert.Equal(t, exportBatch+1, handles.Len())
	sum, err := handles.Add(ctx, exportBatch, 40, 2)
	require.NoError(t, err)
	assert.Equal(t, 42, sum)
	handles.Release()

	holder, ok := c.(Holder)
	require.True(t, ok)
	release, err := holder.Hold(ctx, 150)
	require.NoError(t, err)
	require.NoError(t, release())

	watcher, ok := c.(Watcher)
	require.True(t, ok)
	seen := make(chan int, 1)
	require.NoError(t, watcher.Watch(ctx, func(n int) { seen <- n }))
	require.NoError(t, watcher.Change(ctx, 7))
	assert.Equal(t, 7, <-seen)

	cacher, ok := c.(Cacher)
	require.True(t, ok)
	copies, err := cacher.Cache(ctx, 3)
	require.NoError(t, err)
	assert.Len(t, copies, 3)
	require.NoError(t, c.Close())
}

// A full run of -memory or -growth needs more of each than the default limits allow.
func TestRaisedLimits(t *testing.T) {
	ctx := context.Background()
	s, _ := ByName("ours")
	addr, err := s.Serve()
	require.NoError(t, err)
	c, err := s.Dial(ctx, addr)
	require.NoError(t, err)
	handles, err := c.(Exporter).Export(ctx, 20_000) // The default limits are 1,024 exports and 16,384 imports.
	require.NoError(t, err)
	_, err = handles.Add(ctx, 19_999, 1, 2)
	require.NoError(t, err)
	handles.Release()
	require.NoError(t, c.Close())
}
