package docscheck

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// longest is the bound on the lines of a file; below it cohesion decides.
const longest = 800

// TestHouseRules are those that no linter of ours looks for.
func TestHouseRules(t *testing.T) {
	documented := map[string]bool{}
	packages := map[string]bool{}
	attic := regexp.MustCompile(`^package (util|utils|common|types|helpers|misc)\b`)
	// Spelled in two halves, or this file would be found itself.
	outside := []string{"../" + "shared", "/work/" + "shared", "/work/" + "main"}
	files(t, ".go", func(name, text string) {
		assert.LessOrEqual(t, strings.Count(text, "\n"), longest, "%s is long: split it by concern", name)
		dir := path.Dir(name)
		packages[dir] = true
		if path.Base(name) == "doc.go" {
			documented[dir] = true
		}
		for line := range strings.Lines(text) {
			assert.NotRegexp(t, attic, line, "%s: a package is named after what it is, not after what is left over", name)
		}
	})
	for _, ending := range []string{".go", ".md", ".py", ".sh", ".yml", "Makefile"} {
		files(t, ending, func(name, text string) {
			for _, words := range outside {
				assert.NotContains(t, text, words, "%s names what is not in the repository", name)
			}
		})
	}
	for dir := range packages {
		if strings.HasPrefix(dir, "examples/") || strings.HasPrefix(dir, "bench") || strings.HasPrefix(dir, ".ci/") {
			continue
		}
		assert.True(t, documented[dir], "%s has no doc.go", dir)
	}
}
