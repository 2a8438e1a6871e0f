//go:build unix

package broker_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/stretchr/testify/require"
)

// setUmask sets the umask of the process until the test ends.
func setUmask(t *testing.T, mask int) {
	t.Helper()
	before := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(before) })
}

func permissions(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	return info.Mode().Perm()
}

func TestSocketMode(t *testing.T) {
	for _, c := range []struct {
		umask      int
		opts       []broker.ListenOption
		permission fs.FileMode
	}{
		{0o022, nil, 0o755},
		{0o077, nil, 0o700},
		{0, []broker.ListenOption{broker.WithSocketMode(0o600)}, 0o600},
		{0o077, []broker.ListenOption{broker.WithSocketMode(0o666)}, 0o666},
		{0o022, []broker.ListenOption{broker.WithSocketMode(0o660)}, 0o660},
		{0o777, []broker.ListenOption{broker.WithSocketMode(0o777)}, 0o777},
		{0, []broker.ListenOption{broker.WithSocketMode(0)}, 0},
	} {
		path := filepath.Join(t.TempDir(), "pb")
		setUmask(t, c.umask)
		ln, err := broker.Listen(newRuntime(t), "pb+unix://"+path, &service{}, c.opts...)
		setUmask(t, 0o022)
		require.NoError(t, err)
		require.Equal(t, c.permission, permissions(t, path))
		require.Equal(t, "pb+unix://"+path, ln.URL())
		if c.permission&0o200 != 0 {
			conn, err := broker.Dial(t.Context(), newRuntime(t), ln.URL())
			require.NoError(t, err)
			require.NoError(t, conn.Close(t.Context()))
		}
		require.NoError(t, ln.Close())
		require.NoFileExists(t, path)
	}
}

// The socket never has more permissions than its mode, whatever the umask.
func TestSocketModeWhileBinding(t *testing.T) {
	setUmask(t, 0)
	path := filepath.Join(t.TempDir(), "pb")
	over, seen := make(chan struct{}), make(chan fs.FileMode, 1)
	go func() {
		var widest fs.FileMode
		defer func() { seen <- widest }()
		for {
			select {
			case <-over:
				return
			default:
			}
			if info, err := os.Lstat(path); err == nil {
				widest |= info.Mode().Perm()
			}
		}
	}()
	rt := newRuntime(t)
	for range 200 {
		ln, err := broker.Listen(rt, "pb+unix://"+path, &service{}, broker.WithSocketMode(0o600))
		require.NoError(t, err)
		require.NoError(t, ln.Close())
	}
	close(over)
	require.Zero(t, <-seen&^0o600)
}

func TestSocketModeRefused(t *testing.T) {
	rt := newRuntime(t)
	path := filepath.Join(t.TempDir(), "pb")
	_, err := broker.Listen(rt, "pb://127.0.0.1:0", &service{}, broker.WithSocketMode(0o600))
	require.ErrorContains(t, err, "pb+unix")
	_, err = broker.ListenOn(rt, newPipeListener(), &service{}, broker.WithSocketMode(0o600))
	require.ErrorContains(t, err, "pb+unix")
	_, err = broker.Listen(rt, "pb+unix://"+path, &service{}, broker.WithSocketMode(fs.ModeSetuid|0o600))
	require.ErrorContains(t, err, "0o660")
	require.NoFileExists(t, path)
}

// A stale socket is replaced. One that is in use is not.
func TestSocketModeReplacesStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pb")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	left.SetUnlinkOnClose(false)
	require.NoError(t, left.Close())
	mode := broker.WithSocketMode(0o640)
	ln, err := broker.Listen(newRuntime(t), "pb+unix://"+path, &service{}, mode)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), permissions(t, path))
	_, err = broker.Listen(newRuntime(t), "pb+unix://"+path, &service{}, mode)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	_, err = broker.Dial(t.Context(), newRuntime(t), ln.URL())
	require.NoError(t, err)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left beside it")
}
