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

// WithTLS sets the TLS configuration for a pbs:// URL; it is cloned. A listener needs a certificate. With ClientAuth
// set to tls.RequireAndVerifyClientCert, and ClientCAs, it requires a client certificate, which [LoginRoot] accepts as
// a login. A dialer needs a configuration only to trust other authorities than the system's (RootCAs), to present a
// certificate, or to set the server name.
//
// The minimum version is TLS 1.3 unless the configuration sets one. With a pb:// or pb+unix:// URL the option is an
// error, so that a typing error cannot turn off encryption. With the option, [ListenOn] and [NewClientConn] use TLS
// over the sockets that they are given. By default a pbs:// URL is dialed with the system's authorities, and everything
// else is without TLS.
func WithTLS(config *tls.Config) Option {
	return optionFunc(func(o *options) error {
		o.tls = config
		return notNil("WithTLS", "*tls.Config", config == nil)
	})
}

// checkTLS reports a URL without TLS together with WithTLS.
func (o *options) checkTLS(e endpoint) error {
	if o.tls == nil || e.scheme == "pbs" || e.network == "" {
		return nil
	}
	return fmt.Errorf(
		"broker: a %s:// URL does not speak TLS, and WithTLS was given: write pbs://, or leave the option out", e.scheme)
}

// tlsConfig returns the TLS configuration with defaults.
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

// serveTLS makes a listening socket use TLS. The codec actors make the handshake, so a slow client does not delay
// others.
func serveTLS(sock net.Listener, o *options) (net.Listener, error) {
	config := o.tlsConfig()
	if len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
		return nil, errors.New("broker: listening at a pbs:// URL needs WithTLS and a configuration with a certificate")
	}
	return tls.NewListener(netio.DiscountPausesOf(sock), config), nil
}

// dialTLS makes the client's handshake, which verifies the server before anything is sent.
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

// speaksTLS reports whether the socket is a *tls.Conn.
func (c *connection) speaksTLS() bool {
	_, ok := c.sock.(*tls.Conn)
	return ok
}

// tlsState returns the state of a completed TLS handshake, or nil.
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
