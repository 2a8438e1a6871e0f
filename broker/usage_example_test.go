package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// exampleTLS returns a certificate for 127.0.0.1 and a pool that trusts it.
func exampleTLS() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func ExampleWithTLS() {
	ctx := context.Background()
	rt := exampleRuntime()
	defer rt.Close(ctx)

	certificate, authorities := exampleTLS() // A program reads them with tls.LoadX509KeyPair and AppendCertsFromPEM.
	ln, err := broker.Listen(rt, "pbs://127.0.0.1:0", &Account{},
		broker.WithTLS(&tls.Config{Certificates: []tls.Certificate{certificate}}))
	if err != nil {
		log.Fatal(err)
	}
	conn, err := broker.Dial(ctx, rt, ln.URL(), broker.WithTLS(&tls.Config{RootCAs: authorities}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(conn.TLS().Version == tls.VersionTLS13)
	fmt.Println(flavors.Call[int](ctx, conn.Root(), "deposit", 100))

	_, err = broker.Dial(ctx, rt, ln.URL()) // It trusts the system's authorities only.
	var unknown x509.UnknownAuthorityError
	fmt.Println(errors.As(err, &unknown))
	// Output:
	// true
	// 100 <nil>
	// true
}

func ExampleReconnect() {
	ctx := context.Background()
	rt := exampleRuntime()
	defer rt.Close(ctx)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Account{balance: 100})
	if err != nil {
		log.Fatal(err)
	}

	// The session function prepares each new connection. A client with a login returns conn.Login(...).
	session := func(ctx context.Context, conn *broker.Conn) (*flavors.RemoteReference, error) {
		balance, err := flavors.Call[int](ctx, conn.Root(), "deposit", 0)
		fmt.Println("connected, the balance is", balance)
		return conn.Root(), err
	}
	client, err := broker.Reconnect(rt, ln.URL(), session)
	if err != nil {
		log.Fatal(err)
	}
	account, err := client.Session(ctx) // It waits for a session.
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(flavors.Call[int](ctx, account, "deposit", 10))

	// The network fails. The references of the old session fail, and Session returns those of the next one.
	ln.Conns()[0].Abort(errors.New("cut"))
	<-account.Conn().Context().Done()
	fmt.Println(errors.Is(account.Err(), flavors.DeadReference))
	if account, err = client.Session(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(flavors.Call[int](ctx, account, "deposit", 10))
	// Output:
	// connected, the balance is 100
	// 110 <nil>
	// true
	// connected, the balance is 110
	// 120 <nil>
}

func ExampleWithKeepalive() {
	ctx := context.Background()
	rt := exampleRuntime()
	defer rt.Close(ctx)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	// This server negotiates and then hangs.
	hangs := func() {
		sock, err := ln.Accept()
		if err != nil {
			log.Fatal(err)
		}
		_, _ = sock.Write([]byte("\x01\x80\x02\x82pb")) // [pb]
	}
	go hangs()

	// Ping after 20 ms of silence, and wait 20 ms for the answer. A real program uses minutes.
	conn, err := broker.Dial(ctx, rt, "pb://"+ln.Addr().String(),
		broker.WithKeepalive(20*time.Millisecond, 20*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	<-conn.Done()
	fmt.Println(context.Cause(conn.Context()))
	// Output: broker: the peer has fallen silent
}

func ExampleListener_Shutdown() {
	ctx := context.Background()
	rt := exampleRuntime()
	defer rt.Close(ctx)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Account{})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := broker.Dial(ctx, rt, ln.URL())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(flavors.Call[int](ctx, conn.Root(), "deposit", 100))

	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	fmt.Println(ln.Shutdown(limited))
	<-conn.Done()
	fmt.Println(context.Cause(conn.Context()))
	// Output:
	// 100 <nil>
	// <nil>
	// broker: the peer closed the connection
}
