package docscheck

import (
	"flag"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var updateGuide = flag.Bool("update-guide", false, "write the snippets of docs/guide into its pages")

// guideBlock matches a fenced block of code and the comment before it that names its source, if there is one.
var guideBlock = regexp.MustCompile("(?ms)(?:^<!-- ([^\n]+) -->\n)?^```([a-z]+)\n(.*?)^```$")

// indentedGo matches a line of an indented block that is Go.
var indentedGo = regexp.MustCompile(`(?m)^(?: {4}|\t).*(?: := |\berr = |\bfunc |\bpackage ).*$`)

// TestGuideHasNoIndentedGo requires that Go in docs/guide is in fenced blocks, which TestGuideSnippets checks.
func TestGuideHasNoIndentedGo(t *testing.T) {
	files(t, ".md", func(name, text string) {
		if path.Dir(name) == "docs/guide" {
			assert.Empty(t, indentedGo.FindAllString(guideBlock.ReplaceAllString(text, ""), -1), name)
		}
	})
}

// TestGuideSnippets requires that each Go or Python block of docs/guide is a file, or a marked part of a file, that
// tests compile and run. The comment before the block names it: "code/login_test.go realm" is the part between the
// lines "//guide:begin realm" and "//guide:end" of that file ("#guide:begin" in Python). Files of other modules are
// named from the top. With -update-guide the test writes the blocks.
func TestGuideSnippets(t *testing.T) {
	used := map[string]bool{}
	pages := 0
	files(t, ".md", func(name, text string) {
		if path.Dir(name) != "docs/guide" {
			return
		}
		pages++
		updated := guideBlock.ReplaceAllStringFunc(text, func(block string) string {
			m := guideBlock.FindStringSubmatch(block)
			source, language, shown := m[1], m[2], m[3]
			if language != "go" && language != "python" {
				return block
			}
			if !assert.NotEmpty(t, source, "%s: no comment names the source of this block:\n%s", name, shown) {
				return block
			}
			assert.False(t, used[source], "%s: %s is shown twice", name, source)
			used[source] = true
			want := snippet(t, source)
			if !*updateGuide {
				assert.Equal(t, want, shown, "%s differs from %s; run go test ./internal/docscheck -update-guide",
					name, source)
			}
			return "<!-- " + source + " -->\n```" + language + "\n" + want + "```"
		})
		if *updateGuide && updated != text {
			require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(updated), 0o600))
		}
	})
	assert.Greater(t, pages, 8, "too few pages")
	marker := regexp.MustCompile(`(?m)^\s*(?://|#)guide:begin (\S+)$`)
	for _, suffix := range []string{".go", ".py"} {
		files(t, suffix, func(name, text string) {
			for _, m := range marker.FindAllStringSubmatch(text, -1) {
				source := strings.TrimPrefix(name, "docs/guide/") + " " + m[1]
				assert.True(t, used[source], "no page shows %s", source)
			}
		})
	}
}

// TestGuideIndex requires that the index links every page of the guide.
func TestGuideIndex(t *testing.T) {
	index := read(t, "docs/guide/README.md")
	files(t, ".md", func(name, _ string) {
		if dir, page := path.Split(name); dir == "docs/guide/" && page != "README.md" {
			assert.Contains(t, index, "]("+page+")", "docs/guide/README.md does not link %s", page)
		}
	})
}

// snippet returns a file that tests run, or a marked part of it, without markers and without its indentation.
func snippet(t *testing.T, source string) string {
	t.Helper()
	name, part, isPart := strings.Cut(source, " ")
	var kept []string
	within, found := !isPart, !isPart
	if !strings.Contains(name, "/") || strings.HasPrefix(name, "code/") {
		name = path.Join("docs/guide", name)
	}
	for line := range strings.Lines(read(t, name)) {
		begin, isBegin := strings.CutPrefix(strings.TrimLeft(strings.TrimSpace(line), "/#"), "guide:begin ")
		switch {
		case isBegin && begin == part:
			within, found = true, true
		case isBegin: // a marker of another part
		case strings.TrimLeft(strings.TrimSpace(line), "/#") == "guide:end":
			within = within && !isPart
		case within:
			kept = append(kept, line)
		}
	}
	require.True(t, found, "%s has no part %q", name, part)
	require.NotEmpty(t, kept, "%s is empty", source)
	return dedent(kept)
}

// dedent removes the white space that all lines begin with.
func dedent(lines []string) string {
	blank := func(line string) bool { return strings.TrimSpace(line) == "" }
	for len(lines) > 0 && blank(lines[0]) {
		lines = lines[1:]
	}
	for len(lines) > 0 && blank(lines[len(lines)-1]) {
		lines = lines[:len(lines)-1]
	}
	prefix := lines[0][:len(lines[0])-len(strings.TrimLeft(lines[0], " \t"))]
	for _, line := range lines {
		for !blank(line) && !strings.HasPrefix(line, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(strings.TrimSuffix(strings.TrimPrefix(line, prefix), "\n") + "\n")
	}
	return b.String()
}

func TestDedent(t *testing.T) {
	assert.Equal(t, "a\n\n\tb\nc\n", dedent([]string{"\n", "\t\ta\n", "\n", "\t\t\tb\n", "\t\tc\n", "\n"}))
}
