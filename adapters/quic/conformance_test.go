package quic_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/adapters/quic"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/interop"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/require"
)

// TestConformance runs the checks of the stock client against examples/conformance over QUIC. The client speaks TCP to
// a bridge, which passes its bytes on.
func TestConformance(t *testing.T) {
	stock.Require(t)
	ca := authority.New(t)
	cert, key, _ := ca.Files(ca.Issue("server", nil))
	url := startConformance(t, "-listen", "pbq://127.0.0.1:0", "-cert", cert, "-key", key)
	interop.Check(t, "pb://"+bridge(t, strings.TrimPrefix(url, "pbq://"), ca.Pool()))
}

// startConformance builds and starts the program, and returns the URL that it prints.
func startConformance(t *testing.T, args ...string) string {
	program := filepath.Join(t.TempDir(), "conformance")
	out, err := exec.Command("go", "build", "-o", program, "./examples/conformance").CombinedOutput()
	require.NoError(t, err, "%s", out)
	server := exec.Command(program, args...)
	server.Stderr = t.Output()
	stdout, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		require.NoError(t, server.Process.Signal(os.Interrupt))
		require.NoError(t, server.Wait())
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	require.True(t, ok, line)
	return url
}

// bridge listens on TCP, passes each connection on over QUIC, and returns its address.
func bridge(t *testing.T, server string, trust *x509.CertPool) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var conns sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); conns.Wait() })
	transport := quic.Transport(quic.Config{})
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer near.Close()
				config := &tls.Config{RootCAs: trust, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}
				far, err := transport.Dial(t.Context(), server, config)
				if err != nil {
					return // The client sees the end of its connection.
				}
				defer far.Close()
				var both sync.WaitGroup
				both.Go(func() { pass(far, near) })
				both.Go(func() { pass(near, far) })
				both.Wait()
			})
		}
	}()
	return ln.Addr().String()
}

// pass copies until one side ends, and then ends the other side too.
func pass(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		_, _ = to.Close(), from.Close()
		return
	}
	_ = to.(interface{ CloseWrite() error }).CloseWrite()
}
