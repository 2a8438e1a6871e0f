package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// isToken reports whether s is a token of HTTP, such as a method or the name of a header.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		isAlnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !isAlnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// isFieldValue reports whether s can be the value of a header.
func isFieldValue(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) < 0
}

// hopByHop are the headers that concern one connection. They are not passed on.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true,
}

// oneLine replaces line breaks with spaces, as Twisted does in headers and cookies.
var oneLine = strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ")

// segments splits a path as Twisted does: without the first slash, and each segment unquoted.
func segments(path string) []string {
	path = strings.TrimPrefix(path, "/")
	if path == "" {
		return nil
	}
	list := strings.Split(path, "/")
	for i, s := range list {
		list[i] = unquote(s)
	}
	return list
}

// isSafeSegment reports whether a segment of a path stays where it is: it does not go up, also if a handler splits it
// again at slashes, and has no NUL.
func isSafeSegment(s string) bool {
	if strings.IndexByte(s, 0) >= 0 {
		return false
	}
	return !slices.Contains(strings.FieldsFunc(s, func(r rune) bool { return r == '/' || r == '\\' }), "..")
}

// unquote replaces %xx. Like Python's, it leaves everything else as it is.
func unquote(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, ok1 := hexDigit(s[i+1])
			low, ok2 := hexDigit(s[i+2])
			if ok1 && ok2 {
				b = append(b, high<<4|low)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// form is the fields of a query or a form, in order, as Twisted's request.args.
type form struct {
	names  []string
	values map[string][]any // of []byte
}

func (f *form) add(name string, value []byte) {
	if f.values == nil {
		f.values = map[string][]any{}
	}
	if _, ok := f.values[name]; !ok {
		f.names = append(f.names, name)
	}
	f.values[name] = append(f.values[name], value)
}

// addQuery adds the fields of a query as twisted.web.http.parse_qs does: fields end at & and ;, and one without = does
// not count.
func (f *form) addQuery(query string) {
	plus := strings.NewReplacer("+", " ")
	for _, item := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		if name, value, ok := strings.Cut(item, "="); ok {
			f.add(unquote(plus.Replace(name)), []byte(unquote(plus.Replace(value))))
		}
	}
}

// maxParts is the most fields of a form in multipart/form-data, as in net/http.
const maxParts = 1000

// replaceBody sets the fields of a form in a body, as Twisted does for POST: its fields replace those of the query.
func (f *form) replaceBody(contentType string, body []byte) error {
	if len(body) == 0 {
		return nil
	}
	var posted form
	kind, params, err := mime.ParseMediaType(contentType)
	switch {
	case kind == "application/x-www-form-urlencoded":
		posted.addQuery(string(body))
	case kind != "multipart/form-data":
		return nil
	case err != nil:
		return fmt.Errorf("the type of the form: %w", err)
	case params["boundary"] == "":
		return errors.New("the form has no boundary")
	default:
		parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		for n := 0; ; n++ {
			part, err := parts.NextRawPart()
			if err == io.EOF {
				break
			}
			if err == nil && n == maxParts {
				err = fmt.Errorf("more than %d fields", maxParts)
			}
			if err != nil {
				return fmt.Errorf("the form: %w", err)
			}
			value, err := io.ReadAll(part)
			if err != nil {
				return fmt.Errorf("the form: %w", err)
			}
			posted.add(part.FormName(), value)
		}
	}
	for _, name := range posted.names {
		if _, ok := f.values[name]; !ok {
			f.add(name, nil)
		}
		f.values[name] = posted.values[name]
	}
	return nil
}

// dict returns the fields as Twisted's args.
func (f *form) dict() *jelly.Dict {
	entries := make([]jelly.Entry, len(f.names))
	for i, name := range f.names {
		entries[i] = jelly.Entry{Key: []byte(name), Value: f.values[name]}
	}
	return jelly.NewDict(entries...)
}

// receivedCookies parses Cookie headers as Twisted does.
func receivedCookies(header http.Header) *jelly.Dict {
	var names []string
	values := map[string]string{}
	for _, line := range header["Cookie"] {
		for cookie := range strings.SplitSeq(line, ";") {
			if name, value, ok := strings.Cut(strings.TrimLeft(cookie, " \t"), "="); ok {
				if _, known := values[name]; !known {
					names = append(names, name)
				}
				values[name] = value
			}
		}
	}
	entries := make([]jelly.Entry, len(names))
	for i, name := range names {
		entries[i] = jelly.Entry{Key: []byte(name), Value: []byte(values[name])}
	}
	return jelly.NewDict(entries...)
}

// cookie is what addCookie takes.
type cookie struct {
	name, value string
	attributes  map[string]any // keyword arguments
}

// cookieAttributes are the keyword arguments of addCookie by the attribute's name in a header.
var cookieAttributes = map[string]string{
	"expires": "expires", "domain": "domain", "path": "path", "max-age": "max_age", "comment": "comment",
}

// parseSetCookie splits the value of a Set-Cookie header. It drops attributes that addCookie does not take, among them
// SameSite=None.
func parseSetCookie(header string) (c cookie, ok bool) {
	head, rest, _ := strings.Cut(oneLine.Replace(header), ";")
	c.name, c.value, ok = strings.Cut(head, "=")
	c.name, c.value = strings.TrimSpace(c.name), strings.TrimSpace(c.value)
	if !ok || !isToken(c.name) || !isFieldValue(c.value) {
		return cookie{}, false
	}
	c.attributes = map[string]any{}
	for attribute := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(attribute, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !isFieldValue(value) {
			continue
		}
		switch {
		case cookieAttributes[name] != "":
			c.attributes[cookieAttributes[name]] = []byte(value)
		case name == "secure":
			c.attributes["secure"] = true
		case name == "httponly":
			c.attributes["httpOnly"] = true
		case name == "samesite":
			if v := strings.ToLower(value); v == "lax" || v == "strict" {
				c.attributes["sameSite"] = []byte(v)
			}
		}
	}
	return c, true
}

// joinHeader joins the values of a header, because the protocol has one for each name.
func joinHeader(values []string) string { return oneLine.Replace(strings.Join(values, ", ")) }

// canonical returns the canonical form of a header's name.
func canonical(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

// allowedMethods finds the names of methods in the text of a twisted.web.error.UnsupportedMethod, such as "Expected one
// of [b'GET', b'HEAD']", and sorts them.
func allowedMethods(text string) (names []string) {
	pieces := strings.Split(text, "'")
	for i := 1; i+1 < len(pieces) && len(names) < 32; i += 2 {
		if isToken(pieces[i]) {
			names = append(names, pieces[i])
		}
	}
	slices.Sort(names)
	return names
}
