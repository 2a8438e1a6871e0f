package service

import (
	"io"

	"gopkg.in/natefinch/lumberjack.v2"
)

// Log is a log file that is rotated by its size.
type Log struct {
	file   *lumberjack.Logger
	backup io.Writer
}

// OpenLog returns a log. The file is created with the first line. It is rotated at size bytes, rounded up to MiB, and
// count old files are kept; 0 keeps all. A line that cannot be written, for example because the disk is full, goes to
// backup.
func OpenLog(path string, size int64, count int, backup io.Writer) *Log {
	const mega = 1 << 20
	megabytes := max(1, int((size+mega-1)/mega))
	return &Log{&lumberjack.Logger{Filename: path, MaxSize: megabytes, MaxBackups: count, LocalTime: true}, backup}
}

// Write implements io.Writer.
func (l *Log) Write(line []byte) (int, error) {
	if n, err := l.file.Write(line); err == nil {
		return n, nil
	}
	return l.backup.Write(line)
}

// Close implements io.Closer.
func (l *Log) Close() error { return l.file.Close() }
