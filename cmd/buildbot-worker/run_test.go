//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/service"
	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/tac"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// settings are those of a worker of this master, for its buildbot.tac.
func (m *testMaster) settings() tac.Settings {
	u, err := url.Parse(m.url)
	require.NoError(m.t, err)
	port, err := strconv.Atoi(u.Port())
	require.NoError(m.t, err)
	return tac.Settings{Host: u.Hostname(), Port: port, Name: "w", Password: "sesame", Keepalive: time.Minute}
}

// writeTac writes the buildbot.tac into the base directory.
func (m *testMaster) writeTac(s tac.Settings, more ...string) {
	text := append(tac.Write(s), strings.Join(more, "\n")...)
	require.NoError(m.t, os.WriteFile(filepath.Join(m.base, tacName), text, 0o600))
}

// end waits until the worker has ended.
func (m *testMaster) end() error {
	m.t.Helper()
	select {
	case err := <-m.ended:
		return err
	case <-after(m.t):
		m.t.Fatal("the worker does not end")
		return nil
	}
}

func TestRunDirectory(t *testing.T) {
	m := listenOnly(t)
	s := m.settings()
	umask := 0o27
	s.Umask, s.NumCPUs, s.DeleteLeftoverDirs, s.Basedir = &umask, 7, true, m.base
	require.NoError(t, os.MkdirAll(filepath.Join(m.base, infoDir), 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(m.base, infoDir, "admin"), []byte("Anna\n"), 0o600))
	for _, dir := range []string{"leftover/below", "dir-one/kept"} {
		require.NoError(t, os.MkdirAll(filepath.Join(m.base, dir), 0o777))
	}
	require.NoError(t, os.WriteFile(filepath.Join(m.base, "a file"), nil, 0o600))
	require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(m.base, "link")))
	m.writeTac(s, "os.environ['PB_FROM_TAC'] = 'x'")
	// The umask is that of a process.
	startBinary(t, buildBinary(t), "run", m.base)
	a := m.session()
	assert.Equal(t, int64(7), a.info["numcpus"])
	assert.Equal(t, true, a.info["delete_leftover_dirs"])
	assert.Equal(t, "Anna\n", a.info["admin"])
	o, err := a.do(t, "shell", sh("umask; echo $PB_FROM_TAC; pwd"))
	require.NoError(t, err)
	assert.Equal(t, "0027\nx\n"+filepath.Join(m.base, "dir-one", "build")+"\n", o.text("stdout"))
	assert.NoDirExists(t, filepath.Join(m.base, "leftover"))
	assert.DirExists(t, filepath.Join(m.base, "dir-one", "kept"))
	assert.FileExists(t, filepath.Join(m.base, "a file"))
	_, err = os.Lstat(filepath.Join(m.base, "link"))
	assert.NoError(t, err)
	host, err := os.Hostname()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(m.base, "twistd.hostname"))
	require.NoError(t, err)
	assert.Equal(t, host+"\n", string(text))
}

// A builder's directory may be below another one, which is then not a leftover.
func TestLeftovers(t *testing.T) {
	m := listenOnly(t)
	s := m.settings()
	s.DeleteLeftoverDirs = true
	m.writeTac(s)
	m.start("run", m.base)
	a := m.session()
	for _, dir := range []string{"top/used", "top/other", "absolute", "gone/x"} {
		require.NoError(t, os.MkdirAll(filepath.Join(m.base, dir), 0o777))
	}
	_, err := flavors.Call[any](t.Context(), a.mind, "setBuilderList",
		[]any{jelly.Tuple{"one", "top/used"}, jelly.Tuple{"two", filepath.Join(m.base, "absolute")}})
	require.NoError(t, err)
	for name, stays := range map[string]bool{"top/other": true, "absolute": true, "gone": false, "dir-one": false} {
		_, err := os.Stat(filepath.Join(m.base, name))
		assert.Equal(t, stays, err == nil, name)
	}
}

