package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The expected values are those of twisted.web.http.parse_qs(query, keep_blank_values=1).
func TestQuery(t *testing.T) {
	for query, want := range map[string]string{
		"":                 "{}",
		"a=1&a=2;b=3":      `{b"a": [b"1", b"2"], b"b": [b"3"]}`,
		"a&b=&=c":          `{b"b": [b""], b"": [b"c"]}`,
		"a+b=c+d%2B":       `{b"a b": [b"c d+"]}`,
		"a=%zz&b=%4&c=%41": `{b"a": [b"%zz"], b"b": [b"%4"], b"c": [b"A"]}`,
		"a=b=c":            `{b"a": [b"b=c"]}`,
	} {
		var f form
		f.addQuery(query)
		assert.Equal(t, want, jelly.Format(f.dict()), query)
	}
}

func TestSetCookie(t *testing.T) {
	for line, want := range map[string]string{
		"a=b":                                   "a=b {}",
		"a=":                                    "a= {}",
		"a=b=c; ":                               "a=b=c {}",
		"a=b; Expires=Thu, 01 Jan 1970; Path=/": `a=b {"expires": b"Thu, 01 Jan 1970", "path": b"/"}`,
		"a=b; secure; HTTPONLY; samesite=LAX":   `a=b {"httpOnly": True, "sameSite": b"lax", "secure": True}`,
		"a=b; SameSite=None; Partitioned; Max-Age=5": `a=b {"max_age": b"5"}`,
		"a=b\r\nX: y":    "a=b X: y {}",
		"a=b; path=\x00": "a=b {}",
		"a":              "no",
		"=b":             "no",
		"a b=c":          "no",
		"a=b\x00":        "no",
	} {
		c, ok := parseSetCookie(line)
		got := "no"
		if ok {
			d := jelly.NewDict()
			for _, name := range []string{"expires", "httpOnly", "max_age", "path", "sameSite", "secure"} {
				if v, ok := c.attributes[name]; ok {
					d.Set(name, v)
				}
			}
			got = c.name + "=" + c.value + " " + jelly.Format(d)
		}
		assert.Equal(t, want, got, "%q", line)
	}
}

func TestReceivedCookies(t *testing.T) {
	d := receivedCookies(http.Header{"Cookie": {"a=1; b=2;c = 3 ; d", "a=4"}})
	assert.Equal(t, `{b"a": b"4", b"b": b"2", b"c ": b" 3 "}`, jelly.Format(d))
}

func TestAllowedMethods(t *testing.T) {
	assert.Equal(t, []string{"GET", "HEAD"}, allowedMethods("Expected one of [b'HEAD', b'GET']"))
	assert.Equal(t, []string{"GET"}, allowedMethods("Expected one of ('GET',)"))
	assert.Empty(t, allowedMethods("'a b' ''"))
	assert.Len(t, allowedMethods(strings.Repeat("'A',", 1000)), 32)
}

func FuzzPath(f *testing.F) {
	for _, path := range []string{"/", "/a/b", "/a%2fb/", "/%2e%2e/x", "//", "/%zz%4"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		q := incoming{method: "GET", uri: "/", proto: "HTTP/1.1", postpath: segments(path), header: http.Header{}}
		r, err := q.httpRequest()
		if err != nil {
			return
		}
		for s := range strings.FieldsFuncSeq(r.URL.Path, func(r rune) bool { return r == '/' || r == '\\' }) {
			require.NotEqual(t, "..", s)
		}
		require.NotContains(t, r.URL.Path, "\x00")
		again, err := url.ParseRequestURI(r.URL.EscapedPath())
		if !strings.HasPrefix(r.URL.Path, "//") { // ParseRequestURI takes what follows for a host.
			require.NoError(t, err)
			require.Equal(t, r.URL.Path, again.Path)
		}
	})
}

func FuzzSetCookie(f *testing.F) {
	f.Add("a=b; Path=/; Max-Age=3; Secure")
	f.Add("a=b\r\nSet-Cookie: c=d")
	f.Fuzz(func(t *testing.T, line string) {
		c, ok := parseSetCookie(line)
		if !ok {
			return
		}
		require.True(t, isToken(c.name))
		require.True(t, isFieldValue(c.value))
		require.NotContains(t, c.value, ";")
		for _, v := range c.attributes {
			if text, ok := textOf(v); ok {
				require.True(t, isFieldValue(text))
				require.NotContains(t, text, ";")
			}
		}
	})
}

func FuzzForm(f *testing.F) {
	f.Add("application/x-www-form-urlencoded", "a=b&c=%41")
	f.Add("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--\r\n")
	f.Add("multipart/form-data", "")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		var args form
		args.addQuery(body)
		if args.replaceBody(contentType, []byte(body)) != nil {
			return
		}
		size := 0
		for _, name := range args.names {
			for _, v := range args.values[name] {
				size += len(v.([]byte))
			}
		}
		require.LessOrEqual(t, size, 2*len(body))
		require.Len(t, args.values, len(args.names))
	})
}

// FuzzRequest gives the back what a front may send.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/a?b", "X-A", "b", "a", []byte("body"))
	f.Add("GET /", "\n", "X\x00", "\r\n", "..", []byte{})
	f.Fuzz(func(t *testing.T, method, uri, name, value, segment string, content []byte) {
		q := incoming{}
		d := jelly.NewDict(
			jelly.Entry{Key: "method", Value: method}, jelly.Entry{Key: "uri", Value: []byte(uri)},
			jelly.Entry{Key: "clientproto", Value: value}, jelly.Entry{Key: "content_data", Value: content},
			jelly.Entry{Key: "postpath", Value: []any{segment}},
			jelly.Entry{Key: "requestHeaders", Value: []any{jelly.Tuple{name, []any{value}}}},
			jelly.Entry{Key: "client", Value: jelly.Tuple{"INET", value, int64(1)}},
		)
		var keys requestKeys
		keys.read(d)
		if err := q.read(&keys); err != nil || q.err != nil {
			return
		}
		r, err := q.httpRequest()
		if err != nil {
			return
		}
		require.True(t, isToken(r.Method))
		require.Equal(t, int64(len(content)), r.ContentLength)
		for name, values := range r.Header {
			require.True(t, isToken(name))
			for _, v := range values {
				require.True(t, isFieldValue(v))
			}
		}
	})
}
