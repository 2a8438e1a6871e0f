//go:build unix

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// glob finds what fits a pattern, as Python's glob does: "**" stands for any number of directories, names that begin with a dot fit
// only what begins with one, and a pattern that ends with a slash fits directories only. Slashes are kept as they are written. The
// result is sorted.
func glob(pattern string) []string {
	found := expand(pattern, false)
	slices.Sort(found)
	return slices.Compact(found)
}

func magic(s string) bool { return strings.ContainsAny(s, "*?[") }

// expand finds what a pattern fits, for the parts before its last one only among directories.
func expand(pattern string, onlyDirs bool) []string {
	dir, name := split(pattern)
	if !magic(pattern) {
		if there(pattern, name) {
			return []string{pattern}
		}
		return nil
	}
	dirs := []string{dir}
	if dir != pattern && magic(dir) {
		dirs = expand(dir, true)
	}
	var found []string
	for _, dir := range dirs {
		switch {
		case name == "**":
			found = append(found, join(dir, ""))
			found = append(found, below(dir, onlyDirs, nil)...)
		case magic(name):
			for _, entry := range visible(dir, onlyDirs, strings.HasPrefix(name, ".")) {
				if fits([]rune(name), []rune(entry)) {
					found = append(found, join(dir, entry))
				}
			}
		case there(join(dir, name), name):
			found = append(found, join(dir, name))
		}
	}
	return found
}

// split cuts a path as Python's os.path.split does: the slashes between its parts belong to neither, unless they are the root.
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

// below is what is in a directory and in those in it, through links too. A link that leads back to where we come from is named and not
// followed; Python goes round until the system forbids it.
func below(dir string, onlyDirs bool, above []os.FileInfo) []string {
	about, err := os.Stat(dir)
	if err != nil || !about.IsDir() || slices.ContainsFunc(above, func(a os.FileInfo) bool { return os.SameFile(a, about) }) {
		return nil
	}
	var found []string
	for _, entry := range visible(dir, onlyDirs, false) {
		path := join(dir, entry)
		found = append(found, path)
		found = append(found, below(path, onlyDirs, append(slices.Clip(above), about))...)
	}
	return found
}

// visible are the names in a directory, those of hidden files only if they are wanted. Where nothing can be read there are none.
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

// fits says whether a name is what a pattern without slashes describes, as Python's fnmatch has it: a backslash is a character like any
// other, and so is a bracket that is not closed.
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
