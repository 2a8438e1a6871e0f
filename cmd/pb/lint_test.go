package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// verdicts returns the verdict of each check.
func verdicts(text string) map[string]string {
	rows := map[string]string{}
	for line := range strings.Lines(text) {
		if len(line) > 22 {
			rows[strings.TrimSpace(line[6:22])] = strings.TrimSpace(line[:5])
		}
	}
	return rows
}

func TestLint(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			r := pb(t, "lint", s.url)
			assert.Equal(t, statusDone, r.status, r.out+r.errors)
			unknown := "ok"
			if s.name == "stock" {
				unknown = "note" // It means to answer, and fails.
			}
			assert.Equal(t, map[string]string{
				"connection": "ok", "dialects": "ok", "version": "ok", "unknown command": unknown,
				"unknown object": "ok", "unknown method": "ok", "logins": "note", "limit: string": "ok",
				"limit: list": "ok", "limit: header": "ok",
			}, verdicts(r.out), r.out)
			assert.NotContains(t, r.out, "\x1b")
		})
	}
}

func TestLintLogins(t *testing.T) {
	s := stockServer(t, "--cred", "moe=secret", "--anonymous")
	r := pb(t, "lint", "-u", "moe", "-p", "secret", s.url)
	assert.Equal(t, statusDone, r.status, r.out)
	assert.Regexp(t, `ok +logins +login, loginAnonymous`, r.out)
	assert.Regexp(t, `ok +login +the peer gave`, r.out)
	r = pb(t, "lint", "-u", "moe", "-p", "wrong", s.url)
	assert.Equal(t, statusFailed, r.status)
	assert.Regexp(t, `bad +login +.*UnauthorizedLogin`, r.out)
	r = pb(t, "lint", conformance(t, "-listen", "pb://127.0.0.1:0", "-cred", "moe=secret"))
	assert.Equal(t, statusDone, r.status, r.out)
	assert.Regexp(t, `ok +logins +\[login`, r.out)
}

func TestLintTLS(t *testing.T) {
	a := authority.New(t)
	for name, c := range map[string]struct {
		change  func(*x509.Certificate)
		trust   bool
		status  int
		verdict string
	}{
		"valid":     {nil, true, statusDone, "note"}, // for an hour only
		"untrusted": {nil, false, statusFailed, "bad"},
		"expired":   {authority.Expired, true, statusFailed, "bad"},
	} {
		cert, key, ca := a.Files(a.Issue("server", c.change))
		url := "pbs" + strings.TrimPrefix(stockServer(t, "--cert", cert, "--key", key).url, "pb")
		args := []string{"lint", url}
		if c.trust {
			args = []string{"lint", "-ca", ca, url}
		}
		r := pb(t, args...)
		assert.Equal(t, c.status, r.status, "%s: %s", name, r.out)
		assert.Equal(t, c.verdict, verdicts(r.out)["certificate"], "%s: %s", name, r.out)
		assert.NotEqual(t, "bad", verdicts(r.out)["TLS"], r.out)
		assert.Equal(t, "ok", verdicts(r.out)["version"], r.out)
	}
	plain := stockServer(t)
	r := pbInTime(t, func(r result) bool { return verdicts(r.out)["TLS"] != "" }, "lint",
		"pbs"+strings.TrimPrefix(plain.url, "pb"))
	assert.Equal(t, statusFailed, r.status)
	assert.Equal(t, "bad", verdicts(r.out)["TLS"])
}

