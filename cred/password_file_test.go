package cred_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred"
)

// TestGoldenPasswordFiles: our checker accepts the same users as stock Twisted's, under the same avatar ids, and no
// others.
func TestGoldenPasswordFiles(t *testing.T) {
	g := readGolden(t)
	require.NotEmpty(t, g.Files)
	for _, f := range g.Files {
		t.Run(f.Name, func(t *testing.T) {
			opts := []cred.FileOption{cred.WithDelimiter(f.Delim), cred.WithColumns(f.UsernameField, f.PasswordField)}
			if !f.CaseSensitive {
				opts = append(opts, cred.WithIgnoreCase())
			}
			if !strings.HasSuffix(string(f.Content), "\n") {
				_, err := cred.NewPasswordFile(write(t, string(f.Content)), opts...)
				require.ErrorContains(t, err, "has no newline", "stock takes it")
				f.Content += "\n"
			}
			p, err := cred.NewPasswordFile(write(t, string(f.Content)), opts...)
			require.NoError(t, err)
			in := map[[2]hexText]cred.AvatarID{}
			for _, l := range f.In {
				if l[1] == "" {
					continue // stock accepts an empty password, ours does not
				}
				in[[2]hexText{l[0], l[1]}] = cred.ID(string(l[2]))
			}
			require.NotEmpty(t, in)
			for _, name := range g.Asked {
				for _, password := range g.Passwords {
					for _, c := range []cred.Credentials{
						plain(string(name), cred.Secret(password)), response(string(name), cred.Secret(password)),
					} {
						id, err := p.Check(t.Context(), c)
						assert.Equal(t, in[[2]hexText{name, password}], id, "%q %q: %v", name, password, err)
					}
				}
			}
		})
	}
}

func write(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// TestTruncatedPasswordFile: a file truncated anywhere gives no user another password. It is refused or has fewer
// users.
func TestTruncatedPasswordFile(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		open    func(path string) (*cred.PasswordFile, error)
	}{
		"plain": {"alice:sesame\nbob:a long password\r\n# no user\ncarol: x \n",
			func(path string) (*cred.PasswordFile, error) { return cred.NewPasswordFile(path) }},
		"hashed": {"alice:{CLEARTEXT}sesame\nbob:{CLEARTEXT}a long password\n",
			func(path string) (*cred.PasswordFile, error) { return cred.NewHtpasswd(path) }},
	} {
		t.Run(name, func(t *testing.T) {
			whole := map[string]cred.Secret{"alice": "sesame", "bob": "a long password"}
			for length := range len(c.content) {
				cut := c.content[:length]
				p, err := c.open(write(t, cut))
				if cut != "" && !strings.HasSuffix(cut, "\n") {
					require.ErrorContains(t, err, "has no newline", "%q", cut)
					continue
				}
				require.NoError(t, err, "%q", cut)
				for user, password := range whole {
					for end := 1; end <= len(password); end++ {
						_, err := p.Check(t.Context(), plain(user, password[:end]))
						if end < len(password) || !strings.Contains(cut, user+":") {
							require.Error(t, err, "%q: %s %q", cut, user, password[:end])
						} else {
							require.NoError(t, err, "%q: %s", cut, user)
						}
					}
				}
			}
		})
	}
}

// TestPasswordFileDamaged: a damaged file is refused with an error, and the users of the last valid content stay.
func TestPasswordFileDamaged(t *testing.T) {
	for name, damaged := range map[string]string{
		"cut short":     "alice:s",
		"zeros":         "alice:sesame\n\x00\x00\x00\n",
		"UTF-16":        "\xff\xfea\x00:\x00b\x00\n\x00",
		"a comment cut": "alice:bread\n# bob",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cred.NewPasswordFile(write(t, damaged))
			require.Error(t, err)
			var log logged
			path := write(t, "\uFEFFalice:sesame\r\n")
			p, err := cred.NewPasswordFile(path, cred.WithLogger(log.logger()))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, []byte(damaged), 0o600))
			_, err = p.Check(t.Context(), plain("alice", "sesame"))
			require.NoError(t, err, "the byte order mark is not part of the name, and the good users stay")
			_, err = p.Check(t.Context(), plain("alice", "s"))
			require.Error(t, err)
			require.Contains(t, log.String(), "its previous users stay")
		})
	}
}

