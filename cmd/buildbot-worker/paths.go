//go:build unix

package main

import (
	"os"
	"os/user"
	"path"
	"path/filepath"
	"strings"
)

// place is where a command works: its paths are relative to the builder's directory.
type place struct {
	builder string // the builder's directory
	base    string // the worker's
}

// join puts paths together as Python's os.path.join does: what is absolute stands alone, and nothing is cleaned. So an
// argument of the master's means the same file as on a stock worker, and is shown the same.
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

// home replaces a ~ or ~user in front by that user's home directory, if there is one.
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

// parent is the directory in which a path stands, as Python's os.path.dirname has it: that of "a/" is "a".
func parent(p string) string { return filepath.Clean(p[:strings.LastIndexByte(p, '/')+1]) }
