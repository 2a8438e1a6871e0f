package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxPaths limits the names in an answer. Banana carries no longer list.
const maxPaths = 640 << 10

var errTooManyPaths = fmt.Errorf("more than %d names, which no answer can carry: %w", maxPaths, syscall.E2BIG)

// glob returns the sorted paths that match a pattern, as Python's glob does. "**" matches any number of directories,
// "*" does not match a leading dot, and a pattern that ends with a slash matches directories only. Slashes are kept as
// written. Patterns with many "**" can take long in big trees; the end of ctx ends the search.
func glob(ctx context.Context, pattern string) ([]string, error) {
	g := globber{ctx: ctx}
	found := g.expand(pattern, false)
	if g.err != nil {
		return nil, g.err
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

func magic(s string) bool { return strings.ContainsAny(s, "*?[") }

// globber is one search.
type globber struct {
	ctx context.Context
	err error // why the search ended early
}

// over reports whether to stop the search, with found names so far.
func (g *globber) over(found int) bool {
	if g.err == nil {
		g.err = context.Cause(g.ctx)
	}
	if g.err == nil && found > maxPaths {
		g.err = errTooManyPaths
	}
	return g.err != nil
}

// expand returns the paths that match a pattern, each once: with several "**" the duplicates would fill the memory.
// Every part but the last matches directories only.
func (g *globber) expand(pattern string, onlyDirs bool) []string {
	dir, name := split(pattern)
	if !magic(pattern) {
		if exists(pattern, name) {
			return []string{pattern}
		}
		return nil
	}
	dirs := []string{dir}
	if dir != pattern && magic(dir) {
		dirs = g.expand(dir, true)
	}
	found := pathSet{}
	searched := pathSet{} // directories whose contents have been found
	for _, dir := range dirs {
		if g.over(len(found)) {
			break
		}
		switch {
		case name == "**":
			found.add(join(dir, ""))
			g.walk(dir, onlyDirs, nil, found, searched)
		case magic(name):
			for _, entry := range visible(dir, onlyDirs, strings.HasPrefix(name, ".")) {
				if matches([]rune(name), []rune(entry)) {
					found.add(join(dir, entry))
				}
			}
		case exists(join(dir, name), name):
			found.add(join(dir, name))
		}
	}
	return slices.Collect(maps.Keys(found))
}

type pathSet map[string]struct{}

// add adds a path. It reports false if the path was present.
func (s pathSet) add(path string) bool {
	n := len(s)
	s[path] = struct{}{}
	return len(s) > n
}

// split splits a path as Python's os.path.split does. The slashes between the parts are dropped, except for the root's.
func split(path string) (dir, name string) {
	at := strings.LastIndexByte(path, '/') + 1
	dir, name = path[:at], path[at:]
	if trimmed := strings.TrimRight(dir, "/"); trimmed != "" {
		dir = trimmed
	}
	return dir, name
}

// exists reports whether a path exists, and is a directory if name is empty.
func exists(path, name string) bool {
	if name == "" {
		about, err := os.Stat(path)
		return err == nil && about.IsDir()
	}
	_, err := os.Lstat(path)
	return err == nil
}

// walk adds everything below a directory, through links too. It lists a link to one of the directories above, but does
// not follow it. Python follows it until the system refuses.
func (g *globber) walk(dir string, onlyDirs bool, above []os.FileInfo, found, searched pathSet) {
	if g.over(len(found)) {
		return
	}
	about, err := os.Stat(dir)
	if err != nil || !about.IsDir() ||
		slices.ContainsFunc(above, func(a os.FileInfo) bool { return os.SameFile(a, about) }) {
		return
	}
	if !searched.add(strings.TrimRight(dir, "/")) {
		return
	}
	for _, entry := range visible(dir, onlyDirs, false) {
		path := join(dir, entry)
		found.add(path)
		g.walk(path, onlyDirs, append(slices.Clip(above), about), found, searched)
	}
}

// visible returns the names in a directory, hidden ones if wanted. An unreadable directory has none.
func visible(dir string, onlyDirs, hidden bool) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if !hidden && strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if onlyDirs && !e.IsDir() {
			// A link to a directory counts.
			if about, err := os.Stat(filepath.Join(dir, e.Name())); err != nil || !about.IsDir() {
				continue
			}
		}
		names = append(names, e.Name())
	}
	return names
}

// matches reports whether a name matches a pattern without slashes, as Python's fnmatch does: a backslash is an
// ordinary character, and so is an unclosed bracket.
func matches(pattern, name []rune) bool {
	star, again := -1, 0 // the last star, and where its match ends in the name
	p, n := 0, 0
	for n < len(name) {
		if p < len(pattern) && pattern[p] == '*' {
			star, again = p, n
			p++
			continue
		}
		if p < len(pattern) {
			if ok, size := matchOne(pattern[p:], name[n]); ok {
				p, n = p+size, n+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		again++
		p, n = star+1, again
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne reports whether a character matches the beginning of a pattern, and returns the length of that beginning.
func matchOne(pattern []rune, r rune) (bool, int) {
	if pattern[0] != '[' {
		return pattern[0] == '?' || pattern[0] == r, 1
	}
	class := pattern[1:]
	negated := len(class) > 0 && class[0] == '!'
	if negated {
		class = class[1:]
	}
	if len(class) == 0 {
		return r == '[', 1
	}
	// A bracket directly after the opening one is an ordinary character.
	length := slices.Index(class[1:], ']') + 1
	if length == 0 {
		return r == '[', 1
	}
	size := len(pattern) - len(class) + length + 1
	return inClass(class[:length], r) != negated, size
}

// inClass reports whether a class of characters and ranges contains r.
func inClass(class []rune, r rune) bool {
	for i := 0; i < len(class); i++ {
		if i+2 < len(class) && class[i+1] == '-' {
			if class[i] <= r && r <= class[i+2] {
				return true
			}
			i += 2
			continue
		}
		if class[i] == r {
			return true
		}
	}
	return false
}
