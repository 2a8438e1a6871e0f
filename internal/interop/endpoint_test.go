package interop

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/stock"
)

// endpoint is a running conformance server: examples/conformance, or the stock one.
type endpoint struct {
	dialects  []banana.Profile // that clients speak; nil: all
	speaks    string           // the dialect that clients without dialects agree on with it
	stock     bool
	transport string
	url       string
	certs     certificates
}

// transports are all transports. Tests that need one only use the first, plain TCP.
func transports() []string { return []string{"tcp", "unix", "tls", "mutual tls"} }

// withLogin makes the login the root object; moe's password is "secret".
func withLogin() []string { return []string{"--cred", "moe=secret", "--anonymous"} }

// withoutPB1Flags makes examples/conformance a server without our own dialect.
func withoutPB1Flags() []string { return []string{"-dialects", "pb,none"} }

// outfit is what the servers need to start.
type outfit struct {
	program string // examples/conformance
	certs   certificates
}

func makeOutfit(t *testing.T) outfit {
	t.Helper()
	return outfit{stock.Build(t, "conformance"), makeCertificates(t)}
}

// startOurs starts examples/conformance.
func startOurs(t *testing.T, with outfit, transport string, args ...string) endpoint {
	t.Helper()
	e := endpoint{speaks: "pb+1", transport: transport, certs: with.certs}
	if slices.Contains(args, "-dialects") {
		e.speaks = "pb"
	}
	listen := "pb://127.0.0.1:0"
	switch transport {
	case "unix":
		listen = "pb+unix://" + filepath.Join(t.TempDir(), "s")
	case "tls", "mutual tls":
		listen = "pbs://127.0.0.1:0"
	}
	e.url = startConformance(
		t,
		with.program,
		append(append([]string{"-listen", listen}, e.serverCertificates()...), args...)...)
	return e
}

// startTwin starts python/stock_server.py.
func startTwin(t *testing.T, with outfit, transport string, args ...string) endpoint {
	t.Helper()
	e := endpoint{speaks: "pb", stock: true, transport: transport, certs: with.certs}
	args = append(e.serverCertificates(), args...)
	if transport == "unix" {
		path := filepath.Join(t.TempDir(), "s")
		Server(t, append(args, "--unix", path)...).WaitLine("listening")
		e.url = "pb+unix://" + path
		return e
	}
	scheme := "pb://"
	if e.encrypted() {
		scheme = "pbs://"
	}
	e.url = scheme + Server(t, args...).Addr()
	return e
}

func (e endpoint) encrypted() bool { return strings.HasSuffix(e.transport, "tls") }

func (e endpoint) serverCertificates() (args []string) {
	if e.encrypted() {
		args = []string{"--cert", e.certs.cert, "--key", e.certs.key}
	}
	if e.transport == "mutual tls" {
		args = append(args, "--client-ca", e.certs.ca)
	}
	return args
}

// clientCertificates are the arguments for python/stock_client.py.
func (e endpoint) clientCertificates() (args []string) {
	if e.encrypted() {
		args = []string{"--ca", e.certs.ca}
	}
	if e.transport == "mutual tls" {
		args = append(args, "--cert", e.certs.clientCert, "--key", e.certs.clientKey)
	}
	return args
}

// tls returns the configuration of our client, nil without TLS.
func (e endpoint) tls(t *testing.T) *tls.Config {
	t.Helper()
	if !e.encrypted() {
		return nil
	}
	pem, err := os.ReadFile(e.certs.ca)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	// Twisted of this age speaks TLS 1.2 by default.
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if e.transport == "mutual tls" {
		pair, err := tls.LoadX509KeyPair(e.certs.clientCert, e.certs.clientKey)
		require.NoError(t, err)
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// dial connects our client.
func (e endpoint) dial(t *testing.T, opts ...broker.DialOption) *broker.Conn {
	t.Helper()
	opts = append(opts, broker.WithRegistry(newRegistry(t)))
	if config := e.tls(t); config != nil {
		opts = append(opts, broker.WithTLS(config))
	}
	speaks := e.speaks
	if e.dialects != nil {
		opts, speaks = append(opts, broker.WithDialects(e.dialects...)), "pb"
	}
	conn, err := broker.Dial(t.Context(), newRuntime(t), e.url, opts...)
	require.NoError(t, err)
	require.Equal(t, speaks, conn.Dialect())
	return conn
}

// promisedEnd is the contract's limit of a shutdown. The server itself takes a third of it with peers that do not read.
const promisedEnd = 5 * time.Second

// timed returns how long f takes, without the times in which this machine stood still or had no time for this process:
// a ticker drops the ticks that nobody could take.
func timed(f func()) (took time.Duration) {
	const tick = 10 * time.Millisecond
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for {
		select {
		case <-ticker.C:
			took += tick
		case <-done:
			return took
		}
	}
}

// startConformance starts examples/conformance and returns its URL. At the end of the test the server must end within
// five seconds.
func startConformance(t *testing.T, program string, args ...string) (url string) {
	t.Helper()
	url, _ = startServer(t, program, args...)
	return url
}

// startServer is startConformance that also returns the process id.
func startServer(t *testing.T, program string, args ...string) (url string, pid int) {
	t.Helper()
	server := exec.Command(program, args...)
	if testing.Verbose() {
		server.Stderr = os.Stderr
	}
	out, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		require.NoError(t, server.Process.Signal(syscall.SIGTERM))
		kill := time.AfterFunc(stock.Timeout, func() { _ = server.Process.Kill() })
		defer kill.Stop()
		took := timed(func() { assert.NoError(t, server.Wait(), "exit code 0 after SIGTERM") })
		t.Logf("the server ended after %v", took)
		assert.Less(t, took, promisedEnd, "the contract promises an end within this")
	})
	var word string
	_, err = fmt.Fscanln(out, &word, &url)
	require.NoError(t, err)
	require.Equal(t, "listening", word)
	return url, server.Process.Pid
}