// TestEmptyPasswordEntries: an incomplete entry accepts no credentials of any kind.
func TestEmptyPasswordEntries(t *testing.T) {
	for _, text := range []string{"{CLEARTEXT}", "{MD5}1B2M2Y8AsgTpgAmY7PhCfg=="} {
		_, err := cred.ParseEntry(text)
		require.ErrorContains(t, err, "empty", text)
	}
	for content, column := range map[string]cred.Column{
		"alice:{CLEARTEXT}\n": cred.ColumnEntries, "alice:\n": cred.ColumnPlaintext,
		"alice:d41d8cd98f00b204e9800998ecf8427e\n": cred.ColumnMD5Hex,
	} {
		p, err := cred.NewPasswordFile(write(t, content), cred.WithColumn(column))
		require.NoError(t, err)
		for _, c := range []cred.Credentials{plain("alice", ""), response("alice", "")} {
			_, err = p.Check(t.Context(), c)
			require.Error(t, err, content)
		}
	}
}

// TestHtpasswd reads a file that the real tools have written (testdata/htpasswd.sh).
func TestHtpasswd(t *testing.T) {
	var log logged
	p, err := cred.NewHtpasswd("testdata/htpasswd", cred.WithLogger(log.logger()))
	require.NoError(t, err)
	good := map[string]cred.Secret{"long": cred.Secret(strings.Repeat("y", 72)), "apr1of0": ""}
	for _, name := range []string{"bcrypt", "apr1", "sha1", "ssha1", "argon2id", "argon2idp"} {
		good[name] = cred.Secret("sesame " + name)
	}
	for name, length := range map[string]int{
		"apr1of1": 1, "apr1of15": 15, "apr1of16": 16, "apr1of17": 17, "apr1of32": 32, "apr1of100": 100,
	} {
		good[name] = cred.Secret(strings.Repeat("x", length))
	}
	for name, password := range good {
		id, err := p.Check(t.Context(), plain(name, password))
		assert.NoError(t, err, name)
		assert.Equal(t, cred.ID(name), id)
		if name != "long" {
			_, err = p.Check(t.Context(), plain(name, password+"x"))
			wantRefused(t, err, cred.ReasonWrong)
		}
	}
	_, err = p.Check(t.Context(), plain("long", good["long"]+"more"))
	assert.NoError(t, err, "bcrypt looks at 72 bytes")

	for name, says := range map[string]string{
		"des": "DES crypt", "plain": "unknown scheme", "argon2i": "argon2i entries", "sha512": "sha512-crypt",
	} {
		_, err := p.Check(t.Context(), plain(name, cred.Secret("sesame "+name)))
		assert.Contains(t, wantRefused(t, err, cred.ReasonUnusable).Log(), says)
	}
	assert.False(t, p.Accepts(cred.KindChallengeResponse), "none of these can answer a challenge")
	assert.False(t, p.Accepts(cred.KindAnonymous))
	_, err = p.Check(t.Context(), response("sha1", "sesame sha1"))
	wantRefused(t, err, cred.ReasonUnhandled)
}

func TestPasswordFileColumns(t *testing.T) {
	p, err := cred.NewPasswordFile(
		write(t, "alice:7b8b965ad4bca0e41ab51de7b31363a1\nbob:7b8b\n"),
		cred.WithColumn(cred.ColumnMD5Hex),
		nil,
	)
	require.NoError(t, err)
	for _, c := range []cred.Credentials{plain("alice", "n"), response("alice", "n")} {
		_, err = p.Check(t.Context(), c)
		assert.NoError(t, err)
	}
	_, err = p.Check(t.Context(), plain("bob", "n"))
	assert.Contains(t, wantRefused(t, err, cred.ReasonUnusable).Log(), "32 hexadecimal digits")

	entries, err := cred.NewPasswordFile(
		write(t, "alice:{CLEARTEXT}n\n"),
		cred.WithColumn(cred.ColumnEntries),
		cred.WithHasher(nil),
	)
	require.NoError(t, err)
	assert.True(t, entries.Accepts(cred.KindChallengeResponse))

	plaintext, err := cred.NewPasswordFile(write(t, "alice:\nbob:"+strings.Repeat("x", cred.MaxPasswordBytes+1)+"\n:x\n"))
	require.NoError(t, err)
	for _, name := range []string{"alice", "bob"} {
		_, err = plaintext.Check(t.Context(), plain(name, ""))
		wantRefused(t, err, cred.ReasonUnusable)
	}
	_, err = plaintext.Check(t.Context(), plain("", "x"))
	wantRefused(t, err, cred.ReasonMalformed)
}

