package main

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cluster"
)

func TestCertificates(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, run([]string{"-dir", dir, "a", "b"}))
	ca, err := os.ReadFile(at("ca.pem"))
	require.NoError(t, err)
	require.NoError(t, run([]string{"-dir", dir, "c"}))
	again, err := os.ReadFile(at("ca.pem"))
	require.NoError(t, err)
	require.Equal(t, ca, again, "the authority stays")
	for _, name := range []string{"a", "b", "c"} {
		config, err := cluster.LoadTLS(at("ca.pem"), at(name+".pem"), at(name+"-key.pem"))
		require.NoError(t, err)
		leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
		require.NoError(t, err)
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			_, err = leaf.Verify(x509.VerifyOptions{
				DNSName: name, Roots: config.RootCAs, KeyUsages: []x509.ExtKeyUsage{usage},
			})
			require.NoError(t, err)
		}
		info, err := os.Stat(at(name + "-key.pem"))
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "others cannot read the key")
	}
}

func TestBadArguments(t *testing.T) {
	dir := t.TempDir()
	require.ErrorContains(t, run([]string{"-dir", dir}), "name the nodes")
	require.ErrorContains(t, run([]string{"-dir", dir, "a/b"}), `"a/b" cannot be`)
	require.ErrorContains(t, run([]string{"-dir", dir, "ca"}), `"ca" cannot be`)
	require.Error(t, run([]string{"-nonsense"}))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("nonsense"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca-key.pem"), []byte("nonsense"), 0o600))
	require.Error(t, run([]string{"-dir", dir, "a"}), "an authority that cannot be read is not replaced")
}
