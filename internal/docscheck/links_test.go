package docscheck

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestLinks requires that every relative link in a document leads to a file of the repository.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	code := regexp.MustCompile("(?ms)^```.*?^```$")
	files(t, ".md", func(name, text string) {
		text = code.ReplaceAllString(text, "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target := path.Join(path.Dir(name), m[1])
			_, err := os.Stat(filepath.Join(root, target))
			assert.NoError(t, err, "%s links to %s", name, m[1])
		}
	})
}

// TestMakeTargets requires that every make target mentioned in a document exists.
func TestMakeTargets(t *testing.T) {
	makefile := read(t, "Makefile")
	command := regexp.MustCompile("(?m)`make ([a-z-]+)`|^    make ([a-z-]+)")
	files(t, ".md", func(name, text string) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			target := m[1] + m[2]
			assert.Contains(t, makefile, "\n"+target+":", "%s mentions make %s", name, target)
		}
	})
}
