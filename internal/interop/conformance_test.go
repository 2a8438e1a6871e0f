package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/stock"
)

// TestConformance runs the checks of stock Twisted against examples/conformance, group by group, and ends with a table of the results. Where
// PB_INTEROP_TABLE names a file, the table is written there as well.
func TestConformance(t *testing.T) {
	stock.Require(t)
	program := buildConformance(t)
	certs := makeCertificates(t)
	results := &table{}
	defer results.publish(t)

	t.Run("tcp", func(t *testing.T) {
		url := startConformance(t, program, "-listen", "pb://127.0.0.1:0")
		results.check(t, "types", url, "values", "types")
		results.check(t, "graphs", url, "graphs")
		results.check(t, "calls", url, "calls", "failures")
		results.check(t, "references", url, "references", "home")
		results.check(t, "caches", url, "copies", "caches")
		results.check(t, "pages", url, "paging", "pages")
		results.check(t, "hostile streams", url, "hostile")
		results.check(t, "churn", url, "churn")
	})
	t.Run("login", func(t *testing.T) {
		url := startConformance(t, program, "-listen", "pb://127.0.0.1:0", "-cred", "moe=secret", "-anonymous")
		results.check(t, "login", url, "login")
	})
	t.Run("unix", func(t *testing.T) {
		url := startConformance(t, program, "-listen", "pb+unix://"+filepath.Join(t.TempDir(), "s"))
		results.check(t, "transports: unix", url, "values", "calls", "references", "caches")
	})
	t.Run("tls", func(t *testing.T) {
		url := startConformance(t, program, "-listen", "pbs://127.0.0.1:0", "-cert", certs.cert, "-key", certs.key)
		results.checkWith(t, "transports: TLS", url, []string{"--ca", certs.ca}, "values", "calls", "references", "caches")
	})
	t.Run("mutual tls", func(t *testing.T) {
		url := startConformance(t, program, "-listen", "pbs://127.0.0.1:0", "-cert", certs.cert, "-key", certs.key, "-client-ca", certs.ca,
			"-cred", "moe=secret", "-anonymous")
		args := []string{"--ca", certs.ca, "--cert", certs.clientCert, "--key", certs.clientKey}
		results.checkWith(t, "transports: mutual TLS", url, args, "login")
		assert.NotZero(t, Client(t, url, "--ca", certs.ca, "--only", "login_anonymously").ExitWithin(stock.Patience),
			"nobody gets in without a certificate")
	})
}

// table is what a run of the suite has found, one row for each group.
type table struct{ rows []row }

type row struct {
	group          string
	checks, passed int
}

func (results *table) check(t *testing.T, group, url string, checks ...string) {
	t.Helper()
	results.checkWith(t, group, url, nil, checks...)
}

func (results *table) checkWith(t *testing.T, group, url string, args []string, checks ...string) {
	t.Helper()
	for _, c := range checks {
		args = append(args, "--group", c)
	}
	r := row{group: group}
	t.Run(group, func(t *testing.T) {
		client := Client(t, url, args...)
		code := client.ExitWithin(5 * stock.Patience)
		for _, line := range client.Lines() {
			verdict, rest, _ := strings.Cut(line, " ")
			switch verdict {
			case "ok":
				r.checks++
				r.passed++
			case "FAIL":
				r.checks++
				t.Error(rest)
			}
		}
		if code != 0 || r.checks == 0 {
			t.Errorf("stock_client.py ended with exit code %d after %d checks", code, r.checks)
		}
	})
	results.rows = append(results.rows, r)
}

func (results *table) publish(t *testing.T) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%-28s %6s %6s\n", "group", "checks", "passed")
	for _, r := range results.rows {
		fmt.Fprintf(&b, "%-28s %6d %6d\n", r.group, r.checks, r.passed)
	}
	t.Log("\n" + b.String())
	if path := os.Getenv("PB_INTEROP_TABLE"); path != "" {
		require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	}
}

func buildConformance(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "conformance")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/perspectivebroker/pb/examples/conformance").CombinedOutput()
	require.NoError(t, err, string(out))
	return program
}

// startConformance starts the server and gives its URL. When the test ends it must end in good order, within five seconds.
func startConformance(t *testing.T, program string, args ...string) (url string) {
	t.Helper()
	server := exec.Command(program, args...)
	server.Stderr = os.Stderr
	if !testing.Verbose() {
		server.Stderr = nil
	}
	out, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		began := time.Now()
		require.NoError(t, server.Process.Signal(syscall.SIGTERM))
		kill := time.AfterFunc(stock.Patience, func() { _ = server.Process.Kill() })
		defer kill.Stop()
		assert.NoError(t, server.Wait(), "exit code 0 after SIGTERM")
		t.Logf("the server ended after %v", time.Since(began))
	})
	var word string
	_, err = fmt.Fscanln(out, &word, &url)
	require.NoError(t, err)
	require.Equal(t, "listening", word)
	return url
}
