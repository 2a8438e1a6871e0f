//go:build unix

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// version is what the master shows as the worker's. The first part is the stock worker whose commands these are.
const version = "3.7.0-pb-go"

// commandVersion is the version of the stock worker's commands whose arguments and updates these have. Masters look at
// it to know how to call them. 3.1 is what stock 3.7 has; 3.2 (stock 3.10) tells why a command was ended, 3.3 (stock
// 4.1) knows max_lines.
const commandVersion = "3.3"

// maxInfoFile is how much of a file that describes the worker is shown: what one string may have on the wire is ten
// times that.
const maxInfoFile = 64 << 10

// osRelease is where the system says what it is.
const osRelease = "/etc/os-release"

func commandVersions() map[string]string {
	versions := map[string]string{}
	for name := range jobs() {
		versions[name] = commandVersion
	}
	return versions
}

// workerInfo is what masters know of a worker: the files of its info directory by their names, what the system is, and
// some facts.
func workerInfo(basedir string) map[string]any {
	info := map[string]any{}
	for name, text := range infoFiles(filepath.Join(basedir, infoDir)) {
		info[name] = text
	}
	for key, value := range release(osRelease) {
		info["os_"+key] = value
	}
	environ := map[string]string{}
	for _, entry := range os.Environ() {
		if key, value, ok := strings.Cut(entry, "="); ok && key != "" {
			environ[clean(key)] = clean(value)
		}
	}
	info["environ"] = environ
	info["system"] = "posix"
	info["basedir"] = clean(basedir)
	info["numcpus"] = runtime.NumCPU()
	info["version"] = version
	info["worker_commands"] = commandVersions()
	info["delete_leftover_dirs"] = false
	return info
}

// infoFiles reads the files by which the worker's administrator describes it: admin, host, and what else he likes.
func infoFiles(dir string) map[string]string {
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return files // there need not be any
	}
	for _, entry := range entries {
		if text, err := readSmall(filepath.Join(dir, entry.Name()), maxInfoFile); err == nil {
			files[clean(entry.Name())] = clean(newlinesOf(text))
		}
	}
	return files
}

// release reads the assignments of an os-release file, with small letters.
func release(path string) map[string]string {
	facts := map[string]string{}
	text, err := readSmall(path, maxInfoFile)
	if err != nil {
		return facts
	}
	for line := range strings.Lines(newlinesOf(text)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if ok && value != "" && !strings.HasPrefix(key, "#") {
			facts[strings.ToLower(clean(key))] = strings.Trim(clean(value), `"`)
		}
	}
	return facts
}

// newlinesOf gives every line the end that Python gives it when it reads text.
func newlinesOf(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}

// clean makes text of what may be any bytes, as the wire demands.
func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
