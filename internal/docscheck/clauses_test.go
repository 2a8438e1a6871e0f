package docscheck

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestClauseCitations requires that each clause of docs/protocol.md is cited by a test and that each citation exists.
func TestClauseCitations(t *testing.T) {
	clauses := map[string]bool{}
	clause := regexp.MustCompile(`(?m)^- \*\*(P-\d+\.\d+)\*\* `)
	for _, m := range clause.FindAllStringSubmatch(read(t, "docs/protocol.md"), -1) {
		assert.False(t, clauses[m[1]], "docs/protocol.md: duplicate clause %s", m[1])
		clauses[m[1]] = true
	}
	assert.NotEmpty(t, clauses)

	citation := regexp.MustCompile(`\bP-\d+\.\d+\b`)
	tested := map[string]bool{}
	for _, suffix := range []string{".go", ".py", ".md"} {
		files(t, suffix, func(path, text string) {
			for _, id := range citation.FindAllString(text, -1) {
				assert.True(t, clauses[id], "%s cites %s, which is not in docs/protocol.md", path, id)
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
