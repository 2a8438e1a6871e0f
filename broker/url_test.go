package broker

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

func TestParseURL(t *testing.T) {
	for url, want := range map[string]endpoint{
		"pb://localhost":      {network: "tcp", address: "localhost:8787", name: "root"},
		"pb://localhost/":     {network: "tcp", address: "localhost:8787", name: "root"},
		"pb://localhost:1234": {network: "tcp", address: "localhost:1234", name: "root"},
		"pb://127.0.0.1:0":    {network: "tcp", address: "127.0.0.1:0", name: "root"},
		"pb://:1234":          {network: "tcp", address: ":1234", name: "root"},
		"pb://[::1]":          {network: "tcp", address: "[::1]:8787", name: "root"},
		"pb://[::1]:99/attic": {network: "tcp", address: "[::1]:99", name: "attic"},
		"pb://host/a%20b":     {network: "tcp", address: "host:8787", name: "a b"},
		"pb://a:1,b,[::1]:3/attic": {
			network: "tcp", address: "a:1", name: "attic", more: []string{"b:8787", "[::1]:3"},
		},
		"pbs://a,b":                     {network: "tcp", address: "a:8787", name: "root", more: []string{"b:8787"}},
		"pb+unix:///run/a,b":            {network: "unix", address: "/run/a,b", name: "root"},
		"pb+unix:///run/pb.sock":        {network: "unix", address: "/run/pb.sock", name: "root"},
		"pb+unix:///run/a%20b":          {network: "unix", address: "/run/a b", name: "root"},
		"pb+unix:///run/pb.sock?name=x": {network: "unix", address: "/run/pb.sock", name: "x"},
	} {
		t.Run(url, func(t *testing.T) {
			got, err := parseURL(url, nil)
			require.NoError(t, err)
			require.Equal(t, want.network, got.network)
			require.Equal(t, want.address, got.address)
			require.Equal(t, want.name, got.name)
			require.Equal(t, want.more, got.more)
		})
	}
}

func TestParseURLErrors(t *testing.T) {
	for url, says := range map[string]string{
		"":                                       "the scheme is missing",
		"localhost:8787":                         "scheme",
		"http://localhost":                       `unknown scheme "http"`,
		"pb://":                                  "the host is missing",
		"pb://user:secret@host":                  "user and password",
		"pb://user:secret@host:port":             "invalid port",
		"pb://host?x=1":                          "a query",
		"pb://host#there":                        "a fragment",
		"pb://a,,b":                              "an address is missing between the commas",
		"pb://a,":                                "an address is missing between the commas",
		"pb://,":                                 "an address is missing between the commas",
		"pb://a,b,a:8787":                        "the address a:8787 is there twice",
		"pb://a,b:port":                          "invalid port",
		"pb://a,b?x=1":                           "a query",
		"pb://a,b#there":                         "a fragment",
		"pb://u:secret@a,b":                      "user and password",
		"pb://a,u:secret@b":                      "user and password",
		"http://a,b":                             `unknown scheme "http"`,
		"pb://host:port":                         "invalid port",
		"pb://127.0.0.1:":                        "the port is missing behind the colon",
		"pbs://host:/attic":                      "the port is missing behind the colon",
		"pb://[::1]:":                            "the port is missing behind the colon",
		"pb://:":                                 "the host is missing",
		"pb://a:1,b:":                            "the port is missing behind the colon",
		"pb://a:1,b:65536":                       "the port 65536 is beyond 65535",
		"pb://host:65536":                        "the port 65536 is beyond 65535",
		"pb://host:99999999999999999999":         "is beyond 65535",
		"pb://host:-1":                           "invalid port",
		"pb://::1:8787":                          "in brackets",
		"pb://fe80::1":                           "in brackets",
		"pb://[::1":                              "missing ']'",
		"pb://a b":                               "invalid character",
		"pb+unix:///a%00b":                       "none of them NUL",
		"pb+unix:///" + strings.Repeat("a", 107): "at most 107 bytes",
		"pb+unix://run/pb.sock":                  "a socket path starts with a slash",
		"pb+unix://":                             "the path of the socket is missing",
		"pb+unix:///":                            "the path of the socket is missing",
		"pb+unix:///s?name=":                     "the only allowed query",
		"pb+unix:///s?name=a&name=b":             "the only allowed query",
		"pb+unix:///s?other=x":                   "the only allowed query",
	} {
		t.Run(url, func(t *testing.T) {
			_, err := parseURL(url, nil)
			require.ErrorContains(t, err, says)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

// TestURLErrorsAtOnce refuses URLs at which nothing can be, instead of trying again and again.
func TestURLErrorsAtOnce(t *testing.T) {
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	defer func() { _ = rt.Close(context.Background()) }()
	other := Transport{
		Scheme: "pbt", Dial: func(context.Context, string, *tls.Config) (net.Conn, error) { return nil, net.ErrClosed },
		Listen: func(string, *tls.Config) (net.Listener, error) { return nil, net.ErrClosed },
	}
	for url, says := range map[string]string{
		"pb://127.0.0.1:": "the port is missing", "pbs://127.0.0.1:": "the port is missing",
		"pbt://127.0.0.1:": "the port is missing", "pb://127.0.0.1:0": "port 0", "pb://127.0.0.1:00": "port 0",
		"pbt://127.0.0.1:0": "port 0", "pb://127.0.0.1:1,127.0.0.1:0": "port 0", "pb://127.0.0.1:1,127.0.0.1:": "the port is",
		"pb://h:70000": "beyond", "pb+unix:///a%00": "NUL", "pbx://h": "unknown scheme", "": "the scheme is missing",
	} {
		_, err := Dial(t.Context(), rt, url, WithTransport(other))
		require.ErrorContains(t, err, says, url)
		_, err = Reconnect[struct{}](rt, url, nil, WithTransport(other))
		require.ErrorContains(t, err, says, url)
		if says != "port 0" {
			_, err = Listen(rt, url, &flavors.Referenceable{}, WithTransport(other))
			require.ErrorContains(t, err, says, url)
		}
	}
}

func TestURLRoundTrip(t *testing.T) {
	for _, test := range []struct {
		url  string
		addr net.Addr
		want string
	}{
		{"pb://127.0.0.1:0", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1234}, "pb://127.0.0.1:1234"},
		{"pb://[::1]:0", &net.TCPAddr{IP: net.IPv6loopback, Port: 1234}, "pb://[::1]:1234"},
		{"pb+unix:///run/a%20b", &net.UnixAddr{Name: "/run/a b", Net: "unix"}, "pb+unix:///run/a%20b"},
		{"pb://host:1/a%2Fb", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}, "pb://10.0.0.1:1/a%2Fb"},
	} {
		e, err := parseURL(test.url, nil)
		require.NoError(t, err)
		got := e.url(test.addr)
		require.Equal(t, test.want, got)
		again, err := parseURL(got, nil)
		require.NoError(t, err)
		require.Equal(t, e.name, again.name)
		require.Equal(t, got, again.url(test.addr))
	}
}
