package cred

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// PasswordFile is a checker of users that are written in a file. The file is read again when it has changed: when
// its time of modification, its size or the file of that name is another one. It accepts [KindUsernamePassword], and
// [KindChallengeResponse] where the file holds passwords in plain text or as md5.
//
// A file that has become unreadable lets nobody in. One that can be read and not understood is reported to the log and
// the users of the last good one stay, those that were taken out in the meantime included. A file whose last line has
// no end was cut short and counts as one that cannot be understood, because part of a password must not become a
// password; so does one with NUL bytes, which a crash may leave. A file that was cut between two lines cannot be told
// from a shorter one. So replace the file by renaming a complete one over it, rather than writing it in place.
type PasswordFile struct {
	path    string
	config  fileConfig
	key     standKey
	reading sync.Mutex // whoever has it reads the file
	loaded  atomic.Pointer[loadedFile]
}

// loadedFile is what the file contained when it was read. It does not change once made.
type loadedFile struct {
	users *userlist
	info  os.FileInfo
	// settled is false when the file was so young that it could be written again without its time changing.
	settled bool
}

// settleTime is longer than the resolution of any file system's times: FAT's is two seconds.
const settleTime = 2 * time.Second

// NewPasswordFile makes a checker of a file in the format of Twisted's FilePasswordDB: one user a line, with columns
// that a delimiter divides, "alice:sesame". Lines with too few columns are skipped, white space at a line's end is not
// part of it, and the first line of a name counts. Every line must have its end, the last one too. Other than in
// Twisted nobody can log in with an empty name or password. The file must be there and be readable.
func NewPasswordFile(path string, opts ...FileOption) (*PasswordFile, error) {
	c := newFileConfig(opts)
	if err := c.valid(); err != nil {
		return nil, err
	}
	return openPasswordFile(path, c)
}

// NewHtpasswd makes a checker of a file that Apache's htpasswd writes: "alice:$2y$05$…", with bcrypt (-B), md5
// (-m), sha1 (-s), and all else that [ParseEntry] reads. Empty lines and those that begin with # are skipped. The
// DES crypt of -d and the plain text of -p are refused: their user cannot log in and the log says why.
func NewHtpasswd(path string, opts ...CheckerOption) (*PasswordFile, error) {
	c := newFileConfig(nil)
	for _, o := range opts {
		if o != nil {
			o.applyFile(&c)
		}
	}
	c.column, c.htpasswd = ColumnEntries, true
	return openPasswordFile(path, c)
}

func openPasswordFile(path string, c fileConfig) (*PasswordFile, error) {
	c.complete()
	p := &PasswordFile{path: path, config: c, key: newStandKey()}
	if _, err := p.read(); err != nil {
		return nil, err
	}
	return p, nil
}

// Accepts implements Checker.
func (p *PasswordFile) Accepts(kind Kind) bool {
	switch kind {
	case KindUsernamePassword:
		return true
	case KindChallengeResponse:
		if p.config.column != ColumnEntries {
			return true
		}
		if p.path == "" {
			return false
		}
		users, err := p.users()
		return err == nil && users.answers
	}
	return false
}

// Check implements Checker.
func (p *PasswordFile) Check(ctx context.Context, credentials Credentials) (AvatarID, error) {
	switch {
	case p == nil || p.path == "":
		return AvatarID{}, Fault(
			context.Background(),
			ReasonStore,
			errors.New("cred: the PasswordFile is nil, or was not made by NewPasswordFile or NewHtpasswd"),
		)
	case ctx == nil:
		return AvatarID{}, Fault(context.Background(), ReasonStore, errNoContext)
	case credentials == nil:
		return AvatarID{}, unhandled(credentials)
	}
	if !p.Accepts(credentials.Kind()) {
		return AvatarID{}, unhandled(credentials)
	}
	users, err := p.users()
	if err != nil {
		return AvatarID{}, Fault(ctx, ReasonStore, err)
	}
	return users.check(ctx, p.config.hasher, credentials, p.config.canonical)
}

// users returns those of the file as it is now.
func (p *PasswordFile) users() (*userlist, error) {
	info, err := os.Stat(p.path)
	if err != nil {
		return nil, fmt.Errorf("cred: cannot look at the password file: %w", err)
	}
	if loaded := p.loaded.Load(); loaded.is(info) {
		return loaded.users, nil
	}
	p.reading.Lock()
	defer p.reading.Unlock()
	before := p.loaded.Load()
	if before.is(info) {
		return before.users, nil
	}
	return p.read()
}

// is says whether the file that was loaded is still this one.
func (l *loadedFile) is(info os.FileInfo) bool {
	return l.settled && os.SameFile(l.info, info) && l.info.ModTime().Equal(info.ModTime()) && l.info.Size() == info.Size()
}

// read reads the file and replaces what was loaded. It is called by one goroutine at a time.
func (p *PasswordFile) read() (*userlist, error) {
	begun := time.Now()
	text, info, err := readRegular(p.path)
	if err != nil {
		return nil, err
	}
	before := p.loaded.Load()
	age := begun.Sub(info.ModTime())
	loaded := &loadedFile{info: info, settled: age > settleTime || age < -settleTime}
	entries, err := p.config.parse(text)
	switch {
	case err == nil:
		loaded.users = newUserlist(entries, p.key)
	case before == nil:
		return nil, fmt.Errorf("%s: %w", p.path, err)
	default:
		p.config.logger.Error(
			"cred: the password file has changed and cannot be read; its former users stay",
			"file",
			p.path,
			"error",
			err,
		)
		loaded.users = before.users
	}
	p.loaded.Store(loaded)
	return loaded.users, nil
}

// MaxPasswordFileBytes is how large a password file may be: a hundred thousand users with argon2id.
const MaxPasswordFileBytes = 16 << 20

// readRegular reads a whole file. It does not open pipes and devices, which could keep a login waiting for ever.
func readRegular(path string) (string, os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, fmt.Errorf("cred: cannot look at the password file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", nil, fmt.Errorf("cred: the password file %s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, fmt.Errorf("cred: cannot open the password file: %w", err)
	}
	defer f.Close()
	// The file that was opened need not be the one that was looked at.
	if info, err = f.Stat(); err != nil {
		return "", nil, fmt.Errorf("cred: cannot look at the password file: %w", err)
	}
	var text strings.Builder
	n, err := io.Copy(&text, io.LimitReader(f, MaxPasswordFileBytes+1))
	if err != nil {
		return "", nil, fmt.Errorf("cred: cannot read the password file: %w", err)
	}
	if n > MaxPasswordFileBytes {
		return "", nil, fmt.Errorf(
			"cred: the password file %s is larger than the %d bytes of MaxPasswordFileBytes",
			path,
			MaxPasswordFileBytes,
		)
	}
	return text.String(), info, nil
}

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

// Format implements fmt.Formatter.
func (p *PasswordFile) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<password file>") }
