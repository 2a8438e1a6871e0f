package cred_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred"
)

// certificate makes a self-signed certificate.
func certificate(t *testing.T, name string, from, to time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber:   big.NewInt(1),
		Subject:        pkix.Name{CommonName: name, Organization: []string{"Ponds"}},
		DNSNames:       []string{name + ".example", "shared.example"},
		EmailAddresses: []string{name + "@example.org"},
		URIs:           []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/" + name}},
		NotBefore:      from,
		NotAfter:       to,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

func TestClientCertificates(t *testing.T) {
	now := time.Now()
	raw := certificate(t, "alice", now.Add(-time.Hour), now.Add(time.Hour))
	alice, err := cred.VerifiedCertificate([][]*x509.Certificate{{raw}})
	require.NoError(t, err)
	fingerprint := fmt.Sprintf("%x", sha256.Sum256(raw.Raw))
	coloned := ""
	for i := 0; i < len(fingerprint); i += 2 {
		coloned += ":" + fingerprint[i:i+2]
	}
	other := fmt.Sprintf("%064d", 0)
	expired, early := alice, alice
	expired.NotAfter = now.Add(-time.Second)
	early.NotBefore = now.Add(time.Minute)

	for name, c := range map[string]struct {
		rules       []cred.CertificateRule
		certificate cred.ClientCertificate
		id          cred.AvatarID
		reason      cred.Reason
	}{
		"fingerprint":           {[]cred.CertificateRule{cred.ByFingerprint(fingerprint, "al")}, alice, cred.ID("al"), ""},
		"openssl's fingerprint": {[]cred.CertificateRule{cred.ByFingerprint(coloned[1:], "al")}, alice, cred.ID("al"), ""},
		"common name":           {[]cred.CertificateRule{cred.ByCommonName("alice", "al")}, alice, cred.ID("al"), ""},
		"DNS name":              {[]cred.CertificateRule{cred.ByDNSName("ALICE.example", "al")}, alice, cred.ID("al"), ""},
		"mail":                  {[]cred.CertificateRule{cred.ByEmail("alice@example.org", "al")}, alice, cred.ID("al"), ""},
		"URI": {[]cred.CertificateRule{cred.ByURI("spiffe://example.org/alice", "al")}, alice,
			cred.ID("al"), ""},
		"two that agree": {[]cred.CertificateRule{cred.ByCommonName("alice", "al"),
			cred.ByEmail("alice@example.org", "al")}, alice, cred.ID("al"), ""},
		"two that do not": {[]cred.CertificateRule{cred.ByCommonName("alice", "al"),
			cred.ByDNSName("shared.example", "bob")}, alice, cred.AvatarID{}, cred.ReasonDenied},
		"fingerprint over name": {[]cred.CertificateRule{cred.ByDNSName("shared.example", "bob"),
			cred.ByFingerprint(fingerprint, "al")}, alice, cred.ID("al"), ""},
		"unknown": {[]cred.CertificateRule{cred.ByCommonName("Alice", "al"), cred.ByFingerprint(other, "al"),
			cred.ByURI("spiffe://example.org/", "al")}, alice, cred.AvatarID{}, cred.ReasonUnknown},
		"no rules": {nil, alice, cred.AvatarID{}, cred.ReasonUnknown},
		"expired": {[]cred.CertificateRule{cred.ByCommonName("alice", "al")}, expired, cred.AvatarID{},
			cred.ReasonWrong},
		"not yet valid": {[]cred.CertificateRule{cred.ByCommonName("alice", "al")}, early, cred.AvatarID{},
			cred.ReasonWrong},
		"nothing": {[]cred.CertificateRule{cred.ByCommonName("alice", "al")}, cred.ClientCertificate{},
			cred.AvatarID{}, cred.ReasonWrong},
	} {
		t.Run(name, func(t *testing.T) {
			checker, err := cred.NewClientCertificates(c.rules...)
			require.NoError(t, err)
			session, err := portal(t, checker).Login(t.Context(), c.certificate, "")
			if c.reason != "" {
				assert.Equal(t, c.certificate.Subject, wantRefused(t, err, c.reason).Claim())
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.id, session.AvatarID())
			session.Logout()
		})
	}
	assert.Equal(t, "CN=alice,O=Ponds", alice.Subject)
	checker, err := cred.NewClientCertificates()
	require.NoError(t, err)
	_, err = checker.Check(t.Context(), cred.Anonymous{})
	wantRefused(t, err, cred.ReasonUnhandled)
}

func TestClientCertificatesRefuse(t *testing.T) {
	for _, chains := range [][][]*x509.Certificate{nil, {}, {{}}, {{nil}}} {
		_, err := cred.VerifiedCertificate(chains)
		assert.ErrorContains(t, err, "no verified certificate")
	}
	for says, rule := range map[string]cred.CertificateRule{
		"32 bytes in hexadecimal": cred.ByFingerprint("abc", "al"),
		"an empty common name":    cred.ByCommonName("", "al"),
		"an empty URI":            cred.ByURI("", "al"),
		"names no user":           cred.ByEmail("a@example.org", ""),
		"rule 1 of 1 names no":    {},
	} {
		_, err := cred.NewClientCertificates(rule)
		assert.ErrorContains(t, err, says)
	}
}
