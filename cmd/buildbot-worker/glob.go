//go:build unix

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

// maxPaths is how many names an answer may have: no list on the wire has more.
const maxPaths = 640 << 10

var errTooManyPaths = fmt.Errorf("more than %d names, which no answer can carry: %w", maxPaths, syscall.E2BIG)

// glob finds what fits a pattern, as Python's glob does: "**" stands for any number of directories, names that begin
// with a dot fit only what begins with one, and a pattern that ends with a slash fits directories only. Slashes are
// kept as they are written. The result is sorted. Patterns with many "**" take long where directories are many, so the
// end of ctx ends it.
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
	err error // why it ended early
}

// over reports whether the search is to end, with so many names found.
func (g *globber) over(found int) bool {
	if g.err == nil {
		g.err = context.Cause(g.ctx)
	}
	if g.err == nil && found > maxPaths {
		g.err = errTooManyPaths
	}
	return g.err != nil
}

// expand finds what a pattern fits, for the parts before its last one only among directories. No path is found twice,
// or patterns with several "**" would find more than there is memory for.
func (g *globber) expand(pattern string, onlyDirs bool) []string {
	dir, name := split(pattern)
	if !magic(pattern) {
		if there(pattern, name) {
			return []string{pattern}
		}
		return nil
	}
	dirs := []string{dir}
	if dir != pattern && magic(dir) {
		dirs = g.expand(dir, true)
	}
	found := pathSet{}
	searched := pathSet{} // the directories of which all that is below has been found
	for _, dir := range dirs {
		if g.over(len(found)) {
			break
		}
		switch {
		case name == "**":
			found.add(join(dir, ""))
			g.below(dir, onlyDirs, nil, found, searched)
		case magic(name):
			for _, entry := range visible(dir, onlyDirs, strings.HasPrefix(name, ".")) {
				if fits([]rune(name), []rune(entry)) {
					found.add(join(dir, entry))
				}
			}
		case there(join(dir, name), name):
			found.add(join(dir, name))
		}
	}
	return slices.Collect(maps.Keys(found))
}

type pathSet map[string]struct{}

// add reports false if the path was there.
func (s pathSet) add(path string) bool {
	n := len(s)
	s[path] = struct{}{}
	return len(s) > n
}

// split cuts a path as Python's os.path.split does: the slashes between its parts belong to neither, unless they are
// the root.
func split(path string) (dir, name string) {
	at := strings.LastIndexByte(path, '/') + 1
	dir, name = path[:at], path[at:]
	if trimmed := strings.TrimRight(dir, "/"); trimmed != "" {
		dir = trimmed
	}
	return dir, name
}

// there says whether a path exists: as a directory if it has a slash at its end.
func there(path, name string) bool {
	if name == "" {
		about, err := os.Stat(path)
		return err == nil && about.IsDir()
	}
	_, err := os.Lstat(path)
	return err == nil
}

// below finds what is in a directory and in those in it, through links too. A link that leads back to where we come
// from is named and not followed; Python goes round until the system forbids it.
func (g *globber) below(dir string, onlyDirs bool, above []os.FileInfo, found, searched pathSet) {
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
		g.below(path, onlyDirs, append(slices.Clip(above), about), found, searched)
	}
}

// visible are the names in a directory, those of hidden files only if they are wanted. Where nothing can be read there
// are none.
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
			// A link to a directory will do.
			if about, err := os.Stat(filepath.Join(dir, e.Name())); err != nil || !about.IsDir() {
				continue
			}
		}
		names = append(names, e.Name())
	}
	return names
}

// fits says whether a name is what a pattern without slashes describes, as Python's fnmatch has it: a backslash is a
// character like any other, and so is a bracket that is not closed.
func fits(pattern, name []rune) bool {
	star, again := -1, 0 // the last star, and how much of the name it takes
	p, n := 0, 0
	for n < len(name) {
		if p < len(pattern) && pattern[p] == '*' {
			star, again = p, n
			p++
			continue
		}
		if p < len(pattern) {
			if ok, size := fitsOne(pattern[p:], name[n]); ok {
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

// fitsOne compares a character with the beginning of a pattern, of which it returns the length.
func fitsOne(pattern []rune, r rune) (bool, int) {
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
	// A bracket in front closes nothing.
	length := slices.Index(class[1:], ']') + 1
	if length == 0 {
		return r == '[', 1
	}
	size := len(pattern) - len(class) + length + 1
	return inClass(class[:length], r) != negated, size
}

// inClass knows characters and ranges of them.
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
