package service

import (
	"io"
	"os"
	"strconv"
	"sync"
)

// logMode is the mode of a new log file. A log that is rotated keeps its mode.
const logMode = 0o600

// Log is a log file that is rotated by its size, as the stock worker's: the old files have numbers, of which 1 is the
// latest. Nothing depends on the system's clock.
type Log struct {
	path   string
	limit  int64
	count  int
	backup io.Writer

	mu   sync.Mutex
	file *os.File // nil until the first line
	size int64
	mode os.FileMode // of the file that is there, for its successor
}

// OpenLog returns a log. The file is created with the first line. It is rotated before it would exceed size bytes, and
// count old files are kept; 0 keeps all. A line that cannot be written, for example because the disk is full, goes to
// backup.
func OpenLog(path string, size int64, count int, backup io.Writer) *Log {
	return &Log{path: path, limit: size, count: count, backup: backup, mode: logMode}
}

// Write implements io.Writer.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.open()
	if err == nil && l.size > 0 && l.size+int64(len(line)) > l.limit {
		err = l.rotate()
	}
	if err == nil {
		var n int
		n, err = l.file.Write(line)
		l.size += int64(n)
		if err == nil {
			return n, nil
		}
	}
	return l.backup.Write(line)
}

// Close implements io.Closer.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// open opens the file if necessary. Lines are appended to a file that is there.
func (l *Log) open() error {
	if l.file != nil {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, l.mode)
	if err != nil {
		return err
	}
	l.file, l.size = f, 0
	if about, err := f.Stat(); err == nil && about.Mode().IsRegular() {
		l.size, l.mode = about.Size(), about.Mode().Perm()
	}
	return nil
}

// rotate begins a new file. If the old one cannot be renamed, it grows by another limit before the next attempt.
func (l *Log) rotate() error {
	_ = l.file.Close()
	l.file = nil
	last := 0
	for exists(l.old(last + 1)) {
		last++
	}
	for n := last; n > 0; n-- {
		if l.count > 0 && n >= l.count {
			_ = os.Remove(l.old(n))
		} else {
			_ = os.Rename(l.old(n), l.old(n+1))
		}
	}
	stuck := exists(l.old(1)) || os.Rename(l.path, l.old(1)) != nil
	err := l.open()
	if stuck {
		l.size = 0
	}
	return err
}

// old returns the path of an old file.
func (l *Log) old(n int) string { return l.path + "." + strconv.Itoa(n) }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
