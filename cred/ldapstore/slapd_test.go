package ldapstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/cred/internal/daemon"
	"github.com/perspectivebroker/pb/internal/freeport"
)

const (
	base            = "ou=people,dc=example,dc=org"
	service         = "cn=pb,dc=example,dc=org"
	servicePassword = cred.Secret("only-of-this-test")
	decoy           = "uid=decoy," + base
)

// slapdConf lets the service account read what a search for users needs, and anybody bind.
const slapdConf = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile DIR/pid
TLSCACertificateFile DIR/cert.pem
TLSCertificateFile DIR/cert.pem
TLSCertificateKeyFile DIR/key.pem
database mdb
suffix "dc=example,dc=org"
rootdn "cn=root,dc=example,dc=org"
directory DIR/data
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=open,dc=example,dc=org" by * read
access to * by dn.exact="cn=pb,dc=example,dc=org" read by anonymous auth by * none
`

// slapd is a directory of the test's own.
type slapd struct {
	*daemon.Daemon
	plain, tls, socket string // where it listens, as URLs
	roots              *x509.CertPool
	port               int
}

func startSlapd(t *testing.T) slapd {
	t.Helper()
	server := daemon.Find(t, "slapd", "slapd", "/usr/sbin/slapd")
	slapadd := daemon.Find(t, "slapd", "slapadd", "/usr/sbin/slapadd")
	slappasswd := daemon.Find(t, "slapd", "slappasswd", "/usr/sbin/slappasswd")
	as := daemon.Unprivileged(t, "openldap")
	dir := daemon.Dir(t, as)
	s := slapd{roots: x509.NewCertPool(), port: freeport.Port(t)}
	s.certify(t, dir)
	conf := filepath.Join(dir, "slapd.conf")
	write(t, conf, strings.ReplaceAll(slapdConf, "DIR", dir))
	daemon.Run(t, as, "", "/bin/mkdir", filepath.Join(dir, "data"))
	hash := func(password string) string {
		return strings.TrimSpace(daemon.Run(t, nil, "", slappasswd, "-h", "{SSHA}", "-s", password))
	}
	daemon.Run(t, as, people(hash), slapadd, "-f", conf)

	socket := filepath.Join(dir, "ldapi")
	s.plain = fmt.Sprintf("ldap://127.0.0.1:%d", s.port)
	s.tls = fmt.Sprintf("ldaps://127.0.0.1:%d", freeport.Port(t))
	s.socket = "ldapi://" + url.PathEscape(socket)
	s.Daemon = daemon.Start(
		t,
		as,
		"TERM",
		server,
		"-f",
		conf,
		"-d",
		"0",
		"-h",
		strings.Join([]string{s.plain, s.tls, s.socket}, " "),
	)
	s.Until(func() error {
		for _, at := range [][2]string{
			{"tcp", s.plain[len("ldap://"):]}, {"tcp", s.tls[len("ldaps://"):]}, {"unix", socket},
		} {
			conn, err := net.Dial(at[0], at[1])
			if err != nil {
				return err
			}
			conn.Close()
		}
		return nil
	})
	return s
}

// people is what the directory contains, in LDIF.
func people(hash func(string) string) string {
	var b strings.Builder
	b.WriteString("dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\n" +
		"o: Example\ndc: example\n\n")
	for _, ou := range []string{"people", "open"} {
		fmt.Fprintf(&b, "dn: ou=%s,dc=example,dc=org\nobjectClass: organizationalUnit\nou: %s\n\n", ou, ou)
	}
	fmt.Fprintf(
		&b,
		"dn: %s\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: pb\nuserPassword: %s\n\n",
		service,
		hash(string(servicePassword)),
	)
	person := func(dn string, lines ...string) {
		fmt.Fprintf(&b, "dn: %s\nobjectClass: inetOrgPerson\ncn: x\nsn: x\n%s\n\n", dn, strings.Join(lines, "\n"))
	}
	person("uid=Alice,"+base, "uid: Alice", "mail: alice@example.org", "userPassword: "+hash("sesame"))
	person("uid=bob,"+base, "uid: bob", "userPassword: bread")
	person(`uid=o\2Abrien\28\29,`+base, "uid: o*brien()", "userPassword: x")
	person("uid=two,"+base, "uid: two", "uid: zwei", "userPassword: x")
	person("cn=x,"+base, "uid: twin", "userPassword: x")
	person("sn=x,"+base, "uid: twin", "userPassword: x")
	person("uid=nopassword,"+base, "uid: nopassword")
	person(decoy, "uid: decoy", "userPassword: "+hash("nobody-knows-it"))
	person("uid=carol,ou=open,dc=example,dc=org", "uid: carol", "userPassword: y")
	return b.String()
}

func write(t testing.TB, path, text string) {
	t.Helper()
	// The directory is private, so the file may be readable for the server's user.
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

// certify makes the server a certificate that is its own authority.
func (s *slapd) certify(t testing.TB, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "slapd of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"directory.example"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.True(t, s.roots.AppendCertsFromPEM(certificate))
	write(t, filepath.Join(dir, "cert.pem"), string(certificate))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

func (s *slapd) trusted() *tls.Config {
	return &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}
}
