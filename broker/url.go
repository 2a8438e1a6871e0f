package broker

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// defaultPort is the port of a URL that names none: Twisted's pb.portno.
const defaultPort = "8787"

// rootName is the name under which Twisted publishes the first object of a service.
const rootName = "root"

// endpoint is a parsed PB URL.
type endpoint struct {
	scheme  string   // "pb", "pbs" or "pb+unix", or that of a Transport
	network string   // "tcp" or "unix"; empty with a Transport
	address string   // host:port or path
	name    string   // of the published object; rootName if the URL names none
	more    []string // the other addresses of a URL with several
}

// parseURL reads pb://host[:port][,host[:port]…][/name], the same with pbs (TLS) and the schemes of others, and
// pb+unix:///path[?name=name].
func parseURL(s string, others map[string]Transport) (endpoint, error) {
	before, rest, _ := strings.Cut(s, "://")
	hosts, path := rest, ""
	if at := strings.IndexAny(rest, "/?#"); at >= 0 {
		hosts, path = rest[:at], rest[at:]
	}
	if before == "pb+unix" || !strings.Contains(hosts, ",") {
		return parseOneURL(s, others)
	}
	var e endpoint
	for i, host := range strings.Split(hosts, ",") {
		one, err := parseOneURL(before+"://"+host+path, others)
		switch {
		case strings.Contains(hosts, "@"): // Do not repeat the URL: it may contain a password.
			err = errors.New("broker: a URL must not contain user and password; log in with credentials instead")
		case host == "":
			err = fmt.Errorf("broker: URL %q: an address is missing between the commas; write %s://a:1,b:2", s, before)
		case err != nil:
		case i == 0:
			e = one
		case one.address == e.address || slices.Contains(e.more, one.address):
			err = fmt.Errorf("broker: URL %q: the address %s is there twice", s, one.address)
		default:
			e.more = append(e.more, one.address)
		}
		if err != nil {
			return endpoint{}, err
		}
	}
	return e, nil
}

// at returns the endpoint with one address: the first for 0, and so on. They go round.
func (e endpoint) at(i int) endpoint {
	if i %= 1 + len(e.more); i > 0 {
		e.address = e.more[i-1]
	}
	e.more = nil
	return e
}

// parseOneURL is parseURL for a URL with one address.
func parseOneURL(s string, others map[string]Transport) (endpoint, error) {
	if !strings.Contains(s, "://") {
		return endpoint{}, errors.New("broker: the scheme is missing in the URL; write pb://host:port or pb+unix:///path")
	}
	u, err := url.Parse(s)
	if err != nil {
		// Do not repeat the URL: it may contain a password.
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return endpoint{}, fmt.Errorf("broker: invalid URL: %w", err)
	}
	fail := func(what string) (endpoint, error) {
		return endpoint{}, fmt.Errorf("broker: URL %q: %s", u.Redacted(), what)
	}
	if u.User != nil {
		return fail("a URL must not contain user and password; log in with credentials instead")
	}
	if u.Fragment != "" {
		return fail("a fragment (#…) is not allowed")
	}
	network := "tcp"
	if _, ok := others[u.Scheme]; ok {
		network = ""
	}
	switch {
	case u.Scheme == "pb" || u.Scheme == "pbs" || network == "":
		if u.RawQuery != "" {
			return fail("a query (?…) is not allowed")
		}
		host, port := u.Hostname(), u.Port()
		if host == "" && port == "" {
			return fail("the host is missing; write " + u.Scheme + "://host:port")
		}
		if why := badAddress(u.Host, port); why != "" {
			return fail(why)
		}
		if port == "" {
			port = defaultPort
		}
		e := endpoint{scheme: u.Scheme, network: network, address: net.JoinHostPort(host, port), name: rootName}
		if name := strings.TrimPrefix(u.Path, "/"); name != "" {
			e.name = name
		}
		return e, nil
	case u.Scheme == "pb+unix":
		if u.Host != "" {
			return fail(fmt.Sprintf("a socket path starts with a slash: write pb+unix:///%s%s", u.Host, u.Path))
		}
		if u.Path == "" || u.Path == "/" {
			return fail("the path of the socket is missing; write pb+unix:///path")
		}
		if len(u.Path) > maxSocketPath || strings.ContainsRune(u.Path, 0) {
			return fail(fmt.Sprintf("the path of a socket has at most %d bytes, none of them NUL; this one has %d",
				maxSocketPath, len(u.Path)))
		}
		e := endpoint{scheme: u.Scheme, network: "unix", address: u.Path, name: rootName}
		for key, values := range u.Query() {
			if key != "name" || len(values) != 1 || values[0] == "" {
				return fail("the only allowed query is ?name=NAME")
			}
			e.name = values[0]
		}
		return e, nil
	}
	return fail(fmt.Sprintf("unknown scheme %q; use pb, pbs or pb+unix, or give WithTransport", u.Scheme))
}

// maxSocketPath is the longest path of a Unix socket on Linux, without the NUL at its end. Other systems have less.
const maxSocketPath = 107

// badAddress returns what is wrong with host:port, so that nobody waits for a server that cannot be there.
func badAddress(address, port string) string {
	switch n, err := strconv.Atoi(port); {
	case strings.HasSuffix(address, ":") && strings.Count(address, ":") == 1, strings.HasSuffix(address, "]:"):
		return "the port is missing behind the colon; without a colon it is " + defaultPort
	case strings.Count(address, ":") > 1 && !strings.HasPrefix(address, "["):
		return "the address has several colons; write an IPv6 address in brackets, as in [::1]:" + defaultPort
	case port != "" && (err != nil || n > math.MaxUint16):
		return "the port " + port + " is beyond 65535"
	}
	return ""
}

// checkDial checks that a server can be at each address.
func (e endpoint) checkDial() error {
	for _, address := range append([]string{e.address}, e.more...) {
		if _, port, err := net.SplitHostPort(address); e.network != "unix" && err == nil && strings.Trim(port, "0") == "" {
			return fmt.Errorf("broker: no server is at port 0 of %s: that is for a URL to listen at, which gets a free port. "+
				"Listener.URL returns the real one", address)
		}
	}
	return nil
}

// identity returns the URL without the object's name.
func (e endpoint) identity() string {
	if e.network == "unix" {
		return e.scheme + "://" + e.address
	}
	return e.scheme + "://" + strings.ToLower(strings.Join(append([]string{e.address}, e.more...), ","))
}

// url returns the endpoint as a URL, with the address that was bound.
func (e endpoint) url(addr net.Addr) string {
	if e.network == "unix" {
		return "pb+unix://" + (&url.URL{Path: addr.String()}).EscapedPath()
	}
	s := e.scheme + "://" + addr.String()
	if e.name != rootName {
		s += "/" + url.PathEscape(e.name)
	}
	return s
}

var errListenMany = errors.New("broker: a URL to listen at has one address: call Listen for each")

var errListenName = errors.New(
	"broker: a URL to listen at must not name an object: publish it with WithPublished(name, object)",
)