func TestRunWithFlags(t *testing.T) {
	m := listenOnly(t)
	s := m.settings()
	s.Host, s.Name, s.Password, s.Port = "unreachable.invalid", "nobody", "wrong", 1
	m.writeTac(s)
	secret := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(secret, []byte("sesame\r\nnot this\n"), 0o600))
	m.start("run", "-name", "w", m.base, "-password-file="+secret, "--master", m.url, "-numcpus=3")
	a := m.session()
	assert.Equal(t, int64(3), a.info["numcpus"])
	_, err := flavors.Call[any](t.Context(), a.mind, "shutdown")
	require.NoError(t, err)
	assert.NoError(t, m.end())
}

func TestRunErrors(t *testing.T) {
	good := tac.Settings{Host: "h", Port: 1, Name: "n", Password: "sesame"}
	for name, c := range map[string]struct {
		text string
		args []string
		want string
	}{
		"no file": {"", nil, "is this a worker's base directory?"},
		"hostile": {"import os\nos.system('reboot')\n", nil,
			`line 2: the call of "os.system" is not understood`},
		"Latin-1":   {"# gr\xfcn\n", nil, "line 1: not UTF-8"},
		"huge":      {strings.Repeat("#\n", tac.MaxSize), nil, "more than 262144 bytes"},
		"two words": {string(tac.Write(good)), []string{"x"}, "run takes one directory"},
		"umask":     {string(tac.Write(good)), []string{"-umask", "99"}, "-umask is"},
		"shutdown":  {string(tac.Write(good)), []string{"-allow-shutdown", "x"}, "-allow-shutdown is"},
		"TLS":       {string(tac.Write(good)), []string{"-tls-min", "1.1"}, "it must be 1.2 or 1.3"},
		"TLS without": {string(tac.Write(good)), []string{"-server-name", "x"},
			"this master is reached without TLS"},
		"no authorities": {string(tac.Write(good)), []string{"-ca", "/dev/null"}, "no certificate in PEM form"},
		"no certificate": {string(tac.Write(good)), []string{"-cert", "/nowhere"}, "the client's certificate"},
		"no key":         {string(tac.Write(good)), []string{"-key", "/nowhere"}, "no certificate; give both"},
		"proxy":          {string(tac.Write(good)), []string{"-proxy", "http://u:sesame@"}, "must be http://"},
		"password file":  {string(tac.Write(good)), []string{"-password-file", "/nowhere"}, "the password file"},
		"empty password": {string(tac.Write(good)), []string{"-password-file", "/dev/null"}, "is empty"},
		"long password":  {string(tac.Write(good)), []string{"-password-file", "/dev/zero"}, "more than 4096 bytes"},
		"connection": {string(tac.Write(tac.Settings{Connection: "serial:0", Name: "n", Password: "p"})), nil,
			`the type "serial" is not supported`},
		"bind": {string(tac.Write(tac.Settings{Connection: "tcp:h:1:bindAddress=h", Name: "n", Password: "p"})), nil,
			"is no IP address"},
		"proxy string": {
			string(tac.Write(tac.Settings{Host: "h", Port: 1, Proxy: "unix:/p", Name: "n", Password: "p"})), nil,
			"proxy_connection_string must be tcp:",
		},
		"no directory": {
			string(tac.Write(tac.Settings{Host: "h", Port: 1, Name: "n", Password: "p", Basedir: "/nowhere"})), nil,
			"the base directory: stat /nowhere",
		},
		"inspect": {string(tac.Write(good)), []string{"-inspect", "nowhere.invalid:x"}, "-inspect: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.text != "" {
				require.NoError(t, os.WriteFile(filepath.Join(dir, tacName), []byte(c.text), 0o600))
			}
			err := run(t.Context(), append([]string{"run", dir}, c.args...))
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.want)
			assert.NotContains(t, err.Error(), "sesame")
			assert.Equal(t, exitUsage, exitStatus(err))
		})
	}
	t.Run("background", func(t *testing.T) {
		err := run(t.Context(), []string{"start", t.TempDir()})
		assert.ErrorContains(t, err, "does not go to the background")
	})
}

