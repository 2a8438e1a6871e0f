// Package quic carries Perspective Broker over QUIC, for URLs pbq://host:port. A connection is encrypted with TLS 1.3
// and has the certificates and client credentials of pbs:// URLs. Unlike one over TCP it survives a change of the
// client's address, and a client that comes back is connected in the round trip that brings the server's offer.
//
// The transport is an option of package broker, for listeners, dialers and reconnecting clients:
//
//	transport := broker.WithTransport(quic.Transport(quic.Config{}))
//	ln, err := broker.Listen(rt, "pbq://:8787", root, transport, broker.WithTLS(serverConfig))
//	conn, err := broker.Dial(ctx, rt, "pbq://example.org", transport, broker.WithTLS(clientConfig))
//
// Stock peers do not speak it. Both ends must be programs of this library, with this package.
//
// # On the wire
//
// The ALPN protocol is "pb". A QUIC connection has one bidirectional stream, which the server opens, because it speaks
// first in Perspective Broker. The stream carries what a TCP connection would. It ends in both directions like one, and
// then the QUIC connection is closed with the application error code 0.
//
// A client sends nothing before the server's offer has arrived, so an attacker who records and repeats its packets
// (the risk of QUIC's early data) can have no call made.
package quic