func TestRefusedPasswordFiles(t *testing.T) {
	long := "a:" + strings.Repeat("x", cred.MaxPasswordFileLine)
	for name, c := range map[string]struct {
		path string
		opts []cred.FileOption
		says string
	}{
		"missing":       {filepath.Join(t.TempDir(), "no"), nil, "no such file"},
		"a directory":   {t.TempDir(), nil, "no regular file"},
		"a device":      {"/dev/zero", nil, "no regular file"},
		"a long line":   {write(t, "b:c\n"+long), nil, "line 2 has 8194 bytes"},
		"too large":     {write(t, strings.Repeat("x", cred.MaxPasswordFileBytes+1)), nil, "MaxPasswordFileBytes"},
		"no delimiter":  {write(t, ""), []cred.FileOption{cred.WithDelimiter("")}, "WithDelimiter"},
		"one column":    {write(t, ""), []cred.FileOption{cred.WithColumns(1, 1)}, "WithColumns(1, 1)"},
		"minus columns": {write(t, ""), []cred.FileOption{cred.WithColumns(-1, 1)}, "WithColumns(-1, 1)"},
		"column":        {write(t, ""), []cred.FileOption{cred.WithColumn(9)}, "no Column 9"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cred.NewPasswordFile(c.path, c.opts...)
			assert.ErrorContains(t, err, c.says)
		})
	}
	for _, content := range []string{"alice", ":x", "a:b\n\nc\n"} {
		_, err := cred.NewHtpasswd(write(t, content+"\n"), nil)
		assert.ErrorContains(t, err, "is not name:password")
	}
	if os.Getuid() != 0 {
		closed := write(t, "")
		require.NoError(t, os.Chmod(closed, 0))
		_, err := cred.NewPasswordFile(closed)
		assert.ErrorContains(t, err, "permission denied")
	}
}

// TestReload goes through the changes of a password file in use.
func TestReload(t *testing.T) {
	var log logged
	path := write(t, "alice:sesame\n")
	p, err := cred.NewPasswordFile(path, cred.WithLogger(log.logger()))
	require.NoError(t, err)
	lets := func(name string, password cred.Secret) bool {
		t.Helper()
		_, err := p.Check(t.Context(), plain(name, password))
		return err == nil
	}
	// old makes the file one that was not written just now, so that only what the checker can see has changed.
	old := func(age time.Duration) {
		t.Helper()
		at := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(path, at, at))
	}
	replace := func(content string) {
		t.Helper()
		require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	require.True(t, lets("alice", "sesame"))

	replace("alice:bread1\n")
	assert.False(t, lets("alice", "sesame"), "the same size and probably the same time")
	assert.True(t, lets("alice", "bread1"))

	require.NoError(t, os.WriteFile(path, []byte("alice:bread2\n"), 0o600))
	assert.True(t, lets("alice", "bread2"), "written in place a moment after it was read")

	old(time.Hour)
	assert.True(t, lets("alice", "bread2"))
	require.NoError(t, os.WriteFile(path, []byte("alice:bread3\n"), 0o600))
	old(time.Minute)
	assert.True(t, lets("alice", "bread3"), "another time")

	old(-time.Hour)
	assert.True(t, lets("alice", "bread3"), "a time in the future")

	require.Empty(t, log.String())
	replace("alice:bread3\n" + strings.Repeat("x", cred.MaxPasswordFileLine+1))
	old(time.Hour)
	assert.True(t, lets("alice", "bread3"), "invalid content keeps the previous users")
	assert.True(t, lets("alice", "bread3"))
	assert.Equal(t, 1, strings.Count(log.String(), "its previous users stay"), "it is reported once: %s", log.String())
	assert.NotContains(t, log.String(), "bread3")

	require.NoError(t, os.Remove(path))
	_, err = p.Check(t.Context(), plain("alice", "bread3"))
	assert.True(t, wantRefused(t, err, cred.ReasonStore).Fault())
	assert.True(t, p.Accepts(cred.KindChallengeResponse), "the kind stays accepted")

	replace("alice:bread4\nbob:butter\n")
	assert.True(t, lets("bob", "butter"))
	replace("")
	assert.False(t, lets("bob", "butter"))
}

// TestReloadConcurrently: a user in every version of the file can always log in.
func TestReloadConcurrently(t *testing.T) {
	path := write(t, "alice:sesame\n")
	p, err := cred.NewPasswordFile(path)
	require.NoError(t, err)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, err := p.Check(context.Background(), plain("alice", "sesame"))
					assert.NoError(t, err)
				}
			}
		})
	}
	for i := range 50 {
		require.NoError(t, os.WriteFile(path+".new", []byte(strings.Repeat("bob:bread\n", i*i)+"alice:sesame\n"), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	close(stop)
	all.Wait()
}
