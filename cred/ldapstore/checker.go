package ldapstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/cred"

	"github.com/go-ldap/ldap/v3"
)

// Checker is a cred.Checker of the users in a directory. It accepts cred.KindUsernamePassword. It is safe for
// concurrent use and keeps no connection open.
type Checker struct {
	address address
	base    string
	config  config
	slots   chan struct{} // holds a token for each open connection
}

// New returns a checker of the users below base in the directory at a URL: ldaps://host[:port], ldap://host[:port] or
// ldapi://socket. It does not connect.
func New(directory, base string, opts ...Option) (*Checker, error) {
	at, err := parseAddress(directory)
	if err != nil {
		return nil, err
	}
	c := config{
		filter:    DefaultFilter,
		attribute: DefaultAttribute,
		timeout:   cred.DefaultStoreTimeout,
		conns:     DefaultMaxConns,
	}
	for _, o := range opts {
		if o != nil {
			o.apply(&c)
		}
	}
	if c.tls == nil {
		c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if err := c.complete(at, base); err != nil {
		return nil, err
	}
	return &Checker{address: at, base: base, config: c, slots: make(chan struct{}, c.conns)}, nil
}

// complete sets defaults and rejects options that could only fail later.
func (c *config) complete(at address, base string) error {
	if _, err := ldap.ParseDN(base); err != nil {
		return fmt.Errorf("ldapstore: the base %q is not a distinguished name: %w", base, err)
	}
	if _, err := ldap.ParseDN(c.service); err != nil {
		return fmt.Errorf("ldapstore: the service account %q is not a distinguished name: %w", c.service, err)
	}
	if c.decoy == "" {
		c.decoy = strings.TrimSuffix("cn=pb-nobody-of-that-name,"+base, ",")
	}
	if _, err := ldap.ParseDN(c.decoy); err != nil {
		return fmt.Errorf("ldapstore: the decoy %q is not a distinguished name: %w", c.decoy, err)
	}
	if strings.Count(c.filter, "%") != 1 || strings.Count(c.filter, "%s") != 1 {
		return fmt.Errorf("ldapstore: the filter %q must contain one %%s, for the name", c.filter)
	}
	if _, err := ldap.CompileFilter(c.search("x")); err != nil {
		return fmt.Errorf("ldapstore: the filter %q is invalid: %w", c.filter, err)
	}
	switch {
	case c.service != "" && c.password() == "":
		return errors.New("ldapstore: the service account needs a password: without one its bind would be anonymous")
	case c.attribute == "":
		return errors.New("ldapstore: WithAttribute needs the name of an attribute")
	case c.timeout <= 0 || c.conns < 1:
		return errors.New("ldapstore: WithTimeout and WithMaxConns must be positive")
	case at.network == "tcp" && !at.tls && !c.startTLS && !c.plaintext:
		return errors.New("ldapstore: ldap:// sends passwords in plain text: use ldaps:// or WithStartTLS, or WithPlaintext")
	}
	return nil
}

// search returns the filter for a user name.
func (c *config) search(name string) string {
	return strings.Replace(c.filter, "%s", ldap.EscapeFilter(name), 1)
}

// Accepts implements cred.Checker.
func (*Checker) Accepts(kind cred.Kind) bool { return kind == cred.KindUsernamePassword }

// Check implements cred.Checker.
func (c *Checker) Check(ctx context.Context, credentials cred.Credentials) (cred.AvatarID, error) {
	claim, ok := credentials.(cred.UsernamePassword)
	if !ok {
		return cred.AvatarID{}, cred.Refuse(cred.ReasonUnhandled, "the directory cannot check %T", credentials)
	}
	if refused := cred.CheckUsernamePassword(claim); refused != nil {
		return cred.AvatarID{}, refused
	}
	if !utf8.ValidString(claim.Username) {
		return cred.AvatarID{}, cred.Refuse(cred.ReasonMalformed, "the username is not valid UTF-8")
	}
	if claim.Password == "" {
		return cred.AvatarID{}, cred.Refuse(cred.ReasonMalformed, "the password is empty: that would be an anonymous bind")
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return cred.AvatarID{}, cred.Fault(ctx, cred.ReasonEnded, ctx.Err())
	}
	limited, cancel := context.WithTimeout(ctx, c.config.timeout)
	defer cancel()
	id, err := c.ask(limited, claim)
	var refused *cred.Refused
	if err == nil || errors.As(err, &refused) {
		return id, err
	}
	return cred.AvatarID{}, cred.Fault(ctx, cred.ReasonStore, err)
}

// ask queries the directory. An error that is no refusal is a fault of the directory.
func (c *Checker) ask(ctx context.Context, claim cred.UsernamePassword) (cred.AvatarID, error) {
	conn, closeConn, err := c.dial(ctx)
	if err != nil {
		return cred.AvatarID{}, err
	}
	defer closeConn()
	if c.config.service != "" {
		if err := conn.Bind(c.config.service, c.config.password()); err != nil {
			return cred.AvatarID{}, fmt.Errorf("ldapstore: the service account %q cannot bind: %w", c.config.service, err)
		}
	}
	entry, err := c.find(conn, claim.Username)
	if err != nil {
		return cred.AvatarID{}, err
	}
	if entry == nil {
		// The result is a refusal unless the connection failed.
		if err := conn.Bind(c.config.decoy, string(claim.Password)); ldap.IsErrorWithCode(err, ldap.ErrorNetwork) {
			return cred.AvatarID{}, fmt.Errorf("ldapstore: the directory went away: %w", err)
		}
		return cred.AvatarID{}, cred.Refuse(cred.ReasonUnknown, "")
	}
	if err := conn.Bind(entry.DN, string(claim.Password)); err != nil {
		return cred.AvatarID{}, judge(entry.DN, err)
	}
	values := entry.GetAttributeValues(c.config.attribute)
	if len(values) != 1 || values[0] == "" {
		return cred.AvatarID{}, fmt.Errorf(
			"ldapstore: the entry %q has %d values of %s, which must be one: see WithAttribute",
			entry.DN,
			len(values),
			c.config.attribute,
		)
	}
	return cred.ID(values[0]), nil
}

// find returns the user's entry, or nil if there is none.
func (c *Checker) find(conn *ldap.Conn, name string) (*ldap.Entry, error) {
	// Two entries are enough to detect an ambiguous name.
	request := ldap.NewSearchRequest(
		c.base,
		ldap.ScopeWholeSubtree,
		ldap.NeverDerefAliases,
		2,
		int(c.config.timeout.Seconds())+1,
		false,
		c.config.search(name),
		[]string{c.config.attribute},
		nil,
	)
	found, err := conn.Search(request)
	if err != nil {
		return nil, fmt.Errorf("ldapstore: cannot search for a user below %q: %w", c.base, err)
	}
	switch len(found.Entries) {
	case 0:
		return nil, nil
	case 1:
		return found.Entries[0], nil
	}
	return nil, fmt.Errorf(
		"ldapstore: the filter finds several entries for one name, %q among them: make it stricter with WithFilter",
		found.Entries[0].DN,
	)
}

// judge converts the error of a bind.
func judge(dn string, err error) error {
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials):
		return cred.Refuse(cred.ReasonWrong, "")
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultUnwillingToPerform,
		ldap.LDAPResultConstraintViolation, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultNoSuchObject):
		// A locked account, an expired password, an entry without one, an entry that has just gone.
		return cred.Refuse(cred.ReasonDenied, "the directory lets nobody bind as %q now: %v", dn, err)
	}
	return fmt.Errorf("ldapstore: binding as %q: %w", dn, err)
}

