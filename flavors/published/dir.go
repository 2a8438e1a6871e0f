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

// Dir is a [Store] in a directory: a file for each state, named SERVER-SERVICE-PERSPECTIVE-ID.pub.
// Twisted's names, and those of earlier versions of this package, lack the server; such files are not read, because it
// is not known whose they are. Their states are fetched anew, and they give way with time.
//
// All parts but the server are the peer's choice. All but letters, digits, underscores and dots behind the first letter
// are written as %XX, so that a name stays in the directory and means one key only; a name that would be too long is a
// hash. A state is written to a file of its own, flushed to the disk and then renamed, so that a crash leaves the old
// state or the new one. Several processes may share the directory.
type Dir struct {
	dir      string
	maxState int64
	maxFiles int

	mu sync.Mutex // one Save at a time looks how many files there are
}

// Limits of a [Dir], and what they are unless an option says otherwise.
const (
	// DefaultMaxState is the most bytes of one state: what one message may have.
	DefaultMaxState = 16 << 20
	// DefaultMaxFiles is as many states as one connection may have caches (Twisted's MAX_BROKER_REFS).
	DefaultMaxFiles = 1024
)

// DirOption is an option of [NewDir]: [WithMaxState] or [WithMaxFiles].
type DirOption interface{ applyToDir(*Dir) }

type dirOption func(*Dir)

func (f dirOption) applyToDir(d *Dir) { f(d) }

// WithMaxState bounds the bytes of one state; a larger one is not kept. The default is
// [DefaultMaxState].
func WithMaxState(bytes int64) DirOption {
	return dirOption(func(d *Dir) { d.maxState = bytes })
}

// WithMaxFiles bounds the number of files; the ones that were written longest ago give way. The default is
// [DefaultMaxFiles].
func WithMaxFiles(n int) DirOption {
	return dirOption(func(d *Dir) { d.maxFiles = n })
}

const (
	suffix      = ".pub"
	halfWritten = ".pub-*.tmp"
	// A file of this age was left by a process that did not live to rename it.
	staleTemporary = time.Hour
	// maxName leaves room below the 255 bytes that file systems allow.
	maxName = 200
)

// NewDir keeps states in a directory, which is made, for this user alone, if it is not there.
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
		return nil, fmt.Errorf("published: no directory for what is published: %w", err)
	}
	d.sweep()
	return d, nil
}

var errNoDir = errors.New("published: this Dir was not made by NewDir")

// sweep removes what crashes have left behind. What cannot be removed does no harm.
func (d *Dir) sweep() {
	entries, _ := os.ReadDir(d.dir)
	for _, entry := range entries {
		left, _ := filepath.Match(halfWritten, entry.Name())
		if info, err := entry.Info(); left && err == nil && time.Since(info.ModTime()) > staleTemporary {
			_ = os.Remove(filepath.Join(d.dir, entry.Name()))
		}
	}
}

// Load implements Store.
func (d *Dir) Load(key Key) ([]byte, error) {
	if d == nil || d.dir == "" {
		return nil, errNoDir
	}
	path := d.path(key)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("published: %s is no ordinary file", path)
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

// Save implements Store.
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

// makeRoom removes the oldest files, if another one would be too many.
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

// replaceFile puts data in the place of what is at path, in one step as far as a crash is concerned.
func replaceFile(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	temporary, err := os.CreateTemp(dir, halfWritten)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	_, err = temporary.Write(data)
	if err == nil {
		err = temporary.Sync()
	}
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return err
	}
	// The rename itself is on the disk when the directory is. Where directories cannot be flushed there is nothing more to
	// do.
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
		// Other names have two hyphens or three, this one has one.
		name = "sha256-" + hex.EncodeToString(sum[:])
	}
	return name + suffix
}

// safePart writes what a peer has named so that it is one piece of a file's name.
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
