package cred

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ClientCertificate is the identity in a certificate whose key the peer has proved to own. [VerifiedCertificate] makes
// it from what TLS has verified.
type ClientCertificate struct {
	Subject     string // the distinguished name, for the log
	CommonName  string
	DNSNames    []string
	Emails      []string
	URIs        []string
	Fingerprint [sha256.Size]byte // SHA-256 of the encoded certificate
	NotBefore   time.Time
	NotAfter    time.Time
}

// Kind implements Credentials.
func (ClientCertificate) Kind() Kind { return KindClientCertificate }

// Claim implements Credentials.
func (c ClientCertificate) Claim() string { return c.Subject }

// VerifiedCertificate makes credentials from tls.ConnectionState.VerifiedChains: the chains that TLS verified up to a
// trusted authority. The first certificate of a chain is the peer's own. Never pass PeerCertificates, which are not
// verified.
func VerifiedCertificate(chains [][]*x509.Certificate) (ClientCertificate, error) {
	if len(chains) == 0 || len(chains[0]) == 0 || chains[0][0] == nil {
		return ClientCertificate{}, errors.New(
			"cred: there is no verified certificate: the listener must require and verify client certificates",
		)
	}
	leaf := chains[0][0]
	c := ClientCertificate{
		Subject:     leaf.Subject.String(),
		CommonName:  leaf.Subject.CommonName,
		DNSNames:    append([]string(nil), leaf.DNSNames...),
		Emails:      append([]string(nil), leaf.EmailAddresses...),
		Fingerprint: sha256.Sum256(leaf.Raw),
		NotBefore:   leaf.NotBefore,
		NotAfter:    leaf.NotAfter,
	}
	for _, uri := range leaf.URIs {
		c.URIs = append(c.URIs, uri.String())
	}
	return c, nil
}

// CertificateRule maps certificates to an avatar id. The By functions of this package return rules.
type CertificateRule struct {
	what    string // "fingerprint", "common name", …
	want    string
	avatar  AvatarID
	matches func(ClientCertificate) bool
	err     error
}

// ByFingerprint matches one certificate by its SHA-256 fingerprint in hexadecimal, with or without colons, as printed
// by "openssl x509 -fingerprint -sha256". It takes precedence over all other rules.
func ByFingerprint(fingerprint, user string) CertificateRule {
	rule := CertificateRule{what: "fingerprint", want: fingerprint, avatar: ID(user)}
	want, err := hex.DecodeString(strings.ReplaceAll(fingerprint, ":", ""))
	if err != nil || len(want) != sha256.Size {
		rule.err = fmt.Errorf("cred: a fingerprint must be %d bytes in hexadecimal", sha256.Size)
		return rule
	}
	rule.matches = func(c ClientCertificate) bool { return subtle.ConstantTimeCompare(c.Fingerprint[:], want) == 1 }
	return rule
}

// ByCommonName matches certificates by the common name of their subject.
func ByCommonName(name, user string) CertificateRule {
	return byName("common name", name, user, func(c ClientCertificate) []string { return []string{c.CommonName} }, false)
}

// ByDNSName matches certificates by a DNS name among their alternative names. A wildcard in a certificate is not
// expanded.
func ByDNSName(name, user string) CertificateRule {
	return byName("DNS name", name, user, func(c ClientCertificate) []string { return c.DNSNames }, true)
}

// ByEmail matches certificates by a mail address among their alternative names.
func ByEmail(address, user string) CertificateRule {
	return byName("mail address", address, user, func(c ClientCertificate) []string { return c.Emails }, false)
}

// ByURI matches certificates by a URI among their alternative names, such as a SPIFFE id.
func ByURI(uri, user string) CertificateRule {
	return byName("URI", uri, user, func(c ClientCertificate) []string { return c.URIs }, false)
}

func byName(what, want, user string, names func(ClientCertificate) []string, foldCase bool) CertificateRule {
	rule := CertificateRule{what: what, want: want, avatar: ID(user)}
	if want == "" {
		rule.err = fmt.Errorf("cred: an empty %s would fit certificates without one", what)
		return rule
	}
	rule.matches = func(c ClientCertificate) bool {
		for _, name := range names(c) {
			if name == want || foldCase && strings.EqualFold(name, want) {
				return true
			}
		}
		return false
	}
	return rule
}

// ClientCertificates is a checker that maps certificates to users by rules.
type ClientCertificates struct {
	exact []CertificateRule // by fingerprint
	named []CertificateRule
}

// NewClientCertificates returns a checker with these rules. A certificate that rules map to several users is refused,
// unless a rule names its fingerprint. The rules are only as trustworthy as the authorities that the listener trusts.
func NewClientCertificates(rules ...CertificateRule) (*ClientCertificates, error) {
	c := &ClientCertificates{}
	for i, rule := range rules {
		switch {
		case rule.err != nil:
			return nil, fmt.Errorf("cred: certificate rule %d of %d: %w", i+1, len(rules), rule.err)
		case rule.matches == nil || rule.avatar.IsZero():
			return nil, fmt.Errorf("cred: certificate rule %d of %d names no user", i+1, len(rules))
		case rule.what == "fingerprint":
			c.exact = append(c.exact, rule)
		default:
			c.named = append(c.named, rule)
		}
	}
	return c, nil
}

// Accepts implements Checker.
func (*ClientCertificates) Accepts(kind Kind) bool { return kind == KindClientCertificate }

// Check implements Checker. It checks the certificate's dates again, because the connection may have been open for a
// long time before the login.
func (c *ClientCertificates) Check(_ context.Context, credentials Credentials) (AvatarID, error) {
	certificate, ok := credentials.(ClientCertificate)
	if !ok {
		return AvatarID{}, unhandled(credentials)
	}
	if now := time.Now(); now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return AvatarID{}, Refuse(
			ReasonWrong,
			"the certificate is valid from %v to %v",
			certificate.NotBefore,
			certificate.NotAfter,
		)
	}
	for _, rules := range [][]CertificateRule{c.exact, c.named} {
		id, err := match(rules, certificate)
		if err != nil || !id.IsZero() {
			return id, err
		}
	}
	return AvatarID{}, Refuse(ReasonUnknown, "no rule knows the certificate with fingerprint %x", certificate.Fingerprint)
}

func match(rules []CertificateRule, certificate ClientCertificate) (AvatarID, error) {
	var first *CertificateRule
	for i, rule := range rules {
		switch {
		case !rule.matches(certificate):
		case first == nil:
			first = &rules[i]
		case first.avatar != rule.avatar:
			return AvatarID{}, Refuse(ReasonDenied, "the certificate is %s's by its %s %q and %s's by its %s %q",
				first.avatar, first.what, first.want, rule.avatar, rule.what, rule.want)
		}
	}
	if first == nil {
		return AvatarID{}, nil
	}
	return first.avatar, nil
}
