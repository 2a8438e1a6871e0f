package authority

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAuthority(t *testing.T) {
	ca, other := New(t), New(t)
	good := ca.Issue("good", nil)
	verify := func(c tls.Certificate, pool *x509.CertPool) error {
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		require.NoError(t, err)
		_, err = leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "127.0.0.1"})
		return err
	}
	require.NoError(t, verify(good, ca.Pool()))
	require.ErrorContains(t, verify(good, other.Pool()), "unknown authority")
	require.ErrorContains(t, verify(ca.Issue("old", Expired), ca.Pool()), "expired")

	cert, key, root := ca.Files(good)
	loaded, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	assert.Equal(t, good.Certificate, loaded.Certificate)
	pem, err := os.ReadFile(root)
	require.NoError(t, err)
	assert.True(t, x509.NewCertPool().AppendCertsFromPEM(pem))
}
