package service

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("PB_LOCK"); dir != "" {
		if _, err := Lock(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("locked")
		select {} // until it is killed
	}
	os.Exit(m.Run())
}

// A lock ends with its process, however that ends.
func TestLockEnds(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "PB_LOCK="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	word := make([]byte, len("locked"))
	_, err = out.Read(word)
	require.NoError(t, err)
	require.Equal(t, "locked", string(word))
	_, err = Lock(dir)
	require.ErrorIs(t, err, ErrLocked)
	assert.ErrorContains(t, err, fmt.Sprintf("process %d", cmd.Process.Pid))
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	unlock, err := Lock(dir)
	require.NoError(t, err)
	unlock()
	unlock, err = Lock(dir)
	require.NoError(t, err)
	unlock()
}

func TestLockNowhere(t *testing.T) {
	_, err := Lock(filepath.Join(t.TempDir(), "no", "directory"))
	assert.ErrorContains(t, err, "locking the base directory")
}

// manager receives what systemd would.
func manager(t *testing.T, name string) *net.UnixConn {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	return conn
}

func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	require.NoError(t, err)
	return string(buf[:n])
}

func TestNotify(t *testing.T) {
	names := []string{filepath.Join(t.TempDir(), "notify")}
	if abstract := "@pb-notify-" + filepath.Base(t.TempDir()) + fmt.Sprint(os.Getpid()); hasAbstract {
		names = append(names, abstract)
	}
	for _, name := range names {
		conn := manager(t, name)
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", "3000000")
		t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
		n := NewNotifier()
		for _, gone := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
			_, set := os.LookupEnv(gone)
			assert.False(t, set, gone)
		}
		assert.Equal(t, 3*time.Second, n.Watchdog())
		n.Ready("connecting")
		assert.Equal(t, "READY=1\nSTATUS=connecting", receive(t, conn))
		n.Alive()
		assert.Equal(t, "WATCHDOG=1", receive(t, conn))
		n.Status("attached")
		assert.Equal(t, "STATUS=attached", receive(t, conn))
		n.Stopping()
		assert.Equal(t, "STOPPING=1\nSTATUS=shutting down", receive(t, conn))
		conn.Close()
		n.Alive() // to nobody
	}
}

func TestNoNotify(t *testing.T) {
	for _, env := range [][3]string{
		{"", "3000000", ""}, {"@nobody", "x", ""}, {"@nobody", "-1", ""}, {"@nobody", "5", "1"},
	} {
		t.Setenv("NOTIFY_SOCKET", env[0])
		t.Setenv("WATCHDOG_USEC", env[1])
		t.Setenv("WATCHDOG_PID", env[2])
		n := NewNotifier()
		assert.Zero(t, n.Watchdog(), env)
		n.Ready("x")
	}
}

func TestLogRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "twistd.log")
	var backup bytes.Buffer
	log := OpenLog(path, 1000, 2, &backup)
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for range 5 * 1024 {
		_, err := log.Write(line)
		require.NoError(t, err)
	}
	require.NoError(t, log.Close())
	assert.Empty(t, backup.String())
	about, err := os.Stat(path)
	require.NoError(t, err)
	assert.LessOrEqual(t, about.Size(), int64(1<<20))
	// Old files are removed in the background.
	assert.Eventually(t, func() bool {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
		return err == nil && len(files) == 3
	}, 30*time.Second, 10*time.Millisecond)
}

func TestLogFallsBack(t *testing.T) {
	var backup bytes.Buffer
	log := OpenLog("/dev/full", 1000, 2, &backup)
	for _, line := range []string{"one\n", "two\n"} {
		n, err := log.Write([]byte(line))
		require.NoError(t, err)
		assert.Equal(t, len(line), n)
	}
	_ = log.Close()
	assert.Equal(t, "one\ntwo\n", backup.String())
}
