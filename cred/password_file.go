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

// PasswordFile is a checker of users in a file. It reads the file again when the file's modification time, size or
// identity has changed. It accepts [KindUsernamePassword], and [KindChallengeResponse] if the file holds plaintext or
// md5 passwords.
//
// If the file becomes unreadable, nobody can log in. If its content is invalid, the error is logged and the users of
// the last valid content stay, including those removed since. Content is invalid if its last line has no newline,
// because part of a password must not become a password, or if it contains NUL bytes, which a crash can leave. A file
// that was truncated between two lines cannot be recognized. So replace the file by renaming a complete one, instead of
// writing in place.
type PasswordFile struct {
	path    string
	config  fileConfig
	key     decoyKey
	reading sync.Mutex // held while the file is read
	loaded  atomic.Pointer[loadedFile]
}

// loadedFile is the content of the file when it was read. It is immutable.
type loadedFile struct {
	users *userlist
	info  os.FileInfo
	// settled is false if the file was so new that another write might not change its modification time.
	settled bool
}

// settleTime exceeds the resolution of every file system's times. FAT's is two seconds.
const settleTime = 2 * time.Second

// NewPasswordFile returns a checker of a file in the format of Twisted's FilePasswordDB: one user per line, in columns
// separated by a delimiter, as in "alice:sesame". Lines with too few columns are skipped, white space at the end of a
// line is removed, and the first line for a name counts. Every line must end with a newline, also the last. Unlike in
// Twisted, empty names and passwords cannot log in. The file must exist and be readable.
func NewPasswordFile(path string, opts ...FileOption) (*PasswordFile, error) {
	c := newFileConfig(opts)
	if err := c.valid(); err != nil {
		return nil, err
	}
	return openPasswordFile(path, c)
}

// NewHtpasswd returns a checker of a file written by Apache's htpasswd: "alice:$2y$05$…", with bcrypt (-B), md5 (-m),
// sha1 (-s) and everything else that [ParseEntry] reads. Empty lines and those that begin with # are skipped. The DES
// crypt of -d and the plain text of -p are refused: such users cannot log in, and the log says why.
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
	p := &PasswordFile{path: path, config: c, key: newDecoyKey()}
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

// users returns the users of the file's current content.
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

// is reports whether the loaded file is unchanged.
func (l *loadedFile) is(info os.FileInfo) bool {
	return l.settled && os.SameFile(l.info, info) && l.info.ModTime().Equal(info.ModTime()) && l.info.Size() == info.Size()
}

// read reads the file and replaces the loaded content. Callers hold p.reading, except during construction.
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
			"cred: the password file has changed and is invalid; its previous users stay",
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

// MaxPasswordFileBytes is the maximum size of a password file: a hundred thousand users with argon2id.
const MaxPasswordFileBytes = 16 << 20

// readRegular reads a whole file. It does not open pipes and devices, which could block a login forever.
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
	// The file may have been replaced in between.
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

// FileOption configures a PasswordFile. Every CheckerOption is a FileOption.
type FileOption interface{ applyFile(*fileConfig) }

type fileConfig struct {
	checkerConfig
	column     Column
	delimiter  string
	user       int // column, counted from 0
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

// WithDelimiter sets the separator of columns: Twisted's delim. Default: a colon.
func WithDelimiter(delimiter string) FileOption {
	return fileOption(func(c *fileConfig) { c.delimiter = delimiter })
}

// WithColumns sets the columns of the username and the password, counted from 0: Twisted's usernameField and
// passwordField. Default: 0 and 1.
func WithColumns(user, password int) FileOption {
	return fileOption(func(c *fileConfig) { c.user, c.password = user, password })
}

// WithIgnoreCase ignores the case of A to Z in usernames and makes avatar ids lower case: Twisted's
// caseSensitive=False. Default: case matters.
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

// canonical returns the name under which a user is stored.
func (c *fileConfig) canonical(name string) string {
	if c.ignoreCase {
		return lowerASCII(name)
	}
	return name
}

// lowerASCII lowers the 26 letters that Python's bytes.lower changes, because the file may have any encoding.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// Limits of a password file.
const (
	// MaxPasswordFileLine is the maximum length of a line in bytes: a name, an entry, and room for other columns.
	MaxPasswordFileLine = 8192
	// MaxPasswordFileUsers is the maximum number of users. Larger sets belong in a database.
	MaxPasswordFileUsers = 100_000
)

// parse parses the file. It returns an error if the file as a whole is invalid. An unusable entry affects only its own
// user.
func (c *fileConfig) parse(text string) (map[string]Entry, error) {
	users := map[string]Entry{}
	number := 0
	text = strings.TrimPrefix(text, byteOrderMark)
	if at := strings.IndexByte(text, 0); at >= 0 {
		return nil, fmt.Errorf(
			"cred: line %d has a NUL byte: the file is damaged or UTF-16; write it again",
			1+strings.Count(text[:at], "\n"),
		)
	}
	for line := range strings.Lines(text) {
		number++
		whole := strings.HasSuffix(line, "\n")
		line = strings.TrimRight(line, " \t\n\r\v\f") // What Python's bytes.rstrip removes.
		if len(line) > MaxPasswordFileLine {
			return nil, fmt.Errorf("cred: line %d has %d bytes, more than the %d of MaxPasswordFileLine",
				number, len(line), MaxPasswordFileLine)
		}
		if !whole {
			// The line may be truncated, and the rest of its password would be accepted.
			return nil, fmt.Errorf("cred: line %d, the last one, has no newline: the file may be truncated; add one", number)
		}
		name, password, err := c.split(line)
		if err != nil {
			return nil, fmt.Errorf("cred: line %d %w", number, err)
		}
		if name = c.canonical(name); CheckUsername(name) != nil {
			continue
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

// byteOrderMark is what some editors write before UTF-8 text.
const byteOrderMark = "\uFEFF"

// split returns an empty name for a line to be skipped.
func (c *fileConfig) split(line string) (name, password string, err error) {
	if c.htpasswd {
		if line == "" || line[0] == '#' {
			return "", "", nil
		}
		name, rest, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return "", "", errors.New("is not name:password")
		}
		password, _, _ = strings.Cut(rest, ":") // Apache ignores further columns
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
