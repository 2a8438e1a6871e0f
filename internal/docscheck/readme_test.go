package docscheck

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadmeExample compiles the first Go block of README.md against this repository.
func TestReadmeExample(t *testing.T) {
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindStringSubmatch(read(t, "README.md"))
	require.NotNil(t, block, "README.md has no Go example")

	// The directory is inside the module so that its go.mod applies. The underscore excludes it from ./... patterns.
	dir, err := os.MkdirTemp(".", "_readme")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(program(block[1])), 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "vet", "./"+dir).CombinedOutput()
	require.NoError(t, err, "the example in README.md does not compile: %s", out)
}

// program adds the package clause, the imports and main to the example.
func program(example string) string {
	var b strings.Builder
	b.WriteString("package main\n\nimport (\n")
	for name, path := range map[string]string{
		"context": "context", "fmt": "fmt", "errors": "errors", "actor": "github.com/perspectivebroker/pb/actor",
		"broker": "github.com/perspectivebroker/pb/broker", "flavors": "github.com/perspectivebroker/pb/flavors",
	} {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(example) {
			b.WriteString("\t\"" + path + "\"\n")
		}
	}
	b.WriteString(")\n\n" + example + "\nfunc main() {}\n")
	return b.String()
}
