package broker

import (
	"net"
	"testing"

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
		"":                           "the scheme is missing",
		"localhost:8787":             "scheme",
		"http://localhost":           `unknown scheme "http"`,
		"pb://":                      "the host is missing",
		"pb://user:secret@host":      "user and password",
		"pb://user:secret@host:port": "invalid port",
		"pb://host?x=1":              "a query",
		"pb://host#there":            "a fragment",
		"pb://a,,b":                  "an address is missing between the commas",
		"pb://a,":                    "an address is missing between the commas",
		"pb://,":                     "an address is missing between the commas",
		"pb://a,b,a:8787":            "the address a:8787 is there twice",
		"pb://a,b:port":              "invalid port",
		"pb://a,b?x=1":               "a query",
		"pb://a,b#there":             "a fragment",
		"pb://u:secret@a,b":          "user and password",
		"pb://a,u:secret@b":          "user and password",
		"http://a,b":                 `unknown scheme "http"`,
		"pb://host:port":             "invalid port",
		"pb+unix://run/pb.sock":      "a socket path starts with a slash",
		"pb+unix://":                 "the path of the socket is missing",
		"pb+unix:///":                "the path of the socket is missing",
		"pb+unix:///s?name=":         "the only allowed query",
		"pb+unix:///s?name=a&name=b": "the only allowed query",
		"pb+unix:///s?other=x":       "the only allowed query",
	} {
		t.Run(url, func(t *testing.T) {
			_, err := parseURL(url, nil)
			require.ErrorContains(t, err, says)
			require.NotContains(t, err.Error(), "secret")
		})
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
