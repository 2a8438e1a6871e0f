package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// WithTLS gives the configuration for a pbs:// URL. A listener needs one with a certificate; with ClientAuth set to
// tls.RequireAndVerifyClientCert and ClientCAs it asks for the client's ([LoginRoot] can take that for a login). A
// dialer needs one only to trust other authorities than the system's (RootCAs), to show a certificate, or for another
// server name. It is cloned.
//
// Unless the configuration says otherwise, the oldest version accepted is TLS 1.3. With a pb:// or pb+unix:// URL it is
// an error: who gave a configuration does not mean to talk in the clear. [Serve] and [Client] speak TLS over what they
// are given if there is one.
func WithTLS(config *tls.Config) Option { return optionFunc(func(o *options) { o.tls = config }) }

// errTLSUnused keeps a slip in a URL from taking the encryption away.
func errTLSUnused(url string) error {
	return fmt.Errorf("broker: %s does not speak TLS, and WithTLS was given: write pbs://, or leave the option out", url)
}

// tlsConfig is the user's configuration with our defaults.
func (o *options) tlsConfig() *tls.Config {
	config := &tls.Config{}
	if o.tls != nil {
		config = o.tls.Clone()
	}
	if config.MinVersion == 0 {
		config.MinVersion = tls.VersionTLS13
	}
	return config
}

// serveTLS makes a listening socket speak TLS. The handshake is made by the codec actors, under the handshake deadline,
// so a client that is slow at it holds up nobody.
func serveTLS(sock net.Listener, o *options) (net.Listener, error) {
	config := o.tlsConfig()
	if len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
		return nil, errors.New("broker: listening at a pbs:// URL needs WithTLS and a configuration with a certificate")
	}
	return tls.NewListener(netio.DiscountPausesOf(sock), config), nil
}

// dialTLS makes the handshake of the connecting side, so that a server which cannot prove who it is is found out before
// anything is sent.
func dialTLS(ctx context.Context, sock net.Conn, address string, o *options) (net.Conn, error) {
	config := o.tlsConfig()
	if config.ServerName == "" && address != "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("broker: %w", err)
		}
		config.ServerName = host
	}
	client := tls.Client(netio.DiscountPauses(sock), config)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer patience.AfterFunc(o.limits.Handshake, func() { cancel(context.DeadlineExceeded) }).Stop()
	if err := calling("the TLS configuration", func() error { return client.HandshakeContext(ctx) }); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, usercode.Wrap(err, "broker: the TLS handshake")
	}
	return client, nil
}

// speaksTLS says whether the socket is one of package tls.
func (c *connection) speaksTLS() bool {
	_, ok := c.sock.(*tls.Conn)
	return ok
}

// tlsState is what TLS has found out about the peer; nil on a connection without it.
func (c *connection) tlsState() *tls.ConnectionState {
	t, ok := c.sock.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	state := t.ConnectionState()
	if !state.HandshakeComplete {
		return nil
	}
	return &state
}
