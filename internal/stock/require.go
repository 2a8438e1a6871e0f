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

// Python is the interpreter that Debian's python3-twisted installs into. It is an absolute path because another python3
// earlier in PATH usually lacks Twisted.
const Python = "/usr/bin/python3"

// The directories in which Debian's twisted-doc installs its programs.
const (
	PBListings = "/usr/share/doc/twisted-doc/howto/listings/pb"
	Examples   = "/usr/share/doc/twisted-doc/examples"
)

// The programs of Debian's buildbot and buildbot-worker.
const (
	BuildbotProgram = "/usr/bin/buildbot"
	WorkerProgram   = "/usr/bin/buildbot-worker"
)

// The programs of Debian's libervia-backend and kajongg. .ci/stock.sh does not install kajongg, because it brings Qt.
const (
	LiberviaProgram      = "/usr/bin/libervia-backend"
	KajonggServerProgram = "/usr/games/kajonggserver"
)

// Need is something that a test requires besides Twisted itself.
type Need int

const (
	// Docs is the listings and examples of Debian's twisted-doc.
	Docs Need = iota
	// Buildbot is Buildbot's master and worker.
	Buildbot
	// Libervia is the backend of the XMPP client Libervia.
	Libervia
)

// probe returns the version of Twisted. It runs once per test binary, because starting Python is slow.
var probe = sync.OnceValues(func() (string, error) {
	const script = "import twisted.spread.pb, twisted; print(twisted.__version__)"
	out, err := exec.Command(Python, "-c", script).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s cannot import twisted.spread.pb: %w: %s", Python, err, lastLine(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
})

// Version returns the version of stock Twisted, or an error that says why it cannot be used.
func Version() (string, error) { return probe() }

// Require returns if stock Twisted and everything in needs is installed. Otherwise it skips the test, or fails it if
// [Mandatory] returns true.
func Require(t testing.TB, needs ...Need) {
	t.Helper()
	if reason := missing(needs); reason != "" {
		skipOrFail(t, Mandatory(), reason)
	}
}

// Mandatory reports whether tests must fail if stock Twisted is missing: if CI or PB_REQUIRE_STOCK is set.
func Mandatory() bool {
	return truthy(os.Getenv("CI")) || truthy(os.Getenv("PB_REQUIRE_STOCK"))
}

// skipOrFail ends the test. The message says what to install.
func skipOrFail(t testing.TB, mandatory bool, reason string) {
	t.Helper()
	if mandatory {
		t.Fatalf("STOCK TWISTED IS REQUIRED HERE: %s", reason)
	}
	t.Skipf("SKIPPED, NOT PASSED, WITHOUT STOCK TWISTED: %s", reason)
}

// missing says what is not installed and how to install it. It returns "" if nothing is missing.
func missing(needs []Need) string {
	if _, err := probe(); err != nil {
		return err.Error() + "; run: apt-get install python3-twisted"
	}
	for _, need := range needs {
		switch {
		case need == Docs && !haveDocs():
			return fmt.Sprintf("no listings in %s and %s; run: apt-get install twisted-doc", PBListings, Examples)
		case need == Buildbot && !exist(BuildbotProgram, WorkerProgram):
			return fmt.Sprintf("no %s or no %s; run: apt-get install buildbot buildbot-worker", BuildbotProgram, WorkerProgram)
		case need == Libervia && !exist(LiberviaProgram):
			return fmt.Sprintf("no %s; run: apt-get install libervia-backend", LiberviaProgram)
		}
	}
	return ""
}

// haveDocs looks for one file of each directory: slim container images install the package without /usr/share/doc.
func haveDocs() bool {
	return exist(filepath.Join(PBListings, "pb1server.py"), filepath.Join(Examples, "pbsimple.py"))
}

func exist(paths ...string) bool {
	for _, path := range paths {
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