// A second worker with the same base directory is refused, also after the first was killed and started again.
func TestBasedirIsLocked(t *testing.T) {
	m := listenOnly(t)
	m.writeTac(m.settings())
	program := buildBinary(t)
	first := startBinary(t, program, "run", m.base)
	m.session()
	refused := func(holder int) {
		t.Helper()
		err := run(t.Context(), []string{"run", m.base})
		require.ErrorIs(t, err, service.ErrLocked)
		assert.ErrorContains(t, err, fmt.Sprintf("process %d", holder))
		assert.Equal(t, exitLocked, exitStatus(err))
	}
	refused(first.cmd.Process.Pid)
	first.signal(syscall.SIGKILL)
	require.Error(t, first.exit())
	second := startBinary(t, program, "start", "--nodaemon", m.base)
	m.session()
	refused(second.cmd.Process.Pid)
}

// A stock worker in the background is noticed by its twistd.pid.
func TestStockWorkerRuns(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, tacName),
		tac.Write(tac.Settings{Host: "h", Port: 1, Name: "n", Password: "p"}), 0o600))
	sleep := exec.Command("sleep", "600")
	sleep.Dir = dir
	require.NoError(t, sleep.Start())
	t.Cleanup(func() {
		_ = sleep.Process.Kill()
		_ = sleep.Wait()
	})
	pid := []byte(strconv.Itoa(sleep.Process.Pid))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "twistd.pid"), pid, 0o600))
	err := run(t.Context(), []string{"run", dir})
	assert.ErrorContains(t, err, fmt.Sprintf("a stock worker runs in %s as process %s", dir, pid))
	_ = sleep.Process.Kill()
	_ = sleep.Wait()
	assert.Zero(t, stockWorker(dir), "left over")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "twistd.pid"), []byte("x"), 0o600))
	assert.Zero(t, stockWorker(dir))
}

// TestOtherOwner runs the worker as another user than the base directory's.
func TestOtherOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("not checked: only root can be somebody else")
		return
	}
	dir, err := os.MkdirTemp("/tmp", "pb-owner-") // t.TempDir's parents are closed to others
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "worker")
	text, err := os.ReadFile(buildBinary(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(program, text, 0o755))
	require.NoError(t, os.Chmod(program, 0o755))
	base := filepath.Join(dir, "base")
	require.NoError(t, os.Mkdir(base, 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(base, 0o755))
	path := filepath.Join(base, tacName)
	require.NoError(t, os.WriteFile(path, tac.Write(tac.Settings{Host: "h", Port: 1, Name: "n", Password: "p"}), 0o600))
	try := func() string {
		cmd := exec.CommandContext(t.Context(), program, "run", base)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		var failed *exec.ExitError
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, exitUsage, failed.ExitCode())
		return string(out)
	}
	assert.Contains(t, try(), "permission denied")
	require.NoError(t, os.Chmod(path, 0o644))
	said := try()
	assert.Contains(t, said, "belongs to root (uid 0), and this worker runs as ")
	assert.Contains(t, said, "(uid 65534), who may not write there")
}

func TestMaxRetries(t *testing.T) {
	dir := t.TempDir()
	s := tac.Settings{
		Host:       "127.0.0.1",
		Port:       1, // where nobody listens
		Name:       "n",
		Password:   "p",
		MaxRetries: 2,
		MaxDelay:   time.Second,
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, tacName), tac.Write(s), 0o600))
	err := run(t.Context(), []string{"run", dir})
	assert.ErrorIs(t, err, errGaveUp)
	assert.Equal(t, exitGaveUp, exitStatus(err))
}