// address is the address of a directory.
type address struct {
	network string // "tcp" or "unix"
	addr    string
	host    string // for the certificate
	tls     bool   // from the first byte
}

// parseAddress parses ldap://host[:port], ldaps://host[:port] and ldapi://%2Fpath%2Fof%2Fthe%2Fsocket.
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
			"ldapstore: the URL may have a scheme, a host and a port only: use options for the base and the account",
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

// dial opens a connection that closes when ctx ends, and returns the function that closes it.
func (c *Checker) dial(ctx context.Context) (conn *ldap.Conn, closeConn func(), err error) {
	raw, err := new(net.Dialer).DialContext(ctx, c.address.network, c.address.addr)
	if err != nil {
		return nil, nil, fmt.Errorf("ldapstore: cannot reach the directory: %w", err)
	}
	// The client has no contexts, so the end of ctx closes its socket.
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
		_ = conn.Close()
	}
	if c.config.startTLS && !c.address.tls && c.address.network == "tcp" {
		if err := conn.StartTLS(config); err != nil {
			closeConn()
			return nil, nil, fmt.Errorf("ldapstore: no TLS with the directory: %w", err)
		}
	}
	return conn, closeConn, nil
}

// Option configures a Checker. The With functions of this package return options.
type Option interface{ apply(*config) }

