package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/quic-go/quic-go"
)

// Scheme is the scheme of the URLs.
const Scheme = "pbq"

// protocol is the name of the protocol in the TLS handshake.
const protocol = "pb"

// Config sets what is particular to QUIC. Zero values are the defaults.
type Config struct {
	// IdleTimeout is how long a peer may be silent before the connection counts as lost, for example because its
	// machine is gone. Default 30 s. The smaller value of the two sides counts.
	IdleTimeout time.Duration
	// KeepAlive is how often a side sends a packet if there is nothing else to send, so that a healthy connection is
	// not silent. Default 10 s. A negative value turns it off.
	KeepAlive time.Duration
	// ReceiveWindow is how many bytes of a connection may have arrived and not been read. They are beside those that
	// broker.Limits counts. Default 1 MiB.
	ReceiveWindow int
}

const (
	defaultIdleTimeout   = 30 * time.Second
	defaultKeepAlive     = 10 * time.Second
	defaultReceiveWindow = 1 << 20
)

func (c Config) check() error {
	if c.IdleTimeout < 0 || c.ReceiveWindow < 0 {
		return errors.New("quic: IdleTimeout and ReceiveWindow of a Config must not be negative")
	}
	return nil
}

func (c Config) quic() *quic.Config {
	if c.IdleTimeout == 0 {
		c.IdleTimeout = defaultIdleTimeout
	}
	switch {
	case c.KeepAlive == 0:
		c.KeepAlive = defaultKeepAlive
	case c.KeepAlive < 0:
		c.KeepAlive = 0
	}
	if c.ReceiveWindow == 0 {
		c.ReceiveWindow = defaultReceiveWindow
	}
	window := uint64(c.ReceiveWindow)
	return &quic.Config{
		MaxIdleTimeout: c.IdleTimeout, KeepAlivePeriod: c.KeepAlive,
		InitialStreamReceiveWindow: min(window, 512<<10), MaxStreamReceiveWindow: window,
		InitialConnectionReceiveWindow: min(window, 512<<10), MaxConnectionReceiveWindow: window,
		MaxIncomingUniStreams: -1,
	}
}

// Transport returns the transport for pbq:// URLs, for [broker.WithTransport].
//
// A listener needs a certificate ([broker.WithTLS]). When it is closed, its UDP port stays taken until its last
// connection has ended. A reconnecting client resumes its TLS session with the server. Other dialers do if their TLS
// configuration has a ClientSessionCache, which must not be shared by configurations that differ.
func Transport(config Config) broker.Transport {
	return broker.Transport{
		Scheme: Scheme,
		Listen: func(address string, tlsConfig *tls.Config) (net.Listener, error) {
			if err := config.check(); err != nil {
				return nil, err
			}
			return listen(address, tlsConfig, config.quic())
		},
		Dial: func(ctx context.Context, address string, tlsConfig *tls.Config) (net.Conn, error) {
			if err := config.check(); err != nil {
				return nil, err
			}
			return dial(ctx, address, tlsConfig, config.quic())
		},
	}
}

// dial connects and waits for the server's stream.
func dial(ctx context.Context, address string, tlsConfig *tls.Config, config *quic.Config) (net.Conn, error) {
	tlsConfig.NextProtos = []string{protocol}
	config.MaxIncomingStreams = 1
	qc, err := quic.DialAddrEarly(ctx, address, tlsConfig, config)
	if err != nil {
		return nil, fmt.Errorf("quic: connecting: %w", err)
	}
	stream, err := qc.AcceptStream(ctx)
	if errors.Is(err, quic.Err0RTTRejected) {
		// The server has forgotten the session, for example because it was restarted.
		if qc, err = qc.NextConnection(ctx); err == nil {
			stream, err = qc.AcceptStream(ctx)
		}
	}
	if err == nil {
		select {
		case <-qc.HandshakeComplete():
			return newConn(qc, stream, nil), nil
		case <-qc.Context().Done():
			err = context.Cause(qc.Context())
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if qc != nil {
		_ = qc.CloseWithError(closedInOrder, "")
	}
	return nil, fmt.Errorf("quic: connecting: %w", errorOf(err))
}

// listener accepts QUIC connections. Its socket stays open until its last connection has ended.
type listener struct {
	transport *quic.Transport
	quic      *quic.EarlyListener
	verify    bool // clients show certificates, so a connection is of use only after the handshake

	mu     sync.Mutex
	users  int // of the socket: the listener and its connections
	closed bool
}

func listen(address string, tlsConfig *tls.Config, config *quic.Config) (net.Listener, error) {
	if len(tlsConfig.Certificates) == 0 && tlsConfig.GetCertificate == nil && tlsConfig.GetConfigForClient == nil {
		return nil, errors.New(
			"quic: listening at a pbq:// URL needs broker.WithTLS and a configuration with a certificate")
	}
	tlsConfig.NextProtos = []string{protocol}
	config.Allow0RTT = true
	config.MaxIncomingStreams = -1
	udp, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	sock, err := net.ListenUDP("udp", udp)
	if err != nil {
		return nil, err
	}
	l := &listener{
		transport: &quic.Transport{Conn: sock}, users: 1,
		verify: tlsConfig.ClientAuth != tls.NoClientCert || tlsConfig.GetConfigForClient != nil,
	}
	if l.quic, err = l.transport.ListenEarly(tlsConfig, config); err != nil {
		return nil, errors.Join(err, l.transport.Close(), sock.Close())
	}
	return l, nil
}

// Accept implements net.Listener. The handshake of what it returns may be under way: reads and writes wait for it.
func (l *listener) Accept() (net.Conn, error) {
	qc, err := l.quic.Accept(context.Background())
	if err != nil {
		if errors.Is(err, quic.ErrServerClosed) {
			err = net.ErrClosed
		}
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users++
	c := newConn(qc, nil, l.release)
	c.verify = l.verify
	return c, nil
}

// Close implements net.Listener. The connections go on.
func (l *listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	l.closed = true
	l.mu.Unlock()
	err := l.quic.Close()
	l.release()
	return err
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.quic.Addr() }

// release closes the socket after its last user.
func (l *listener) release() {
	l.mu.Lock()
	l.users--
	last := l.users == 0
	l.mu.Unlock()
	if last {
		_ = l.transport.Close()
		_ = l.transport.Conn.Close()
	}
}
