package ldapstore

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// address is where the directory is.
type address struct {
	network string // "tcp" or "unix"
	addr    string
	host    string // for the certificate
	tls     bool   // from the first byte
}

// parseAddress reads ldap://host[:port], ldaps://host[:port] and ldapi://%2Fpath%2Fof%2Fthe%2Fsocket.
func parseAddress(text string) (address, error) {
	if socket, ok := strings.CutPrefix(text, "ldapi://"); ok {
		path, err := url.PathUnescape(strings.TrimSuffix(socket, "/"))
		if err != nil || !strings.HasPrefix(path, "/") {
			return address{}, fmt.Errorf(
				"ldapstore: %q must name a socket, with %%2F for each slash: ldapi://%%2Frun%%2Fslapd%%2Fldapi",
				text,
			)
		}
		return address{network: "unix", addr: path}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "ldap" && u.Scheme != "ldaps" {
		return address{}, fmt.Errorf(
			"ldapstore: the directory's URL must be ldaps://host[:port], ldap://host[:port] or ldapi://socket",
		)
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return address{}, fmt.Errorf(
			"ldapstore: the directory's URL must have nothing behind the port and nobody before the host: there are options for that",
		)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": ldap.DefaultLdapPort, "ldaps": ldap.DefaultLdapsPort}[u.Scheme]
	}
	return address{
		network: "tcp",
		addr:    net.JoinHostPort(u.Hostname(), port),
		host:    u.Hostname(),
		tls:     u.Scheme == "ldaps",
	}, nil
}

// dial opens a connection that breaks when ctx ends, and returns what closes it.
func (c *Checker) dial(ctx context.Context) (conn *ldap.Conn, closeConn func(), err error) {
	raw, err := new(net.Dialer).DialContext(ctx, c.address.network, c.address.addr)
	if err != nil {
		return nil, nil, fmt.Errorf("ldapstore: cannot reach the directory: %w", err)
	}
	// The client waits for answers without a context: the end of ctx closes the socket under it.
	forget := context.AfterFunc(ctx, func() { raw.Close() })
	config := c.config.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = c.address.host
	}
	socket := raw
	if c.address.tls {
		secured := tls.Client(raw, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			forget()
			raw.Close()
			return nil, nil, fmt.Errorf("ldapstore: no TLS with the directory: %w", err)
		}
		socket = secured
	}
	conn = ldap.NewConn(socket, c.address.tls)
	conn.SetTimeout(c.config.timeout)
	conn.Start()
	closeConn = func() {
		forget()
		_ = conn.Close() // What it could still say, nobody waits for.
	}
	if c.config.startTLS && !c.address.tls && c.address.network == "tcp" {
		if err := conn.StartTLS(config); err != nil {
			closeConn()
			return nil, nil, fmt.Errorf("ldapstore: no TLS with the directory: %w", err)
		}
	}
	return conn, closeConn, nil
}
