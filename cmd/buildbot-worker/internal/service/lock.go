package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// lockName is the file in a worker's directory that is locked. The lock ends with the process, even if it is killed.
// The file stays.
const lockName = "buildbot-worker.lock"

// ErrLocked is the error of a directory that another worker uses.
var ErrLocked = errors.New("another worker uses the base directory")

// Lock locks a directory for one worker.
func Lock(dir string) (unlock func(), err error) {
	path := filepath.Join(dir, lockName)
	lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o644))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the base directory: %w", err)
	}
	if !locked {
		holder := ""
		if text, err := os.ReadFile(path); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
				holder = fmt.Sprintf(", process %d", pid)
			}
		}
		return nil, fmt.Errorf("%w%s: %s is locked; stop that worker, or give this one a directory of its own", ErrLocked,
			holder, path)
	}
	// The number is for the message above only. On a full disk it is missing.
	_ = os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
	return func() { _ = lock.Unlock() }, nil
}
