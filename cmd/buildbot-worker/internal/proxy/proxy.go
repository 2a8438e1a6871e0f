package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Limits of what a proxy may do.
const (
	// maxHeader limits the header of a proxy's answer, in bytes.
	maxHeader = 64 << 10
	// answerTime limits the time until the answer: the proxy connects to the server meanwhile.
	answerTime = time.Minute
	// maxInterim limits the answers with a status below 200 that come first.
	maxInterim = 5
)

// Dial connects to an address. It is the type of net.Dialer's DialContext.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)

// Choose returns the proxy for an address, or nil for none.
type Choose = func(address string) (*url.URL, error)

// Always returns the same proxy.
func Always(proxy *url.URL) Choose { return func(string) (*url.URL, error) { return proxy, nil } }

// FromEnvironment chooses as Go's HTTP client does for https URLs: HTTPS_PROXY and NO_PROXY, or the same in lower case.
// It ignores a variable that is not a URL, as the client does.
func FromEnvironment() Choose {
	return func(address string) (*url.URL, error) {
		request := &http.Request{URL: &url.URL{Scheme: "https", Host: address}}
		proxy, err := http.ProxyFromEnvironment(request)
		if proxy != nil {
			err = check(proxy)
		}
		return proxy, err
	}
}

// Parse reads the URL of a proxy: http://[user:password@]host[:port], or https.
func Parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("the proxy is not a URL; write http://host:port") // err repeats the password
	}
	return u, check(u)
}

func check(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("the proxy %.200q must be http://host:port or https://host:port", u.Redacted())
	}
	return nil
}

// Through returns a dialer that asks choose for a proxy and connects through it. It reaches the proxy with forward. The
// configuration is for https proxies; it may be nil. Unix sockets need no proxy.
func Through(choose Choose, forward Dial, config *tls.Config) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if network == "unix" {
			return forward(ctx, network, address)
		}
		proxy, err := choose(address)
		if err != nil {
			return nil, err
		}
		if proxy == nil {
			return forward(ctx, network, address)
		}
		conn, err := dial(ctx, proxy, forward, config, address)
		if err != nil {
			return nil, fmt.Errorf("through the proxy %s: %w", proxy.Redacted(), err)
		}
		return conn, nil
	}
}

func dial(ctx context.Context, proxy *url.URL, forward Dial, config *tls.Config, address string) (net.Conn, error) {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	}
	conn, err := forward(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), port))
	if err != nil {
		return nil, err
	}
	tunnel, err := establish(ctx, conn, proxy, config, address)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return tunnel, nil
}

// establish asks the proxy for the tunnel. If ctx ends or the time is over it closes conn.
func establish(
	ctx context.Context, conn net.Conn, proxy *url.URL, config *tls.Config, address string,
) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, errors.New("the proxy does not answer"))
	defer cancel()
	raw := conn
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	if proxy.Scheme == "https" {
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		config = config.Clone()
		config.ServerName = proxy.Hostname()
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("the TLS handshake: %w", err)
		}
		conn = secure
	}
	tunnel, err := connect(conn, proxy, address)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return tunnel, err
}

// connect sends the request and reads the answer.
func connect(conn net.Conn, proxy *url.URL, address string) (net.Conn, error) {
	request := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{},
	}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		basic := &http.Request{Header: http.Header{}}
		basic.SetBasicAuth(user.Username(), password)
		request.Header.Set("Proxy-Authorization", basic.Header.Get("Authorization"))
	}
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: conn, N: maxHeader}
	reader := bufio.NewReader(limited)
	for range maxInterim {
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			if limited.N <= 0 {
				err = fmt.Errorf("the header of the answer has more than %d bytes", maxHeader)
			}
			return nil, fmt.Errorf("the proxy's answer: %w", err)
		}
		switch {
		case response.StatusCode < 200:
			continue
		case response.StatusCode == http.StatusProxyAuthRequired:
			return nil, errors.New("the proxy wants a user and a password, or does not accept those in its URL (407)")
		case response.StatusCode >= 300:
			return nil, fmt.Errorf("the proxy refuses to connect to %s: %.100q", address, response.Status)
		}
		return &buffered{conn, bufferedBytes(reader)}, nil
	}
	return nil, errors.New("the proxy sends nothing but interim answers")
}

// bufferedBytes returns what the server has sent directly after the proxy's answer.
func bufferedBytes(reader *bufio.Reader) *strings.Reader {
	rest, _ := reader.Peek(reader.Buffered()) // never fails
	return strings.NewReader(string(rest))
}

// buffered is a connection some of whose bytes were read already.
type buffered struct {
	net.Conn
	rest *strings.Reader
}

// Read implements net.Conn.
func (b *buffered) Read(p []byte) (int, error) {
	if b.rest.Len() > 0 {
		return b.rest.Read(p)
	}
	return b.Conn.Read(p)
}
