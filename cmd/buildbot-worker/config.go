package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/endpoint"
	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/proxy"
)

// config is what the command line and the buildbot.tac say.
type config struct {
	master, name, password, basedir string
	keepalive, patience             time.Duration
	maxDelay                        time.Duration // between attempts; 0: the library's
	maxRetries                      int           // 0: no limit
	umask                           *int          // nil: unchanged
	numCPUs                         int           // 0: count them
	allowShutdown                   string        // "signal", "file" or ""
	deleteLeftovers                 bool

	tls  *tls.Config // nil for a pb:// URL
	dial proxy.Dial  // nil for the library's

	inspect  string // the address of the status pages; empty for none
	logFile  string // empty for standard error
	logSize  int64  // bytes
	logCount int

	environ map[string]string
	unset   []string
	notes   []string // remarks for the log
}

// defaultPort is the master's port if the URL has none.
const defaultPort = 9989

// apply changes the process as configured.
func (c *config) apply() {
	if c.umask != nil {
		setUmask(*c.umask)
	}
	for name, value := range c.environ {
		if err := os.Setenv(name, value); err != nil {
			c.notes = append(c.notes, err.Error())
		}
	}
	for _, name := range c.unset {
		_ = os.Unsetenv(name) // fails for no name
	}
}

// withPort adds the default port to a URL without one; package broker's default is Twisted's. It returns an invalid URL
// unchanged, and package broker reports the error.
func withPort(master string) string {
	u, err := url.Parse(master)
	if err != nil || u.Scheme != "pb" && u.Scheme != "pbs" || u.Hostname() == "" || u.Port() != "" {
		return master
	}
	u.Host = net.JoinHostPort(u.Hostname(), fmt.Sprint(defaultPort))
	return u.String()
}

// tlsVersions are the values of -tls-min.
var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// identity are the files of TLS.
type identity struct{ roots, cert, key, serverName string }

// tlsConfig returns the configuration for a pbs:// URL.
func (i identity) tlsConfig(oldest string) (*tls.Config, error) {
	minimum, known := tlsVersions[oldest]
	if !known {
		return nil, fmt.Errorf("-tls-min is %q; it must be 1.2 or 1.3", oldest)
	}
	config := &tls.Config{MinVersion: minimum, ServerName: i.serverName} //nolint:gosec // old masters speak 1.2 only
	if i.roots != "" {
		pool, err := authorities(i.roots)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	if i.cert == "" && i.key != "" {
		return nil, errors.New("there is a client's key and no certificate; give both")
	}
	if i.cert != "" {
		key := i.key
		if key == "" {
			key = i.cert // one file with both
		}
		pair, err := tls.LoadX509KeyPair(i.cert, key)
		if err != nil {
			return nil, fmt.Errorf("the client's certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// authorities reads the certificates of a file, or of the files *.pem of a directory, as Twisted's trustRoots.
func authorities(path string) (*x509.CertPool, error) {
	files := []string{path}
	about, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("the certificates of the authorities: %w", err)
	}
	if about.IsDir() {
		if files, err = filepath.Glob(filepath.Join(escapeGlob(path), "*.pem")); err != nil {
			return nil, err
		}
	}
	pool, found := x509.NewCertPool(), false
	for _, file := range files {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("the certificates of the authorities: %w", err)
		}
		found = pool.AppendCertsFromPEM(pem) || found
	}
	if !found {
		return nil, fmt.Errorf("%s has no certificate in PEM form", path)
	}
	return pool, nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// useEndpoint takes the master's address, and how to dial it.
func (c *config) useEndpoint(e endpoint.Endpoint) error {
	c.master = e.URL()
	if e.Network == "unix" {
		return nil
	}
	dialer := &net.Dialer{Timeout: e.Timeout}
	if e.Bind != "" {
		ip := net.ParseIP(e.Bind)
		if ip == nil {
			return fmt.Errorf("bindAddress %.60q is no IP address", e.Bind)
		}
		dialer.LocalAddr = &net.TCPAddr{IP: ip}
	}
	c.dial = dialer.DialContext
	return nil
}

// useProxy connects through a proxy: its URL, or "environment".
func (c *config) useProxy(text string, trust *tls.Config) error {
	choose := proxy.FromEnvironment()
	if text != "environment" {
		u, err := proxy.Parse(text)
		if err != nil {
			return err
		}
		choose = proxy.Always(u)
	}
	forward := c.dial
	if forward == nil {
		forward = new(net.Dialer).DialContext
	}
	c.dial = proxy.Through(choose, forward, trust)
	return nil
}
