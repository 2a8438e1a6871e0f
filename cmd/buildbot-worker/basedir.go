package main

import (
	"fmt"
	"os"
)

// hupIgnored is true if SIGHUP was ignored when the program began, as under nohup.
var hupIgnored bool

// checkBasedir reports a base directory that cannot be used, or that a stock worker uses.
func checkBasedir(dir string) error {
	about, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("the base directory: %w", err)
	}
	if !about.IsDir() {
		return fmt.Errorf("the base directory %s is not a directory", dir)
	}
	if err := checkAccess(dir, about); err != nil {
		return err
	}
	if pid := stockWorker(dir); pid != 0 {
		return fmt.Errorf("a stock worker runs in %s as process %d: stop it with \"buildbot-worker stop %s\" of the stock "+
			"program, or with kill %d", dir, pid, dir, pid)
	}
	return nil
}
