// Authority makes the certificates of a cluster's nodes: an authority that serves nodes alone, and a certificate for
// each node that is named.
//
//	go run ./examples/authority -dir certs a b c
//
// It writes certs/ca.pem, and for each node certs/NAME.pem and certs/NAME-key.pem. The authority's own key is
// certs/ca-key.pem: whoever has it can make nodes, so keep it where no node runs. With an authority that is there it
// makes only what is missing, and a node's certificate anew. Certificates of nodes are good for a year.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "authority:", err)
		os.Exit(1)
	}
}

const (
	year      = 365 * 24 * time.Hour
	caYears   = 10
	clockSkew = time.Hour
)

func run(args []string) error {
	flags := flag.NewFlagSet("authority", flag.ContinueOnError)
	dir := flags.String("dir", "certs", "the `DIRECTORY` for the files")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("name the nodes: authority -dir certs a b c")
	}
	for _, name := range flags.Args() {
		if name == "" || name == "ca" || strings.ContainsAny(name, `/\`) {
			return fmt.Errorf("%q cannot be the name of a node", name)
		}
	}
	if err := os.MkdirAll(*dir, 0o700); err != nil {
		return err
	}
	ca, err := load(*dir)
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = create(*dir)
	}
	if err != nil {
		return err
	}
	for _, name := range flags.Args() {
		if err := ca.issue(*dir, name); err != nil {
			return err
		}
	}
	return nil
}

// authority is a certificate with its key.
type authority struct {
	cert *x509.Certificate
	key  any
}

func load(dir string) (*authority, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem"))
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	return &authority{cert, pair.PrivateKey}, err
}

func create(dir string) (*authority, error) {
	template, err := newTemplate("authority of the nodes", caYears*year)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if err := write(dir, "ca", der, key); err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert, key}, err
}

// issue makes the certificate of a node. A link needs it in both directions, and the DNS name is the node's name.
func (a *authority) issue(dir, name string) error {
	template, err := newTemplate(name, year)
	if err != nil {
		return err
	}
	template.DNSNames, template.KeyUsage = []string{name}, x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	return write(dir, name, der, key)
}

func newTemplate(name string, valid time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-clockSkew),
		NotAfter: now.Add(valid),
	}, err
}

func write(dir, name string, der []byte, key *ecdsa.PrivateKey) error {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(dir, name+"-key.pem"), "PRIVATE KEY", private),
		writePEM(filepath.Join(dir, name+".pem"), "CERTIFICATE", der),
	)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
