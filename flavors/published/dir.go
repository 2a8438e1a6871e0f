package published

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Dir is a [Store] in a directory, with one file for each state: SERVER-SERVICE-PERSPECTIVE-ID.pub. Files of Twisted
// and of earlier versions of this package have no server in their names. They are not read, and are removed in time.
//
// The peer chooses all parts but the server. Bytes other than letters, digits, underscores and dots, and a dot at the
// beginning, are written as %XX, so that each key has a file of its own in the directory. A name that would be too long
// is replaced by its hash. A state is written to a temporary file, synced and renamed, so a crash leaves either the old
// state or the new one. Several processes may share the directory.
type Dir struct {
	dir      string
	maxState int64
	maxFiles int

	mu sync.Mutex // serializes Saves, which count the files
}

// Default limits of a [Dir].
const (
	// DefaultMaxState is the most bytes of one state, the default limit of a message.
	DefaultMaxState = 16 << 20
	// DefaultMaxFiles is the most states, as many as one connection may have caches (Twisted's MAX_BROKER_REFS).
	DefaultMaxFiles = 1024
)

// DirOption is an option of [NewDir].
type DirOption interface{ applyToDir(*Dir) }

type dirOption func(*Dir)

func (f dirOption) applyToDir(d *Dir) { f(d) }

// WithMaxState limits the bytes of one state. A larger one is not kept. The default is [DefaultMaxState].
func WithMaxState(bytes int64) DirOption {
	return dirOption(func(d *Dir) { d.maxState = bytes })
}

// WithMaxFiles limits the number of files. Beyond it the oldest are removed. The default is [DefaultMaxFiles].
func WithMaxFiles(n int) DirOption {
	return dirOption(func(d *Dir) { d.maxFiles = n })
}

const (
	suffix    = ".pub"
	temporary = ".pub-*.tmp"
	// A temporary file of this age was left by a crash.
	staleTemporary = time.Hour
	// maxName is the longest name without the suffix. File systems allow 255 bytes.
	maxName = 200
)

// NewDir returns a store in dir. It creates dir, accessible to this user only, if it does not exist.
func NewDir(dir string, options ...DirOption) (*Dir, error) {
	d := &Dir{dir: dir, maxState: DefaultMaxState, maxFiles: DefaultMaxFiles}
	for _, o := range options {
		if o != nil {
			o.applyToDir(d)
		}
	}
	if d.maxState <= 0 || d.maxFiles <= 0 {
		return nil, fmt.Errorf(
			"published: the limits of a Dir are positive, not %d bytes and %d files",
			d.maxState,
			d.maxFiles,
		)
	}
	if dir == "" {
		return nil, errors.New("published: a Dir needs the name of a directory")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("published: creating the directory: %w", err)
	}
	d.sweep()
	return d, nil
}

var errNoDir = errors.New("published: this Dir was not made by NewDir")

// sweep removes temporary files that crashes have left, as far as possible.
func (d *Dir) sweep() {
	entries, _ := os.ReadDir(d.dir)
	for _, entry := range entries {
		left, _ := filepath.Match(temporary, entry.Name())
		if info, err := entry.Info(); left && err == nil && time.Since(info.ModTime()) > staleTemporary {
			_ = os.Remove(filepath.Join(d.dir, entry.Name()))
		}
	}
}

// Load implements [Store].
func (d *Dir) Load(key Key) ([]byte, error) {
	if d == nil || d.dir == "" {
		return nil, errNoDir
	}
	path := d.path(key)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("published: %s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, d.maxState+1))
	if err == nil && int64(len(data)) > d.maxState {
		err = fmt.Errorf("published: %s has more than %d bytes (WithMaxState)", file.Name(), d.maxState)
	}
	return data, err
}

// Save implements [Store].
func (d *Dir) Save(key Key, data []byte) error {
	if d == nil || d.dir == "" {
		return errNoDir
	}
	if int64(len(data)) > d.maxState {
		return fmt.Errorf(
			"published: a published state of %d bytes is not kept, the limit is %d (WithMaxState)",
			len(data),
			d.maxState,
		)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	path := d.path(key)
	if err := d.makeRoom(path); err != nil {
		return err
	}
	return replaceFile(path, data)
}

// makeRoom removes the oldest files if another one would exceed the limit.
func (d *Dir) makeRoom(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() &&
			strings.HasSuffix(info.Name(), suffix) {
			files = append(files, info)
		}
	}
	for ; len(files) >= d.maxFiles; files = files[:len(files)-1] {
		oldest := 0
		for i, info := range files {
			if info.ModTime().Before(files[oldest].ModTime()) {
				oldest = i
			}
		}
		if err := os.Remove(filepath.Join(d.dir, files[oldest].Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		files[oldest] = files[len(files)-1]
	}
	return nil
}

// replaceFile replaces the file at path atomically.
func replaceFile(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, temporary)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return err
	}
	// Sync the rename. Some systems cannot sync directories.
	if parent, err := os.Open(dir); err == nil {
		_ = parent.Sync()
		_ = parent.Close()
	}
	return nil
}

func (d *Dir) path(key Key) string { return filepath.Join(d.dir, fileName(key)) }

func fileName(key Key) string {
	name := ""
	if key.Server != "" {
		name = safePart(key.Server) + "-"
	}
	name += safePart(key.Service) + "-" + safePart(key.Perspective) + "-" + safePart(key.ID)
	if len(name) > maxName {
		sum := sha256.Sum256([]byte(name))
		// Unlike other names, this one has a single hyphen.
		name = "sha256-" + hex.EncodeToString(sum[:])
	}
	return name + suffix
}

// safePart encodes a name that a peer chose as a part of a file name.
func safePart(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
