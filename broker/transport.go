package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// Transport carries connections for the URLs of one scheme, in place of TCP, TLS and Unix sockets. Module adapters/quic
// has one.
type Transport struct {
	// Scheme is the scheme of the URLs, for example "pbq". The URLs have the form of pb:// URLs.
	Scheme string
	// Listen makes the listener for [Listen] at such a URL. The config is that of [WithTLS], or empty without it.
	// The minimum version is TLS 1.3 unless WithTLS set one.
	Listen func(address string, config *tls.Config) (net.Listener, error)
	// Dial connects, and must honor ctx. The config is as for Listen, with ServerName set to the host of the URL
	// unless WithTLS set one, and with a ClientSessionCache for a client that reconnects. A connection with a method
	// ConnectionState() tls.ConnectionState, which returns at once, shows its TLS state to logins and [Conn.TLS]; one
	// with CloseWrite can be half closed.
	Dial func(ctx context.Context, address string, config *tls.Config) (net.Conn, error)
}

// WithTransport adds a transport for URLs of its scheme. A connection over it behaves like any other. [ListenOn] and
// [NewClientConn] have no URL and ignore it.
func WithTransport(t Transport) Option {
	return optionFunc(func(o *options) error {
		switch {
		case t.Scheme == "" || t.Listen == nil || t.Dial == nil:
			return errors.New("broker: WithTransport was given a Transport without Scheme, Listen or Dial: set all three")
		case t.Scheme == "pb" || t.Scheme == "pbs" || t.Scheme == "pb+unix":
			return fmt.Errorf("broker: WithTransport: the library has a transport for %s:// URLs itself", t.Scheme)
		}
		if _, ok := o.transports[t.Scheme]; ok {
			return fmt.Errorf("broker: WithTransport was given two transports for %s:// URLs", t.Scheme)
		}
		if o.transports == nil {
			o.transports = map[string]Transport{}
		}
		o.transports[t.Scheme] = t
		return nil
	})
}

// listen calls the application's Listen.
func (t Transport) listen(address string, o *options) (sock net.Listener, err error) {
	config := o.tlsConfig()
	err = calling("the Listen function of a transport", func() (err error) {
		sock, err = t.Listen(address, config)
		return err
	})
	if err == nil && sock == nil {
		err = errors.New("the Listen function of a transport returned no listener")
	}
	return sock, err
}

// dialer returns a function that calls the application's Dial. What it dials resumes the TLS sessions of what it dialed
// before. They are kept for these options alone: a session has the rights of the certificate with which it was made.
func (t Transport) dialer(o *options) dialFunc {
	sessions := tls.NewLRUClientSessionCache(1)
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		config := o.tlsConfig()
		if config.ClientSessionCache == nil {
			config.ClientSessionCache = sessions
		}
		if config.ServerName == "" {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, fmt.Errorf("broker: %w", err)
			}
			config.ServerName = host
		}
		return t.Dial(ctx, address, config)
	}
}
