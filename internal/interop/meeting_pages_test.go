package interop

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
)

// shelf sends pages to its callers.
type shelf struct {
	flavors.Referenceable
	data []byte
}

func (s *shelf) RemotePages(collector *flavors.RemoteReference) *actor.Deferred {
	return paging.Send(collector, paging.FromBytes(s.data, 1000))
}

func (s *shelf) RemoteWritten(inv *flavors.Invocation, collector *flavors.RemoteReference) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	inv.Conn().Runtime().Go("writing pages", func() {
		w := paging.NewWriter(inv.Context(), collector, 1000, nil)
		_, err := io.Copy(w, bytes.NewReader(s.data))
		d.Complete(nil, errors.Join(err, w.Close()))
	})
	return d
}

func (*shelf) RemoteRefuse(*flavors.RemoteReference) error { return errCustom.New("no pages today") }

// patternOf returns the bytes that the method pages sends.
func patternOf(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func pageChecks() []clientCheck {
	return []clientCheck{
		{"pages", "all pages", func(t *testing.T, m *meeting) {
			for _, of := range []struct{ size, chunk int }{{0, 10}, {1, 10}, {10, 10}, {11, 10}, {300_000, 1000},
				{2_000_000, 640 << 10}} {
				pages, err := paging.GetAll(t.Context(), m.conn.Root(), "pages", of.size, of.chunk)
				require.NoError(t, err)
				var whole []byte
				for _, p := range pages {
					whole = append(whole, p.([]byte)...)
				}
				assert.True(t, bytes.Equal(patternOf(of.size), whole), "%d bytes by %d", of.size, of.chunk)
			}
		}},
		{"pages", "as a reader", func(t *testing.T, m *meeting) {
			r := paging.Open(t.Context(), m.conn.Root(), "pages", 500_000, 999)
			require.NoError(t, iotest.TestReader(r, patternOf(500_000)))
			require.NoError(t, r.Close())
			assert.EqualValues(t, 500_000, r.Received())
		}},
		{"pages", "to the server's collector", func(t *testing.T, m *meeting) {
			for _, size := range []int{0, 1, 1000, 300_001} {
				for _, method := range []string{"pages", "written"} {
					assert.Equal(t, size, call[int](t, m.conn, "collect", &shelf{data: patternOf(size)}, method))
				}
			}
		}},
		{"pages", "that are refused", func(t *testing.T, m *meeting) {
			_, err := flavors.Call[any](t.Context(), m.conn.Root(), "collect", &shelf{}, "refuse")
			require.ErrorIs(t, err, errCustom)
		}},
		{"pages", "other calls go on", func(t *testing.T, m *meeting) {
			r := paging.Open(t.Context(), m.conn.Root(), "pages", 3_000_000, 4096)
			for range 100 {
				require.Equal(t, 11, call[int](t, m.conn, "add", 1))
			}
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			assert.Len(t, got, 3_000_000)
			require.NoError(t, r.Close())
		}},
	}
}
