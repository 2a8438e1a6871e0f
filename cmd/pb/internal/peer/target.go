package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Target is a parsed URL.
type Target struct {
	TLS     bool
	Network string // "tcp" or "unix"
	Address string // host:port or a path
	Name    string // of the published object
}

const (
	defaultPort = "8787" // Twisted's pb.portno
	rootName    = "root"
)

// ParseTarget reads pb://host[:port][/name], the same with pbs (TLS), and pb+unix:///path[?name=name], as package
// broker does.
func ParseTarget(s string) (Target, error) {
	u, err := url.Parse(s)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err // Do not repeat the URL: it may contain a password.
		}
		return Target{}, fmt.Errorf("invalid URL: %w", err)
	}
	fail := func(what string) (Target, error) {
		return Target{}, fmt.Errorf("URL %q: %s", u.Redacted(), what)
	}
	switch {
	case u.User != nil:
		return fail("a URL must not contain user and password; log in with -u")
	case u.Fragment != "":
		return fail("a fragment (#…) is not allowed")
	}
	switch u.Scheme {
	case "pb", "pbs":
		return tcpTarget(u, fail)
	case "pb+unix":
		return unixTarget(u, fail)
	case "":
		return fail("the scheme is missing; write pb://host:port or pb+unix:///path")
	}
	return fail(fmt.Sprintf("unknown scheme %q; use pb, pbs or pb+unix", u.Scheme))
}

func tcpTarget(u *url.URL, fail func(string) (Target, error)) (Target, error) {
	host, port := u.Hostname(), u.Port()
	switch {
	case u.RawQuery != "":
		return fail("a query (?…) is not allowed")
	case host == "" && port == "":
		return fail("the host is missing; write " + u.Scheme + "://host:port")
	case port == "":
		port = defaultPort
	}
	t := Target{TLS: u.Scheme == "pbs", Network: "tcp", Address: net.JoinHostPort(host, port), Name: rootName}
	if name := strings.TrimPrefix(u.Path, "/"); name != "" {
		t.Name = name
	}
	return t, nil
}

func unixTarget(u *url.URL, fail func(string) (Target, error)) (Target, error) {
	switch {
	case u.Host != "":
		return fail(fmt.Sprintf("a socket path starts with a slash: write pb+unix:///%s%s", u.Host, u.Path))
	case u.Path == "" || u.Path == "/":
		return fail("the path of the socket is missing; write pb+unix:///path")
	}
	t := Target{Network: "unix", Address: u.Path, Name: rootName}
	for key, values := range u.Query() {
		if key != "name" || len(values) != 1 || values[0] == "" {
			return fail("the only allowed query is ?name=NAME")
		}
		t.Name = values[0]
	}
	return t, nil
}

// Socket connects to the target. With TLS it makes the handshake.
func (t Target) Socket(ctx context.Context, config *tls.Config) (net.Conn, error) {
	var d net.Dialer
	sock, err := d.DialContext(ctx, t.Network, t.Address)
	if err != nil || !t.TLS {
		return sock, err
	}
	c := &tls.Config{}
	if config != nil {
		c = config.Clone()
	}
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS12 // Stock servers may have no more.
	}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(t.Address) // The address was made by JoinHostPort.
	}
	secure := tls.Client(sock, c)
	if err := secure.HandshakeContext(ctx); err != nil {
		sock.Close()
		return nil, fmt.Errorf("the TLS handshake: %w", err)
	}
	return secure, nil
}
