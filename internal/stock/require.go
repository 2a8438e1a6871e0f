package stock

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Python is the interpreter that Debian's python3-twisted installs into. Another python3 earlier in PATH
// usually lacks Twisted, so it is named by its full path.
const Python = "/usr/bin/python3"

// Where Debian's twisted-doc keeps its programs.
const (
	PBListings = "/usr/share/doc/twisted-doc/howto/listings/pb"
	Examples   = "/usr/share/doc/twisted-doc/examples"
)

// Need names something beyond Twisted itself that a test cannot do without.
type Need int

const (
	// Docs are the listings and examples of Debian's twisted-doc.
	Docs Need = iota
)

// probe asks the interpreter once per test binary: starting Python a hundred times to learn the same thing
// would cost more than the tests.
var probe = sync.OnceValues(func() (string, error) {
	out, err := exec.Command(Python, "-c", "import twisted.spread.pb, twisted; print(twisted.__version__)").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s cannot import twisted.spread.pb: %w: %s", Python, err, lastLine(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
})

// Version is the version of stock Twisted, or the reason why there is none.
func Version() (string, error) { return probe() }

// Require returns when stock Twisted and everything in needs is installed. Otherwise it skips the test, or
// fails it where CI=true or PB_REQUIRE_STOCK=1 asks for completeness.
func Require(t testing.TB, needs ...Need) {
	t.Helper()
	if reason := missing(needs); reason != "" {
		refuse(t, Mandatory(), reason)
	}
}

// Mandatory says whether a missing stock is a failure here.
func Mandatory() bool {
	return truthy(os.Getenv("CI")) || truthy(os.Getenv("PB_REQUIRE_STOCK"))
}

// refuse ends the test one way or the other; what to install is in both messages.
func refuse(t testing.TB, mandatory bool, reason string) {
	t.Helper()
	if mandatory {
		t.Fatalf("STOCK TWISTED IS REQUIRED HERE: %s", reason)
	}
	t.Skipf("SKIPPED, NOT PASSED, WITHOUT STOCK TWISTED: %s", reason)
}

// missing says what is not there and how to get it, or nothing.
func missing(needs []Need) string {
	if _, err := probe(); err != nil {
		return err.Error() + "; run: apt-get install python3-twisted"
	}
	for _, need := range needs {
		if need == Docs && !haveDocs() {
			return fmt.Sprintf("no listings in %s and %s; run: apt-get install twisted-doc", PBListings, Examples)
		}
	}
	return ""
}

// haveDocs looks for one file of each kind: slim container images install the package but leave out /usr/share/doc.
func haveDocs() bool {
	for _, path := range []string{
		filepath.Join(PBListings, "pb1server.py"),
		filepath.Join(Examples, "pbsimple.py"),
	} {
		if _, err := os.Stat(path); err != nil {
			return false
		}
	}
	return true
}

func truthy(s string) bool {
	switch strings.ToLower(s) {
	case "", "0", "false", "no":
		return false
	}
	return true
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
