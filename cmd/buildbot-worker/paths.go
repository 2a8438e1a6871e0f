//go:build unix

package main

import (
	"os"
	"os/user"
	"path"
	"path/filepath"
	"strings"
)

// place is where a command works.
type place struct {
	builder string // the builder's directory
	base    string // the worker's
}

// join joins paths as Python's os.path.join does: an absolute path discards what comes before it, and nothing is
// cleaned. So the master's path names the same file as on a stock worker, and is shown the same.
func join(parts ...string) string {
	joined := ""
	for _, part := range parts {
		switch {
		case strings.HasPrefix(part, "/"):
			joined = part
		case joined == "" || strings.HasSuffix(joined, "/"):
			joined += part
		default:
			joined += "/" + part
		}
	}
	return joined
}

// home expands a leading ~ or ~user if that user exists.
func home(p string) string {
	if !strings.HasPrefix(p, "~") {
		return p
	}
	name, rest, _ := strings.Cut(p[1:], "/")
	dir := os.Getenv("HOME")
	if name != "" || dir == "" {
		var u *user.User
		var err error
		if name == "" {
			u, err = user.Current()
		} else {
			u, err = user.Lookup(name)
		}
		if err != nil {
			return p
		}
		dir = u.HomeDir
	}
	if rest == "" && !strings.Contains(p, "/") {
		return dir
	}
	return path.Join(dir, "/") + "/" + rest
}

// parent returns the directory of a path as Python's os.path.dirname does: that of "a/" is "a".
func parent(p string) string { return filepath.Clean(p[:strings.LastIndexByte(p, '/')+1]) }
