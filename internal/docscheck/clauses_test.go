package docscheck

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestEveryClauseHasItsTest compares the ids of docs/protocol.md with those that tests and code cite.
func TestEveryClauseHasItsTest(t *testing.T) {
	clauses := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^- \*\*(P-\d+\.\d+)\*\* `).FindAllStringSubmatch(read(t, "docs/protocol.md"), -1) {
		assert.False(t, clauses[m[1]], "docs/protocol.md: %s stands there twice", m[1])
		clauses[m[1]] = true
	}
	assert.NotEmpty(t, clauses)

	citation := regexp.MustCompile(`\bP-\d+\.\d+\b`)
	tested := map[string]bool{}
	for _, ending := range []string{".go", ".py", ".md"} {
		files(t, ending, func(path, text string) {
			for _, id := range citation.FindAllString(text, -1) {
				assert.True(t, clauses[id], "%s cites %s, which docs/protocol.md does not have", path, id)
				if strings.HasSuffix(path, "_test.go") {
					tested[id] = true
				}
			}
		})
	}
	for id := range clauses {
		assert.True(t, tested[id], "no _test.go cites %s of docs/protocol.md", id)
	}
}
