package endpoint

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Endpoint is where to connect to, and how.
type Endpoint struct {
	Network string // "tcp" or "unix"
	Host    string
	Port    int
	Path    string // of a Unix socket
	Bind    string // the local address; empty for any
	Timeout time.Duration

	TLS        bool
	ServerName string // that the certificate must have; empty: Host
	Roots      string // a directory with the certificates of authorities; empty: the system's
	Cert, Key  string // files with the client's certificate and key; Key may be empty if Cert has both
	Unverified bool   // stock Twisted would not verify the server's certificate
}

// maxString limits a client string, in bytes.
const maxString = 4096

// defaultTimeout is Twisted's.
const defaultTimeout = 30 * time.Second

// options are what each type accepts besides host and port.
var options = map[string][]string{
	"tcp":  {"timeout", "bindAddress"},
	"ssl":  {"timeout", "bindAddress", "privateKey", "certKey", "caCertsDir", "hostname"},
	"tls":  {"timeout", "bindAddress", "privateKey", "certificate", "trustRoots"},
	"unix": {"timeout", "lockfile"},
}

// positional are the parameters that need no name, in order.
var positional = map[string][]string{
	"tcp": {"host", "port"}, "ssl": {"host", "port"}, "tls": {"host", "port", "timeout", "bindAddress", "certificate",
		"privateKey", "trustRoots"}, "unix": {"path"},
}

// Parse reads a client string.
func Parse(description string) (Endpoint, error) {
	fail := func(format string, args ...any) (Endpoint, error) {
		return Endpoint{}, fmt.Errorf("connection string: "+format, args...)
	}
	if len(description) > maxString {
		return fail("it has more than %d bytes", maxString)
	}
	args, named, err := split(description)
	if err != nil {
		return fail("%w", err)
	}
	if len(args) == 0 || args[0] == "" {
		return fail("it must begin with tcp:, tls:, ssl: or unix:")
	}
	kind := strings.ToLower(args[0])
	names, known := positional[kind]
	if !known {
		return fail("the type %.40q is not supported; write tcp:, tls:, ssl: or unix:", args[0])
	}
	for i, value := range args[1:] {
		// "tcp:host=h:80" leaves the port without a name.
		for len(names) > 0 && i < 2 && kind != "unix" && has(named, names[0]) {
			names = names[1:]
		}
		if len(names) == 0 {
			return fail("there are too many parts")
		}
		named[names[0]], names = value, names[1:]
	}
	allowed := slices.Concat(positional[kind][:min(2, len(positional[kind]))], options[kind])
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if !slices.Contains(allowed, name) {
			return fail("the option %.40q is not supported for %s:", name, kind)
		}
	}
	e, err := build(kind, named)
	if err != nil {
		return fail("%w", err)
	}
	return e, nil
}

func has(m map[string]string, name string) bool {
	_, ok := m[name]
	return ok
}

// split separates a string at its colons. A backslash takes the next character literally.
func split(description string) (args []string, named map[string]string, err error) {
	named = map[string]string{}
	var part strings.Builder
	name, hasName := "", false
	add := func() {
		if hasName {
			named[name] = part.String()
		} else {
			args = append(args, part.String())
		}
		part.Reset()
		name, hasName = "", false
	}
	for i := 0; i < len(description); i++ {
		switch c := description[i]; {
		case c == '\\':
			if i++; i == len(description) {
				return nil, nil, errors.New("it ends with a backslash")
			}
			part.WriteByte(description[i])
		case c == ':':
			add()
		case c == '=' && !hasName:
			name, hasName = part.String(), true
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	add()
	return args, named, nil
}

func build(kind string, named map[string]string) (Endpoint, error) {
	e := Endpoint{Network: "tcp", Host: named["host"], Bind: named["bindAddress"], Timeout: defaultTimeout}
	if text, ok := named["timeout"]; ok {
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 || n > 1e6 {
			return e, errors.New("timeout must be a number of seconds above 0")
		}
		e.Timeout = time.Duration(n) * time.Second
	}
	if kind == "unix" {
		e.Network, e.Path = "unix", named["path"]
		if e.Path == "" {
			return e, errors.New("the path is missing")
		}
		return e, nil
	}
	var err error
	if e.Port, err = strconv.Atoi(named["port"]); err != nil || e.Port < 1 || e.Port > 65535 {
		return e, errors.New("the port must be a number from 1 to 65535")
	}
	if e.Host == "" {
		return e, errors.New("the host is missing")
	}
	e.TLS = kind != "tcp"
	e.ServerName, e.Key = named["hostname"], named["privateKey"]
	e.Cert, e.Roots = named["certificate"]+named["certKey"], named["trustRoots"]+named["caCertsDir"]
	e.Unverified = kind == "ssl" && e.Roots == "" && e.ServerName == ""
	return e, nil
}

// Of returns the endpoint of a host and port.
func Of(host string, port int, useTLS bool) Endpoint {
	return Endpoint{Network: "tcp", Host: host, Port: port, TLS: useTLS, Timeout: defaultTimeout}
}

// Address is the address to dial.
func (e Endpoint) Address() string {
	if e.Network == "unix" {
		return e.Path
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(e.Port))
}

// URL is the URL that package broker dials.
func (e Endpoint) URL() string {
	switch {
	case e.Network == "unix":
		return "pb+unix://" + (&url.URL{Path: e.Path}).EscapedPath()
	case e.TLS:
		return "pbs://" + e.Address()
	}
	return "pb://" + e.Address()
}
