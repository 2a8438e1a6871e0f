package ldapstore

import (
	"crypto/tls"
	"time"

	"github.com/perspectivebroker/pb/cred"
)

// Option configures a Checker. The options are made by the With functions of this package.
type Option interface{ apply(*config) }

type config struct {
	service   string        // the DN that searches; none for an anonymous search
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

// WithServiceAccount sets who searches for the users. Default: the search is anonymous.
func WithServiceAccount(dn string, password cred.Secret) Option {
	return option(func(c *config) { c.service, c.password = dn, func() string { return string(password) } })
}

// WithFilter sets how a user is searched for; the name, escaped, takes the place of the one %s. Default:
// DefaultFilter. For Active Directory: "(&(objectClass=user)(sAMAccountName=%s))".
func WithFilter(filter string) Option { return option(func(c *config) { c.filter = filter }) }

// WithAttribute sets which attribute of a user's entry is the avatar id. It must have one value. It is not the
// name that was typed, since directories do not distinguish upper from lower case. Default: DefaultAttribute, uid.
func WithAttribute(name string) Option { return option(func(c *config) { c.attribute = name }) }

// WithDecoy sets the entry that is bound to for users that do not exist. It should have a password, stored as
// users' are, that nobody knows. Default: an entry below the base that is not there.
func WithDecoy(dn string) Option { return option(func(c *config) { c.decoy = dn }) }

// WithTLS sets the TLS configuration of ldaps and StartTLS. Default: TLS 1.2 at least, the system's authorities,
// and the server's name as the URL has it.
func WithTLS(t *tls.Config) Option { return option(func(c *config) { c.tls = t }) }

// WithStartTLS begins TLS on an ldap:// connection before anything else is said. Default: ldap:// is refused.
func WithStartTLS() Option { return option(func(c *config) { c.startTLS = true }) }

// WithPlaintext lets passwords cross an ldap:// connection as they are: for tests, and tunnels that encrypt.
// Default: ldap:// is refused.
func WithPlaintext() Option { return option(func(c *config) { c.plaintext = true }) }

// WithTimeout sets how long one login may take of the directory's time, connecting included. Default:
// cred.DefaultStoreTimeout, five seconds.
func WithTimeout(d time.Duration) Option { return option(func(c *config) { c.timeout = d }) }

// WithMaxConns sets how many connections to the directory there may be at a time; each login has one. Default:
// DefaultMaxConns, 8.
func WithMaxConns(n int) Option { return option(func(c *config) { c.conns = n }) }