func TestLintBrokenPeers(t *testing.T) {
	for name, c := range map[string]struct {
		data  []byte
		check string
	}{
		"silent":     {nil, "dialects"},
		"http":       {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n" + strings.Repeat("\x1b[2J", 30)), "dialects"},
		"dialects":   {expr(t, list{"xyz\x1b"}), "dialects"},
		"no version": {offer(), "version"},
		"version 5":  {append(offer(), expr(t, list{"version", 5})...), "version"},
		"no answers": {append(offer(), version6()...), "unknown object"},
	} {
		url := fakePeer(t, func(sock net.Conn) {
			_, _ = sock.Write(c.data)
			_, _ = io.Copy(io.Discard, sock)
		})
		r := pbInTime(t, func(r result) bool { return verdicts(r.out)[c.check] != "" }, "lint", url)
		assert.Equal(t, statusFailed, r.status, "%s: %s", name, r.out)
		assert.Equal(t, "bad", verdicts(r.out)[c.check], "%s: %s", name, r.out)
		assert.NotContains(t, r.out, "\x1b")
	}
	assert.Equal(t, statusConnection, pb(t, "lint", "pb+unix:///does/not/exist").status)
	assert.Equal(t, statusUsage, pb(t, "lint").status)
}

func TestPasswd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwords")
	run := func(password string, args ...string) result {
		return pbWith(t, "", []string{"PB_PASSWORD=" + password}, append([]string{"passwd"}, args...)...)
	}
	require.Equal(t, result{}, run("secret", file, "moe"))
	require.Equal(t, result{}, run("another", "-md5", file, "larry"))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Regexp(t, `^moe:\$argon2id\$v=19\$[^\n]+\nlarry:\{MD5\}[A-Za-z0-9+/]{22}==\n$`, string(text))
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	for _, c := range []struct {
		user, password string
		status         int
	}{{"moe", "secret", 0}, {"moe", "wrong", 1}, {"larry", "another", 0}, {"curly", "secret", 1}, {"mo", "secret", 1}} {
		assert.Equal(t, c.status, run(c.password, "-verify", file, c.user).status, "%s %s", c.user, c.password)
	}
	require.NoError(t, os.Chmod(file, 0o640))
	require.Equal(t, 0, run("new", file, "moe").status)
	assert.Equal(t, 0, run("new", "-verify", file, "moe").status)
	assert.Equal(t, 1, run("secret", "-verify", file, "moe").status)
	info, err = os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode().Perm())
	assert.Equal(t, 0, run("", "-delete", file, "moe").status)
	assert.Equal(t, 1, run("", "-delete", file, "moe").status)
	assert.Equal(t, 1, run("new", "-verify", file, "moe").status)
	assert.NoFileExists(t, file+".lock")

	for _, user := range []string{"", "a:b", "a\nb", " a", "#a", "a\x1b"} {
		assert.Equal(t, statusUsage, run("x", file, user).status, "%q", user)
	}
	assert.Equal(t, statusUsage, run("", file, "moe").status)
	assert.Equal(t, statusUsage, run("x", "-delete", "-md5", file, "moe").status)
	assert.Equal(t, statusUsage, run("x", file).status)
}

func TestPasswdBadFiles(t *testing.T) {
	dir := t.TempDir()
	path := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(path("target", "a:b\n"), link))
	path("busy.lock", "")
	for file, want := range map[string]string{
		link: "is a link", path("half", "moe:{MD5}abc"): "newline", path("nul", "a\x00\n"): "NUL",
		path("busy", "a:b\n"): "another program", dir: "regular",
	} {
		before, _ := os.ReadFile(file)
		r := pb(t, "passwd", "-p", "x", file, "moe")
		assert.Equal(t, statusFailed, r.status, file)
		assert.Contains(t, r.errors, want)
		after, _ := os.ReadFile(file)
		assert.Equal(t, before, after)
	}
	assert.FileExists(t, filepath.Join(dir, "busy.lock"), "another program's lock stays")
	assert.NoFileExists(t, filepath.Join(dir, "half.lock"))
}

// TestPasswdChangedMeanwhile notices a program that changes the file without the lock.
func TestPasswdChangedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	require.NoError(t, unchanged(path, nil))
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write("a:b\n")
	require.ErrorContains(t, unchanged(path, nil), "another program")
	for name, change := range map[string]func(){
		"longer":   func() { write("a:bc\n") },
		"the time": func() { require.NoError(t, os.Chtimes(path, time.Time{}, time.Unix(1e9, 0))) },
		"removed":  func() { require.NoError(t, os.Remove(path)) },
		"a link": func() {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Symlink("/etc/passwd", path))
		},
		"another file": func() {
			require.NoError(t, os.WriteFile(path+".new", []byte("a:b\n"), 0o600))
			require.NoError(t, os.Rename(path+".new", path))
		},
	} {
		_ = os.Remove(path)
		write("a:b\n")
		read, _, err := readPasswords(path)
		require.NoError(t, err)
		require.NoError(t, unchanged(path, read), name)
		change()
		require.ErrorContains(t, unchanged(path, read), "another program", name)
	}
}

// TestLintOldTLS checks peers that take more than one version of TLS.
func TestLintOldTLS(t *testing.T) {
	a := authority.New(t)
	certificate := a.Issue("server", nil)
	_, _, ca := a.Files(certificate)
	for name, c := range map[string]struct {
		least, most uint16
		want        string
	}{
		"all":     {tls.VersionTLS10, tls.VersionTLS13, "the peer takes TLS 1.0 and TLS 1.1 too"},
		"from 11": {tls.VersionTLS11, tls.VersionTLS12, "the peer takes TLS 1.1 too"},
		"from 12": {tls.VersionTLS12, tls.VersionTLS13, ""},
		"only 13": {tls.VersionTLS13, tls.VersionTLS13, ""},
	} {
		config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: c.least, MaxVersion: c.most}
		url := fakePeer(t, func(sock net.Conn) {
			_ = tls.Server(sock, config).HandshakeContext(t.Context())
			sock.Close()
		})
		r := pb(t, "lint", "-ca", ca, "-timeout", "20s", "pbs"+strings.TrimPrefix(url, "pb"))
		assert.Equal(t, statusFailed, r.status, name)
		if c.want == "" {
			assert.NotContains(t, r.out, "old TLS", name)
		} else {
			assert.Contains(t, r.out, c.want, name)
		}
	}
}
