package conformance

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/cred"
)

// config is the parsed command line.
type config struct {
	listen    string
	users     users
	anonymous bool
	relaying  bool
	tls       *tls.Config // nil without a certificate
	dialects  dialects    // nil: all

	transports []broker.Transport
}

// users are the -cred flags.
type users map[string]cred.Entry

// String implements flag.Value. It does not print passwords.
func (users) String() string { return "" }

// Set implements flag.Value.
func (u users) Set(s string) error {
	name, password, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("write user=password")
	}
	u[name] = cred.Plaintext(cred.Secret(password))
	return nil
}

// dialects are those of the -dialects flag.
type dialects []banana.Profile

// String implements flag.Value.
func (d *dialects) String() string {
	names := make([]string, len(*d))
	for i, p := range *d {
		names[i] = p.String()
	}
	return strings.Join(names, ",")
}

// Set implements flag.Value.
func (d *dialects) Set(s string) error {
	known := dialects{banana.ProfilePB1, banana.ProfilePB, banana.ProfileNone}
	*d = nil
	for name := range strings.SplitSeq(s, ",") {
		i := slices.IndexFunc(known, func(p banana.Profile) bool { return p.String() == name })
		if i < 0 {
			return fmt.Errorf("%q is not one of %v", name, &known)
		}
		*d = append(*d, known[i])
	}
	return nil
}

func parse(args []string) (*config, error) {
	c := &config{users: users{}}
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.StringVar(
		&c.listen,
		"listen",
		"",
		"the `URL` to listen at: pb://host:port, pbs://host:port or pb+unix:///path; port 0 picks a free one",
	)
	flags.Var(c.users, "cred", "the `user=password` of a user; may be repeated")
	flags.BoolVar(&c.anonymous, "anonymous", false, "allow anonymous logins")
	flags.Var(&c.dialects, "dialects", "offer these `dialects` only, as in pb,none (default pb+1,pb,none)")
	flags.BoolVar(&c.relaying, "relaying", false, "let peers pass their objects to one another (leave and fetch)")
	cert := flags.String("cert", "", "the server's certificate, a PEM `file`, for pbs://")
	key := flags.String("key", "", "the key of the certificate, a PEM `file`")
	clientCA := flags.String("client-ca", "", "require client certificates of the authorities in this PEM `file`")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag; the URL goes behind -listen", flags.Arg(0))
	}
	if c.listen == "" {
		return nil, errors.New("say where to listen, as in -listen pb://127.0.0.1:0")
	}
	var err error
	c.tls, err = tlsConfig(*cert, *key, *clientCA)
	return c, err
}

// tlsConfig reads the files of the TLS flags. It returns nil without a certificate.
func tlsConfig(cert, key, clientCA string) (*tls.Config, error) {
	if cert == "" {
		if key != "" || clientCA != "" {
			return nil, errors.New("-key and -client-ca need -cert as well")
		}
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("reading -cert and -key: %w", err)
	}
	// Twisted of this age speaks TLS 1.2 by default.
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if clientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(clientCA)
	if err != nil {
		return nil, fmt.Errorf("reading -client-ca: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("-client-ca: there is no PEM certificate in %s", clientCA)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	return c, nil
}
