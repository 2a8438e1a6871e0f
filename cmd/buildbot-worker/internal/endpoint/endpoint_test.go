package endpoint

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	tcp := Endpoint{Network: "tcp", Host: "m.example.org", Port: 9989, Timeout: 30 * time.Second}
	over := func(change func(*Endpoint)) Endpoint {
		e := tcp
		change(&e)
		return e
	}
	for text, want := range map[string]Endpoint{
		"tcp:m.example.org:9989":                      tcp,
		"TCP:host=m.example.org:port=9989":            tcp,
		"tcp:host=m.example.org:9989":                 tcp,
		"tcp:m.example.org:port=9989:timeout=5":       over(func(e *Endpoint) { e.Timeout = 5 * time.Second }),
		`tcp:host=\:\:1:port=9989`:                    over(func(e *Endpoint) { e.Host = "::1" }),
		"tcp:m.example.org:9989:bindAddress=10.0.0.1": over(func(e *Endpoint) { e.Bind = "10.0.0.1" }),
		"tls:m.example.org:9989":                      over(func(e *Endpoint) { e.TLS = true }),
		"tls:m.example.org:9989:trustRoots=/ca:certificate=c.pem:privateKey=k.pem": over(func(e *Endpoint) {
			e.TLS, e.Roots, e.Cert, e.Key = true, "/ca", "c.pem", "k.pem"
		}),
		"ssl:m.example.org:9989": over(func(e *Endpoint) { e.TLS, e.Unverified = true, true }),
		"ssl:m.example.org:9989:caCertsDir=/ca:certKey=c.pem:hostname=other": over(func(e *Endpoint) {
			e.TLS, e.Roots, e.Cert, e.ServerName = true, "/ca", "c.pem", "other"
		}),
		`unix:/run/a\:b.sock`:           {Network: "unix", Path: "/run/a:b.sock", Timeout: 30 * time.Second},
		"unix:path=/run/b=c:lockfile=1": {Network: "unix", Path: "/run/b=c", Timeout: 30 * time.Second},
	} {
		t.Run(text, func(t *testing.T) {
			got, err := Parse(text)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "must begin with",
		"m.example.org:9989":       `the type "m.example.org" is not supported`,
		"tcp:m":                    "the port must be a number",
		"tcp:m:0":                  "the port must be a number",
		"tcp:m:1:2":                "too many parts",
		"tcp::9989":                "the host is missing",
		"unix:":                    "the path is missing",
		"unix:a:b":                 "too many parts",
		"tcp:m:1:timeout=x":        "timeout must be",
		"tcp:m:1:secret=x":         `the option "secret" is not supported`,
		"tls:m:1:endpoint=tcp\\:a": `the option "endpoint" is not supported`,
		`tcp:m:1\`:                 "ends with a backslash",
		strings.Repeat("a", 1<<20): "more than 4096 bytes",
	} {
		_, err := Parse(text)
		assert.ErrorContains(t, err, want)
	}
}

func TestURL(t *testing.T) {
	for text, want := range map[string]string{
		"tcp:m:1":           "pb://m:1",
		`tls:\:\:1:1`:       "pbs://[::1]:1",
		"unix:/run/a b.soc": "pb+unix:///run/a%20b.soc",
	} {
		e, err := Parse(text)
		require.NoError(t, err)
		assert.Equal(t, want, e.URL())
	}
	assert.Equal(t, "pbs://m:9989", Of("m", 9989, true).URL())
}
