package main

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// version is the version that the master shows. Its first part is the stock worker with the same commands.
const version = "3.7.0-pb-go"

// commandVersion is the stock version of the commands' arguments and updates. Masters decide by it how to call them.
// Stock 3.7 has 3.1; 3.2 (stock 3.10) adds failure_reason, 3.3 (stock 4.1) max_lines.
const commandVersion = "3.3"

// maxInfoFile limits how much of an info file is shown, in bytes. It is a tenth of Banana's limit for a string.
const maxInfoFile = 64 << 10

// osRelease is the file that describes the operating system.
const osRelease = "/etc/os-release"

func commandVersions() map[string]string {
	versions := map[string]string{}
	for name := range jobs() {
		versions[name] = commandVersion
	}
	return versions
}

// workerInfo returns what getWorkerInfo answers: the info files by name, the operating system, and facts about the
// worker.
func workerInfo(c *config) map[string]any {
	info := map[string]any{}
	for name, text := range infoFiles(filepath.Join(c.basedir, infoDir)) {
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
	info["system"] = systemName
	info["basedir"] = clean(c.basedir)
	info["numcpus"] = cmp.Or(c.numCPUs, runtime.NumCPU())
	info["version"] = version
	info["worker_commands"] = commandVersions()
	info["delete_leftover_dirs"] = c.deleteLeftovers
	return info
}

// infoFiles returns the files with which the administrator describes the worker: admin, host and any others.
func infoFiles(dir string) map[string]string {
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return files // the directory is optional
	}
	for _, entry := range entries {
		if text, err := readSmall(filepath.Join(dir, entry.Name()), maxInfoFile); err == nil {
			files[clean(entry.Name())] = clean(newlinesOf(text))
		}
	}
	return files
}

// release returns the assignments of an os-release file with lower-case keys.
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

// newlinesOf converts line ends as Python's text mode does.
func newlinesOf(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}

// clean replaces invalid UTF-8, which the wire does not carry.
func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
