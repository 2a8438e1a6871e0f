package cred

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzPasswordFile compares the parser with a simple model of Twisted's and checks its limits.
func FuzzPasswordFile(f *testing.F) {
	for _, seed := range []string{
		"alice:sesame\nbob:bread\n", "a,b,c\n,\n", "x", "\r\n \x00:\n", "a:{MD5}AAAA\n#c:d", "A:1\na:2", ":::",
	} {
		f.Add(seed, ":", 0, 1, false, false)
		f.Add(seed, ",", 2, 0, true, true)
	}
	f.Fuzz(func(t *testing.T, text, delimiter string, user, password int, ignoreCase, htpasswd bool) {
		c := newFileConfig([]FileOption{WithDelimiter(delimiter), WithColumns(user, password)})
		c.ignoreCase, c.htpasswd = ignoreCase, htpasswd
		if htpasswd {
			c.column = ColumnEntries
		}
		if c.valid() != nil {
			return
		}
		c.complete()
		users, err := c.parse(text)
		if err != nil {
			assert.Nil(t, users)
			damaged := strings.ContainsRune(text, 0) || !strings.HasSuffix(text, "\n")
			assert.True(
				t,
				htpasswd || damaged || strings.Contains(err.Error(), "Max"),
				"only a limit or damage makes the whole of a plain file unreadable: %v",
				err,
			)
			return
		}
		for name, entry := range users {
			assert.Nil(t, CheckUsername(name))
			assert.NotNil(t, entry)
			assert.Equal(t, name, c.canonical(name))
		}
		if !htpasswd {
			assert.Equal(t, model(&c, text), passwords(users))
		}
	})
}

func passwords(users map[string]Entry) map[string]string {
	all := map[string]string{}
	for name, entry := range users {
		if p, ok := entry.(plaintext); ok {
			all[name] = string(p.password)
		}
	}
	return all
}

// model returns the first line of each valid name.
func model(c *fileConfig, text string) map[string]string {
	seen, all := map[string]bool{}, map[string]string{}
	for _, line := range strings.Split(strings.TrimPrefix(text, byteOrderMark), "\n") {
		columns := strings.Split(strings.TrimRight(line, " \t\r\n\v\f"), c.delimiter)
		if len(columns) <= max(c.user, c.password) {
			continue
		}
		name, password := c.canonical(columns[c.user]), columns[c.password]
		if CheckUsername(name) != nil || seen[name] {
			continue
		}
		if seen[name] = true; password != "" && len(password) <= MaxPasswordBytes {
			all[name] = password
		}
	}
	return all
}

func TestTooManyUsers(t *testing.T) {
	var text strings.Builder
	for i := range MaxPasswordFileUsers + 1 {
		text.WriteString(strings.Repeat("a", i%200+1))
		text.WriteString(string(rune('0' + i/200%10)))
		text.WriteString(string(rune('A' + i/2000)))
		text.WriteString(":x\n")
	}
	c := newFileConfig(nil)
	_, err := c.parse(text.String())
	require.ErrorContains(t, err, "MaxPasswordFileUsers")
}
