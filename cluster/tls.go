package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"
)

// LoadTLS returns the TLS configuration of a node: its certificate with the key, and the authority of the nodes, from
// PEM files.
func LoadTLS(ca, cert, key string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("cluster: the certificate of the node: %w", err)
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("cluster: the authority of the nodes: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cluster: %s has no certificate of an authority", ca)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS13}, nil
}

// identity is how a node shows other nodes who it is, and checks who they are.
type identity struct {
	name    string
	until   time.Time   // when the certificate expires
	config  *tls.Config // without the name of the peer
	trusted *x509.CertPool
}

// newIdentity checks the certificate as other nodes will. name may be empty: then it is the certificate's.
func newIdentity(name string, config *tls.Config) (*identity, error) {
	switch {
	case config == nil || len(config.Certificates) == 0:
		return nil, fmt.Errorf("%w: Options.TLS needs the node's certificate", ErrCertificate)
	case config.RootCAs == nil:
		return nil, fmt.Errorf("%w: Options.TLS needs the authority of the nodes in RootCAs", ErrCertificate)
	}
	leaf, intermediates, err := parseChain(config.Certificates[0].Certificate)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	id := &identity{name: nameOf(leaf), trusted: config.RootCAs}
	switch {
	case id.name == "":
		return nil, fmt.Errorf("%w: it has neither a DNS name nor a common name", ErrCertificate)
	case name != "" && name != id.name:
		return nil, fmt.Errorf("%w: the node is %q, its certificate is for %q", ErrCertificate, name, id.name)
	}
	if id.until, err = id.verify(leaf, intermediates); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	id.config = config.Clone()
	id.config.MinVersion = tls.VersionTLS13
	return id, nil
}

func parseChain(der [][]byte) (leaf *x509.Certificate, intermediates *x509.CertPool, err error) {
	if len(der) == 0 {
		return nil, nil, errors.New("there is no certificate")
	}
	if leaf, err = x509.ParseCertificate(der[0]); err != nil {
		return nil, nil, err
	}
	intermediates = x509.NewCertPool()
	for _, d := range der[1:] {
		if c, err := x509.ParseCertificate(d); err == nil {
			intermediates.AddCert(c)
		}
	}
	return leaf, intermediates, nil
}

// nameOf returns the name of the node that a certificate is for: its DNS name, or else its common name.
func nameOf(c *x509.Certificate) string {
	if len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	return c.Subject.CommonName
}

// verify requires that the authority of the nodes has issued a certificate for both directions of a link. It returns
// until when the certificate is good.
func (id *identity) verify(leaf *x509.Certificate, intermediates *x509.CertPool) (until time.Time, err error) {
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		chains, err := leaf.Verify(x509.VerifyOptions{
			Roots: id.trusted, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if err != nil {
			return time.Time{}, err
		}
		until = endOf(chains)
	}
	return until, nil
}

// endOf returns when the last of the chains has an expired certificate.
func endOf(chains [][]*x509.Certificate) (until time.Time) {
	for _, chain := range chains {
		first := chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(until) {
			until = first
		}
	}
	return until
}

// listener returns the configuration of the side that accepts links. It takes certificates of the nodes' authority
// only.
func (id *identity) listener() *tls.Config {
	config := id.config.Clone()
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, id.trusted
	config.VerifyConnection = func(state tls.ConnectionState) error {
		_, _, err := id.peer(state)
		return err
	}
	return config
}

// dialer returns the configuration of the side that connects to a node. Nodes are known by their names and not by
// their addresses, so the name in the certificate is compared here and not with the host that is dialed.
func (id *identity) dialer(node string) *tls.Config {
	config := id.config.Clone()
	config.ServerName = node
	config.InsecureSkipVerify = true // VerifyConnection does it.
	config.VerifyConnection = func(state tls.ConnectionState) error {
		name, _, err := id.peer(state)
		if err == nil && name != node {
			return fmt.Errorf("cluster: at the address of the node %q answers one with a certificate for %q", node, name)
		}
		return err
	}
	return config
}

// peer returns the name of the node at the other end of a link, and until when its certificate is good.
func (id *identity) peer(state tls.ConnectionState) (name string, until time.Time, err error) {
	if len(state.PeerCertificates) == 0 {
		return "", until, errors.New("cluster: the peer has shown no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	leaf := state.PeerCertificates[0]
	if until, err = id.verify(leaf, intermediates); err != nil {
		return "", until, fmt.Errorf("cluster: the peer's certificate: %w", err)
	}
	return nameOf(leaf), until, nil
}
