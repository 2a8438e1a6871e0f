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
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
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

// fillLog writes a log of three files and a bit. Each file has ten lines.
func fillLog(t *testing.T, path string, count int) {
	t.Helper()
	var backup bytes.Buffer
	log := OpenLog(path, 100, count, &backup)
	for i := range 35 {
		_, err := fmt.Fprintf(log, "line %4d\n", i)
		require.NoError(t, err)
	}
	require.NoError(t, log.Close())
	assert.Empty(t, backup.String())
}

func readLog(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func TestLogRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "twistd.log")
	fillLog(t, path, 2)
	assert.True(t, strings.HasPrefix(readLog(t, path), "line   30\n"))
	assert.True(t, strings.HasPrefix(readLog(t, path+".1"), "line   20\n"))
	assert.True(t, strings.HasSuffix(readLog(t, path+".2"), "line   19\n"))
	assert.NoFileExists(t, path+".3")
	fillLog(t, path, 2) // goes on with the file that is there
	assert.Len(t, readLog(t, path), 100)
	assert.True(t, strings.HasPrefix(readLog(t, path), "line   25\n"))
	assert.NoFileExists(t, path+".3")
}

func TestLogKeepsAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "twistd.log")
	fillLog(t, path, 0)
	fillLog(t, path, 0)
	all := ""
	for _, suffix := range []string{".6", ".5", ".4", ".3", ".2", ".1", ""} {
		all += readLog(t, path+suffix)
	}
	assert.Equal(t, 70, strings.Count(all, "\n"))
}

// TestLogAfterClockStep goes on with the stock worker's files, whose times are wrong: they keep their order.
func TestLogAfterClockStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "twistd.log")
	future := time.Now().AddDate(10, 0, 0)
	for _, suffix := range []string{"", ".1", ".2"} {
		require.NoError(t, os.WriteFile(path+suffix, []byte("old"+suffix+"\n"), 0o640))
		require.NoError(t, os.Chtimes(path+suffix, future, future))
	}
	fillLog(t, path, 5)
	for suffix, begin := range map[string]string{
		"": "line   29\n", ".1": "line   19\n", ".2": "line    9\n", ".3": "old\n", ".4": "old.1\n", ".5": "old.2\n",
	} {
		assert.True(t, strings.HasPrefix(readLog(t, path+suffix), begin), "%s: %s", suffix, readLog(t, path+suffix))
	}
	about, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), about.Mode().Perm(), "that of the earlier file")
}

// TestLogCannotRotate lets the file grow, since nothing may be lost.
func TestLogCannotRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "twistd.log")
	require.NoError(t, os.MkdirAll(filepath.Join(path+".1", "full"), 0o755))
	fillLog(t, path, 1)
	assert.Equal(t, 35, strings.Count(readLog(t, path), "\n"))
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
