package clusters

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// authority issues the certificates of the nodes. Its files are in one directory; see [systems.NodeFiles].
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// certificateTime is how long certificates are good, which is longer than any run.
const certificateTime = 24 * time.Hour

func newAuthority(dir string) (*authority, error) {
	a := &authority{dir: dir}
	template := newTemplate("authority of the nodes")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	a.cert = template // signs itself
	der, err := a.issue("ca", template)
	if err != nil {
		return nil, err
	}
	a.cert, err = x509.ParseCertificate(der)
	return a, err
}

// Certify writes the certificates of nodes into a directory, for [systems.NodeFiles].
func Certify(dir string, nodes ...string) error {
	a, err := newAuthority(dir)
	if err != nil {
		return err
	}
	for _, name := range nodes {
		if err := a.node(name); err != nil {
			return err
		}
	}
	return nil
}

// node writes the certificate of a node and its key.
func (a *authority) node(name string) error {
	template := newTemplate(name)
	template.DNSNames, template.KeyUsage = []string{name}, x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	_, err := a.issue(name, template)
	return err
}

func newTemplate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateTime),
	}
}

// issue signs a certificate and writes it with its key. The first one is the authority's own.
func (a *authority) issue(name string, template *x509.Certificate) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if a.key == nil {
		a.key = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	_, cert, secret := systems.NodeFiles(a.dir, name)
	return der, errors.Join(writePEM(cert, "CERTIFICATE", der), writePEM(secret, "PRIVATE KEY", private))
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