func TestShutdownFile(t *testing.T) {
	was := shutdownInterval
	shutdownInterval = 10 * time.Millisecond
	t.Cleanup(func() { shutdownInterval = was })
	m := listenOnly(t)
	s := m.settings()
	s.AllowShutdown = "file"
	m.writeTac(s)
	stamp := filepath.Join(m.base, shutdownFile)
	require.NoError(t, os.WriteFile(stamp, nil, 0o600))
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(stamp, old, old))
	m.start("run", "-keepalive", "10ms", m.base)
	a := m.session()
	<-a.keepalives // It knows that it is attached, and has looked at the file before.
	require.NoError(t, os.Chtimes(stamp, old, old.Add(time.Minute)))
	require.NoError(t, a.await(t, a.asked))
	_, err := flavors.Call[any](t.Context(), a.mind, "shutdown")
	require.NoError(t, err)
	assert.NoError(t, m.end())
}

// HUP asks the master if the file says so, and ends the worker otherwise.
func TestHangup(t *testing.T) {
	program := buildBinary(t)
	for _, allowed := range []string{"", "signal"} {
		t.Run("allow "+allowed, func(t *testing.T) {
			m := listenOnly(t)
			s := m.settings()
			s.AllowShutdown = allowed
			m.writeTac(s)
			w := startBinary(t, program, "run", m.base)
			a := m.session()
			w.said("attached", 1)
			w.signal(syscall.SIGHUP)
			if allowed == "signal" {
				require.NoError(t, a.await(t, a.asked))
				w.signal(syscall.SIGTERM)
			}
			assert.NoError(t, w.exit())
		})
	}
}

func TestCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "worker")
	var out bytes.Buffer
	require.NoError(t, create([]string{"-umask=022", "--keepalive=60", "-allow-shutdown", "file", dir, "[::1]:99", "n",
		"sesame", "-numcpus", "3"}, &out))
	assert.NotContains(t, out.String(), "sesame")
	about, err := os.Stat(filepath.Join(dir, tacName))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), about.Mode().Perm())
	o := newOptions("run")
	o.connection()
	s, err := o.readTac(dir, "")
	require.NoError(t, err)
	umask := 0o22
	s.Log = tac.Log{}
	assert.Equal(
		t,
		&tac.Settings{Host: "::1", Port: 99, Name: "n", Password: "sesame", Basedir: dir, Keepalive: time.Minute,
			MaxDelay: 5 * time.Minute, Umask: &umask, NumCPUs: 3, AllowShutdown: "file"},
		s,
	)
	for _, name := range []string{"admin", "host"} {
		assert.FileExists(t, filepath.Join(dir, infoDir, name))
	}

	// What is there stays.
	require.NoError(t, os.WriteFile(filepath.Join(dir, infoDir, "admin"), []byte("Anna"), 0o600))
	before, err := os.ReadFile(filepath.Join(dir, tacName))
	require.NoError(t, err)
	secret := filepath.Join(t.TempDir(), "p")
	require.NoError(t, os.WriteFile(secret, []byte("other\n"), 0o600))
	require.NoError(t, create([]string{"-relocatable", "-password-file", secret, dir, "unix:/run/m.sock", "n"}, &out))
	now, err := os.ReadFile(filepath.Join(dir, tacName))
	require.NoError(t, err)
	assert.Equal(t, before, now)
	text, err := os.ReadFile(filepath.Join(dir, tacName+".new"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "connection_string = 'unix:/run/m.sock'")
	assert.Contains(t, string(text), "passwd = 'other'")
	assert.Contains(t, string(text), "basedir = '.'")
	admin, err := os.ReadFile(filepath.Join(dir, infoDir, "admin"))
	require.NoError(t, err)
	assert.Equal(t, "Anna", string(admin))
}