type config struct {
	service   string        // the DN that searches; empty for an anonymous search
	password  func() string // a closure: package fmt would show a Secret in an unexported field
	filter    string
	attribute string
	decoy     string
	tls       *tls.Config
	startTLS  bool
	plaintext bool
	timeout   time.Duration
	conns     int
}

type option func(*config)

func (o option) apply(c *config) { o(c) }

// Defaults of a Checker.
const (
	DefaultFilter    = "(&(objectClass=person)(uid=%s))"
	DefaultAttribute = "uid"
	DefaultMaxConns  = 8
)

// WithServiceAccount sets the account that searches for users. Default: an anonymous search.
func WithServiceAccount(dn string, password cred.Secret) Option {
	return option(func(c *config) { c.service, c.password = dn, func() string { return string(password) } })
}

// WithFilter sets the search filter. The escaped name replaces its one %s. Default: DefaultFilter. For Active
// Directory: "(&(objectClass=user)(sAMAccountName=%s))".
func WithFilter(filter string) Option { return option(func(c *config) { c.filter = filter }) }

// WithAttribute sets the attribute of a user's entry that is the avatar id. It must have one value. The name from the
// login is not used, because directories ignore case. Default: DefaultAttribute, uid.
func WithAttribute(name string) Option { return option(func(c *config) { c.attribute = name }) }

// WithDecoy sets the entry that the checker binds as for unknown users. It should have a random password that is stored
// like the users'. Default: an entry below the base that does not exist.
func WithDecoy(dn string) Option { return option(func(c *config) { c.decoy = dn }) }

// WithTLS sets the TLS configuration of ldaps and StartTLS. Default: at least TLS 1.2, the system's authorities, and
// the server name of the URL.
func WithTLS(t *tls.Config) Option { return option(func(c *config) { c.tls = t }) }

// WithStartTLS starts TLS on an ldap:// connection before any request. Default: ldap:// is refused.
func WithStartTLS() Option { return option(func(c *config) { c.startTLS = true }) }

// WithPlaintext allows unencrypted ldap:// connections, for tests and encrypted tunnels. Default: ldap:// is refused.
func WithPlaintext() Option { return option(func(c *config) { c.plaintext = true }) }

// WithTimeout sets the timeout of a login's requests, including the connection. Default: cred.DefaultStoreTimeout, five
// seconds.
func WithTimeout(d time.Duration) Option { return option(func(c *config) { c.timeout = d }) }

// WithMaxConns sets the maximum number of connections to the directory. Each login uses one. Default: DefaultMaxConns,
// 8.
func WithMaxConns(n int) Option { return option(func(c *config) { c.conns = n }) }
