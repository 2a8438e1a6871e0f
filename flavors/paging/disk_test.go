package paging_test

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/require"
)

// fullDisk returns a file on a full disk.
func fullDisk(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("SKIPPED, NOT PASSED, WITHOUT A FULL DISK: %v", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// vault writes pages to a disk.
type vault struct {
	flavors.Root
	disk  *os.File
	ended chan error
}

func (a *vault) RemoteStore() any {
	return paging.NewCollector(func(page any) error {
		_, err := a.disk.Write(page.([]byte))
		return err
	}, func(err error) { a.ended <- err })
}

func (*vault) RemoteAdd(x, y int) int { return x + y }

// Both the writer and the collector get the receiver's disk error, and the connection survives.
func TestReceiverDiskFull(t *testing.T) {
	a := &vault{disk: fullDisk(t), ended: make(chan error, 2)}
	s := newServer(t, a)
	conn := s.Dial()
	collector, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "store")
	require.NoError(t, err)
	w := paging.NewWriter(t.Context(), collector, 1000, nil)
	_, err = w.Write(make([]byte, 100_000))
	err = errors.Join(err, w.Close())
	require.ErrorContains(t, err, "no space left on device")
	require.ErrorIs(t, <-a.ended, syscall.ENOSPC)
	n, err := flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
	require.NoError(t, err)
	require.Equal(t, 3, n)
}

// The reader's disk error ends its copy, and the unread pages block nothing.
func TestReaderDiskFull(t *testing.T) {
	l := &library{book: book(1 << 20)}
	conn := enterLibrary(t, l)
	r := paging.Open(t.Context(), conn.Root(), "page", 1000)
	// The struct hides the file's ReadFrom.
	_, err := io.Copy(struct{ io.Writer }{fullDisk(t)}, r)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, paging.ErrEnded)
	pages, err := paging.GetAll(t.Context(), conn.Root(), "page", 100_000)
	require.NoError(t, err, "the connection survives")
	require.Len(t, pages, 11)
}

// A directory opens like a file and fails when it is read.
func TestSenderDiskFails(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	require.NoError(t, err)
	defer dir.Close()
	conn, p := pbtest.Client(t)
	collector := pbtest.Receive(t, conn, p, 7)
	d := paging.Send(collector, paging.FromReader(dir, 0))
	p.Want(`[message _ 7 pagingFailed 0 _ _]`)
	require.ErrorIs(t, errorOf(d), syscall.EISDIR)
}