func TestCreateErrors(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"too few":     {[]string{dir, "m"}, "create takes BASEDIR MASTER NAME"},
		"URL":         {[]string{dir, "pb://m", "n", "p"}, "MASTER is not a URL"},
		"IPv6":        {[]string{dir, "::1", "n", "p"}, "must stand in brackets"},
		"bracket":     {[]string{dir, "[::1", "n", "p"}, "the bracket is not closed"},
		"port":        {[]string{dir, "m:70000", "n", "p"}, "a port from 1 to 65535"},
		"string":      {[]string{dir, "tls:m:x", "n", "p"}, "the port must be a number"},
		"proxy":       {[]string{"-proxy-connection-string=x", dir, "m", "n", "p"}, "-proxy-connection-string"},
		"umask":       {[]string{"-umask=8", dir, "m", "n", "p"}, "-umask is"},
		"no name":     {[]string{dir, "m", "", "p"}, "the worker's name is empty"},
		"no password": {[]string{dir, "m", "n"}, "the password is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			stdin := os.Stdin
			null, err := os.Open(os.DevNull)
			require.NoError(t, err)
			os.Stdin = null
			t.Cleanup(func() { os.Stdin = stdin })
			err = create(c.args, &bytes.Buffer{})
			assert.ErrorContains(t, err, c.want)
		})
	}
}

// The password and a proxy's password are in no list of processes, whichever way they were given.
func TestSecretArguments(t *testing.T) {
	if _, err := os.Stat("/proc/self/mem"); err != nil {
		t.Skip("there is no /proc")
	}
	program := buildBinary(t)
	m := listenOnly(t)
	m.writeTac(m.settings())
	for name, args := range map[string][]string{
		"flag":  {"run", "--password=sesame", m.base},
		"words": {"run", "-password", "sesame", m.base},
		"proxy": {"run", "-proxy", "http://u:sesame@127.0.0.1:1", "-inspect", "127.0.0.1:0", m.base},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(program, args...)
			cmd.Env = append(os.Environ(), "WORKERPASS=sesame")
			w := startCommand(t, cmd)
			if name == "proxy" {
				w.said("connection refused", 1)
			} else {
				a := m.session()
				o, err := a.do(t, "shell", sh("cat /proc/$PPID/cmdline /proc/$PPID/environ; env"))
				require.NoError(t, err)
				assert.NotContains(t, o.text("stdout"), "sesame")
			}
			for _, file := range []string{"cmdline", "environ"} {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", w.cmd.Process.Pid, file))
				require.NoError(t, err)
				assert.NotContains(t, string(text), "sesame", file)
			}
			assert.NotContains(t, w.everything(), "sesame")
			w.signal(syscall.SIGTERM)
			assert.NoError(t, w.exit())
		})
	}
}

// TestTerminalPassword types the password at a terminal.
func TestTerminalPassword(t *testing.T) {
	if !havePTY {
		t.Skip("no terminals here")
	}
	p := &process{cmd: &exec.Cmd{}}
	theirs, err := p.openPTY()
	require.NoError(t, err)
	control, terminal := p.readers[0], theirs[0]
	defer control.Close()
	dir := t.TempDir()
	cmd := exec.Command(buildBinary(t), "create", dir, "m", "n")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	require.NoError(t, cmd.Start())
	terminal.Close()
	shown := readUntil(t, control, "Password of the worker: ")
	_, err = control.WriteString("sesame\n")
	require.NoError(t, err)
	shown += readUntil(t, control, "is configured in")
	require.NoError(t, cmd.Wait())
	assert.NotContains(t, shown, "sesame")
	text, err := os.ReadFile(filepath.Join(dir, tacName))
	require.NoError(t, err)
	assert.Contains(t, string(text), "passwd = 'sesame'")
}

func readUntil(t *testing.T, f *os.File, want string) string {
	t.Helper()
	var seen []byte
	buf := make([]byte, 512)
	for !bytes.Contains(seen, []byte(want)) {
		n, err := f.Read(buf)
		seen = append(seen, buf[:n]...)
		if errors.Is(err, syscall.EIO) || n == 0 {
			t.Fatalf("the terminal has shown %q", seen)
		}
	}
	return string(seen)
}
