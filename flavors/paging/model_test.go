package paging_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestWriterModel writes, pages and reads in random sizes and ends in a random way. The model: the bytes read are a
// prefix of the bytes written. If the writer was closed they are all of them, followed by io.EOF. Otherwise an error
// with the cause follows.
func TestWriterModel(t *testing.T) {
	l := &library{}
	conn := enterLibrary(t, l)
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.SampledFrom([]int{1, 100, 5_000, 0}).Draw(rt, "buffer")
		collector := deposit(t, conn, limit)
		reader := l.taken
		pieces := rapid.SliceOfN(rapid.IntRange(0, 3_000), 0, 12).Draw(rt, "pieces")
		pageSize := rapid.IntRange(1, 2_000).Draw(rt, "page size")
		end := rapid.SampledFrom([]string{"close", "fail", "cancel", "stop reading"}).Draw(rt, "end")
		readSize := rapid.IntRange(1, 4_000).Draw(rt, "read size")

		total := 0
		for _, n := range pieces {
			total += n
		}
		want := book(total)
		stopAt := total + 1
		if end == "stop reading" {
			stopAt = rapid.IntRange(0, total).Draw(rt, "stop at")
		}
		written := make(chan error, 1)
		progress := int64(0)
		go func() { written <- write(t.Context(), collector, pageSize, want, pieces, end, &progress) }()

		got, err := readUpTo(reader, readSize, stopAt)
		if end == "stop reading" && err == nil {
			require.NoError(rt, reader.Close())
		}
		writeErr := <-written
		_ = reader.Close()
		require.True(rt, bytes.HasPrefix(want, got), "the bytes read are not a prefix of the bytes written")
		require.NoError(rt, collector.Conn().Context().Err(), "the connection survives")
		switch end {
		case "close":
			require.NoError(rt, writeErr)
			require.ErrorIs(rt, err, io.EOF)
			require.Len(rt, got, total)
			require.EqualValues(rt, total, progress)
		case "fail":
			require.ErrorContains(rt, err, "out of ink")
		case "cancel":
			require.ErrorContains(rt, writeErr, "time to go")
			require.ErrorContains(rt, err, "time to go")
		case "stop reading":
			// The writer gets no error if everything was answered before.
			if writeErr != nil {
				require.ErrorContains(rt, writeErr, "nobody reads any more")
			}
		}
		collector.Release()
	})
	assert.NoError(t, conn.Root().Err())
}

// write writes data in pieces and ends in the given way.
func write(
	ctx context.Context,
	collector *flavors.RemoteReference,
	pageSize int,
	data []byte,
	pieces []int,
	end string,
	progress *int64,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := paging.NewWriter(ctx, collector, pageSize, func(n int64) { *progress = n })
	for _, n := range pieces {
		m, err := w.Write(data[:n])
		data = data[m:]
		if err != nil {
			return errors.Join(err, w.Close())
		}
	}
	switch end {
	case "fail":
		w.CloseWithError(errors.New("out of ink"))
		return nil
	case "cancel":
		cancel(errors.New("time to go"))
	}
	return w.Close()
}

// readUpTo reads until an error, or until it has at least most bytes.
func readUpTo(r io.Reader, size, most int) (got []byte, err error) {
	buf := make([]byte, size)
	for len(got) < most {
		n, err := r.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

// TestPagerModel compares both pagers with slices of the data.
func TestPagerModel(t *testing.T) {
	conn := enterLibrary(t, &library{})
	rapid.Check(t, func(rt *rapid.T) {
		data := book(rapid.IntRange(0, 20_000).Draw(rt, "size"))
		size := rapid.IntRange(50, 7_000).Draw(rt, "page size")
		_, err := flavors.Call[any](t.Context(), conn.Root(), "lend", data)
		require.NoError(rt, err)
		var want [][]byte
		for rest := data; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			want = append(want, rest[:min(size, len(rest))])
		}
		for _, method := range []string{"page", "shelved"} {
			pages, err := paging.GetAll(t.Context(), conn.Root(), method, size)
			require.NoError(rt, err)
			require.Len(rt, pages, len(want))
			for i, p := range pages {
				require.True(rt, bytes.Equal(want[i], p.([]byte)), "page %d of %s", i, method)
			}
		}
	})
}
