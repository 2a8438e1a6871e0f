//go:build unix

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// glob finds what fits a pattern, as Python's glob does: "**" stands for any number of directories, and names that begin with a dot fit
// only what begins with one. The result is sorted.
func glob(pattern string) []string {
	root := ""
	if strings.HasPrefix(pattern, "/") {
		root = "/"
	}
	found := []string{root}
	parts := strings.FieldsFunc(pattern, func(r rune) bool { return r == '/' })
	for i, part := range parts {
		last := i == len(parts)-1
		var next []string
		for _, dir := range found {
			next = append(next, expand(dir, part, last)...)
		}
		found = next
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// expand finds what one part of a pattern fits in a directory: anything if it is the last part, and else directories.
func expand(dir, part string, last bool) []string {
	switch {
	case part == "**":
		return below(dir, last)
	case !strings.ContainsAny(part, "*?["):
		path := dir + part
		if about, err := os.Lstat(path); err != nil || !last && !isDir(path, about) {
			return nil
		}
		return []string{ended(path, last)}
	}
	var found []string
	for _, e := range entries(dir) {
		if strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(part, ".") {
			continue
		}
		if fits, err := filepath.Match(goPattern(part), e.Name()); err != nil || !fits {
			continue
		}
		path := dir + e.Name()
		if !last && !isDir(path, nil) {
			continue
		}
		found = append(found, ended(path, last))
	}
	return found
}

// below are a directory and the directories in it, with their files too if that is the end of the pattern.
func below(dir string, last bool) []string {
	found := []string{dir}
	for _, e := range entries(dir) {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := dir + e.Name()
		switch {
		case e.IsDir() && last:
			inner := below(path+"/", last)
			inner[0] = path
			found = append(found, inner...)
		case e.IsDir():
			found = append(found, below(path+"/", last)...)
		case last:
			found = append(found, path)
		}
	}
	return found
}

// ended marks a directory that more parts follow.
func ended(path string, last bool) string {
	if last {
		return path
	}
	return path + "/"
}

func entries(dir string) []os.DirEntry {
	if dir == "" {
		dir = "."
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil // where nothing can be read nothing fits
	}
	return found
}

func isDir(path string, about os.FileInfo) bool {
	if about != nil && about.IsDir() {
		return true
	}
	about, err := os.Stat(path) // a link to a directory will do
	return err == nil && about.IsDir()
}

// goPattern writes the negation of a class as Go does.
func goPattern(part string) string { return strings.ReplaceAll(part, "[!", "[^") }
