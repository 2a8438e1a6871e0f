package docscheck

import (
	"go/format"
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
func TestReadmeExample(t *testing.T) { compile(t, "README.md", goBlocks(t, "README.md")[:1]) }

// TestProgramSnippets compiles the Go blocks of docs/programs.md, those that use package web in its module.
func TestProgramSnippets(t *testing.T) {
	compile(t, "docs/programs.md", goBlocks(t, "docs/programs.md"))
}

func goBlocks(t *testing.T, page string) (blocks []string) {
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, page), -1) {
		blocks = append(blocks, block[1])
	}
	require.NotEmpty(t, blocks, "%s has no Go example", page)
	return blocks
}

// compile compiles examples, each as a program of its own, and checks their format.
func compile(t *testing.T, page string, blocks []string) {
	t.Helper()
	dirs := map[string][]string{}
	for _, block := range blocks {
		source := program(block)
		formatted, err := format.Source([]byte(block))
		require.NoError(t, err, "%s:\n%s", page, block)
		assert.Equal(t, string(formatted), block, "%s: not formatted", page)
		module := "."
		if regexp.MustCompile(`\bweb\.`).MatchString(block) {
			module = filepath.Join("..", "..", "adapters", "web")
		}
		// The directory is inside the module so that its go.mod applies. The underscore excludes it from ./... patterns.
		dir, err := os.MkdirTemp(module, "_snippet")
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
		require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
		dirs[module] = append(dirs[module], "./"+filepath.Base(dir))
	}
	for module, packages := range dirs {
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"vet"}, packages...)...)
		cmd.Dir = module
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "an example in %s does not compile: %s", page, out)
	}
}

// program adds the package clause, the imports and main to the example.
func program(example string) string {
	var b strings.Builder
	b.WriteString("package main\n\nimport (\n")
	for name, path := range map[string]string{
		"context": "context", "fmt": "fmt", "errors": "errors", "http": "net/http",
		"actor":  "github.com/perspectivebroker/pb/actor",
		"broker": "github.com/perspectivebroker/pb/broker", "flavors": "github.com/perspectivebroker/pb/flavors",
		"jelly": "github.com/perspectivebroker/pb/codec/jelly", "cred": "github.com/perspectivebroker/pb/cred",
		"web": "github.com/perspectivebroker/pb/adapters/web",
	} {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(example) {
			b.WriteString("\t\"" + path + "\"\n")
		}
	}
	b.WriteString(")\n\n" + example + "\nfunc main() {}\n")
	return b.String()
}
