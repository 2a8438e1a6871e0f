package cred

import (
	"errors"
	"fmt"
	"strings"
)

// FileOption configures a PasswordFile. Every CheckerOption is one.
type FileOption interface{ applyFile(*fileConfig) }

type fileConfig struct {
	checkerConfig
	column     Column
	delimiter  string
	user       int // the columns, counted from 0
	password   int
	ignoreCase bool
	htpasswd   bool
}

func newFileConfig(opts []FileOption) fileConfig {
	c := fileConfig{checkerConfig: newCheckerConfig(), column: ColumnPlaintext, delimiter: ":", password: 1}
	for _, o := range opts {
		if o != nil {
			o.applyFile(&c)
		}
	}
	return c
}

type fileOption func(*fileConfig)

func (o fileOption) applyFile(c *fileConfig) { o(c) }

// WithDelimiter sets what divides the columns: Twisted's delim. Default: a colon.
func WithDelimiter(delimiter string) FileOption {
	return fileOption(func(c *fileConfig) { c.delimiter = delimiter })
}

// WithColumns sets which columns hold the username and the password, counted from 0: Twisted's usernameField and
// passwordField. Default: 0 and 1.
func WithColumns(user, password int) FileOption {
	return fileOption(func(c *fileConfig) { c.user, c.password = user, password })
}

// WithIgnoreCase makes upper and lower case of A to Z the same in usernames, and avatar ids lower case: Twisted's
// caseSensitive=False. Default: they differ.
func WithIgnoreCase() FileOption {
	return fileOption(func(c *fileConfig) { c.ignoreCase = true })
}

func (c *fileConfig) valid() error {
	switch {
	case c.delimiter == "" || strings.ContainsAny(c.delimiter, "\r\n"):
		return errors.New("cred: WithDelimiter needs a text without line ends")
	case c.user < 0 || c.password < 0 || c.user == c.password:
		return fmt.Errorf("cred: WithColumns(%d, %d): they must be two columns, counted from 0", c.user, c.password)
	}
	return c.column.valid()
}

// canonical is the name under which a user stands in the list.
func (c *fileConfig) canonical(name string) string {
	if c.ignoreCase {
		return lowerASCII(name)
	}
	return name
}

// lowerASCII changes the 26 letters that Python's bytes.lower changes: the file may be in any encoding.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// Limits on what a password file may contain.
const (
	// MaxPasswordFileLine is how many bytes a line may have: a name, an entry, and room for other columns.
	MaxPasswordFileLine = 8192
	// MaxPasswordFileUsers is how many users a file may have; more belong into a database.
	MaxPasswordFileUsers = 100_000
)

// parse reads the file. Its error says that the file as a whole is not what it should be; an entry that cannot be
// used concerns its own user alone.
func (c *fileConfig) parse(text string) (map[string]Entry, error) {
	users := map[string]Entry{}
	number := 0
	text = strings.TrimPrefix(text, byteOrderMark)
	if at := strings.IndexByte(text, 0); at >= 0 {
		return nil, fmt.Errorf(
			"cred: line %d has a NUL byte: the file was damaged, or is UTF-16; write it anew",
			1+strings.Count(text[:at], "\n"),
		)
	}
	for line := range strings.Lines(text) {
		number++
		whole := strings.HasSuffix(line, "\n")
		line = strings.TrimRight(line, " \t\n\r\v\f") // What Python's bytes.rstrip removes.
		if len(line) > MaxPasswordFileLine {
			return nil, fmt.Errorf(
				"cred: line %d has %d bytes, more than the %d of MaxPasswordFileLine",
				number,
				len(line),
				MaxPasswordFileLine,
			)
		}
		if !whole {
			// What is missing may be the rest of a password, and what is there would be one.
			return nil, fmt.Errorf(
				"cred: line %d, the last one, has no end: the file may have been cut short; end it with a newline",
				number,
			)
		}
		name, password, err := c.split(line)
		if err != nil {
			return nil, fmt.Errorf("cred: line %d %w", number, err)
		}
		if name = c.canonical(name); CheckUsername(name) != nil {
			continue // Nobody can log in under such a name.
		}
		if _, twice := users[name]; twice {
			continue
		}
		if len(users) == MaxPasswordFileUsers {
			return nil, fmt.Errorf("cred: line %d is beyond the %d users of MaxPasswordFileUsers", number, MaxPasswordFileUsers)
		}
		users[name] = c.column.entry(password, c.hasher)
	}
	return users, nil
}

// byteOrderMark is what some editors put in front of UTF-8.
const byteOrderMark = "\uFEFF"

// split returns an empty name for lines that are to be skipped.
func (c *fileConfig) split(line string) (name, password string, err error) {
	if c.htpasswd {
		if line == "" || line[0] == '#' {
			return "", "", nil
		}
		name, rest, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return "", "", errors.New("is not name:password")
		}
		password, _, _ = strings.Cut(rest, ":") // Apache ignores what comes behind a second colon.
		return name, password, nil
	}
	columns := strings.Split(line, c.delimiter)
	if c.user >= len(columns) || c.password >= len(columns) {
		return "", "", nil
	}
	return columns[c.user], columns[c.password], nil
}
