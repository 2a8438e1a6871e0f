package docscheck

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// maxLines bounds the length of a file. Below it, cohesion decides what belongs together.
const maxLines = 800

// TestRepositoryRules checks the rules that no linter checks.
func TestRepositoryRules(t *testing.T) {
	documented := map[string]bool{}
	packages := map[string]bool{}
	vague := regexp.MustCompile(`^package (util|utils|common|types|helpers|misc)\b`)
	// Each path is split in two so that this file does not match.
	outside := []string{"../" + "shared", "/work/" + "shared", "/work/" + "main"}
	files(t, ".go", func(name, text string) {
		assert.LessOrEqual(t, strings.Count(text, "\n"), maxLines, "%s is too long: split it by concern", name)
		dir := path.Dir(name)
		packages[dir] = true
		if path.Base(name) == "doc.go" {
			documented[dir] = true
		}
		for line := range strings.Lines(text) {
			assert.NotRegexp(t, vague, line, "%s: name the package after what it provides", name)
		}
	})
	for _, suffix := range []string{".go", ".md", ".py", ".sh", ".yml", "Makefile"} {
		files(t, suffix, func(name, text string) {
			for _, forbidden := range outside {
				assert.NotContains(t, text, forbidden, "%s refers to a path outside the repository", name)
			}
		})
	}
	for dir := range packages {
		program := path.Dir(dir) == "cmd" // main.go documents it
		if program || strings.Contains("/"+dir, "/examples/") || strings.HasPrefix(dir, "bench") ||
			strings.HasPrefix(dir, ".ci/") || strings.HasPrefix(dir, "docs/guide/code/") {
			continue
		}
		assert.True(t, documented[dir], "%s has no doc.go", dir)
	}
}
