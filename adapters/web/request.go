package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// requestClass is the class under which requests travel.
const requestClass = "twisted.web.server.Request"

// outgoing is a request on its way to a back.
type outgoing struct {
	flavors.Copyable

	Method        []byte      `pb:"method"`
	URI           []byte      `pb:"uri"`
	Path          []byte      `pb:"path"`
	Proto         []byte      `pb:"clientproto"`
	Content       []byte      `pb:"content_data"`
	Prepath       byteList    `pb:"prepath"`
	Postpath      byteList    `pb:"postpath"`
	Sitepath      []any       `pb:"sitepath"`
	Args          *jelly.Dict `pb:"args"`
	Cookies       *jelly.Dict `pb:"received_cookies"`
	Headers       []any       `pb:"requestHeaders"` // of *headerPair
	Client        jelly.Tuple `pb:"client"`
	Host          jelly.Tuple `pb:"host"`
	Notifications []any       `pb:"notifications"`
	SetCookies    []any       `pb:"cookies"`
	Queued        int         `pb:"queued"`
	Adapters      *jelly.Dict `pb:"_adapterCache"`
	Remote        *response   `pb:"remote"`
}

// TypeToCopy implements flavors.Copyable.
func (*outgoing) TypeToCopy() string { return requestClass }

// byteList is sent as a list of bytes.
type byteList []string

// JellyTo implements jelly.Jellyable.
func (l byteList) JellyTo(e *jelly.Encoder, _ any) error {
	if err := e.List(len(l) + 1); err != nil {
		return err
	}
	e.Symbol(banana.SymList)
	for _, s := range l {
		if err := e.String(s); err != nil {
			return err
		}
	}
	return nil
}

// headerPair is sent as a pair of a name and a list of values, both bytes.
type headerPair struct {
	name   string
	values byteList
}

// JellyTo implements jelly.Jellyable.
func (h *headerPair) JellyTo(e *jelly.Encoder, _ any) error {
	if err := e.List(3); err != nil {
		return err
	}
	e.Symbol(banana.SymTuple)
	if err := e.String(h.name); err != nil {
		return err
	}
	return h.values.JellyTo(e, nil)
}

// addressTuple returns an address as Twisted's Request sends it.
func addressTuple(network, address string) jelly.Tuple {
	if host, port, err := net.SplitHostPort(address); err == nil && network != "unix" {
		if n, err := strconv.Atoi(port); err == nil {
			return jelly.Tuple{"INET", host, n}
		}
	}
	if network == "unix" {
		return jelly.Tuple{"UNIX", address}
	}
	return jelly.Tuple{"INET", strings.ToValidUTF8(address, "?"), 0}
}

// headerList returns the headers of a request as pairs. net/http keeps the Host header elsewhere.
func headerList(r *http.Request, body int) []any {
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		if !hopByHop[name] && name != "Host" && name != "Content-Length" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	pairs := make([]headerPair, 0, len(names)+2)
	pairs = append(pairs, headerPair{"Host", byteList{r.Host}})
	if body > 0 || len(r.Header["Content-Length"]) > 0 {
		pairs = append(pairs, headerPair{"Content-Length", byteList{strconv.Itoa(body)}})
	}
	for _, name := range names {
		pairs = append(pairs, headerPair{name, r.Header[name]})
	}
	list := make([]any, len(pairs))
	for i := range pairs {
		list[i] = &pairs[i]
	}
	return list
}

// hasLongHeader reports whether a header does not fit into a string. Servers accept more if they are told to.
func hasLongHeader(r *http.Request) bool {
	if len(r.Host) > MaxBody {
		return true
	}
	for name, values := range r.Header {
		if len(name) > MaxBody || slices.ContainsFunc(values, func(v string) bool { return len(v) > MaxBody }) {
			return true
		}
	}
	return false
}

// incoming is a request that came from a front.
type incoming struct {
	method, uri, proto string
	content            []byte
	postpath           []string
	header             http.Header
	remoteAddr         string
	remote             *flavors.RemoteReference
	err                error // why it cannot be served, and code the answer
	code               int
}

// SetCopyableState implements jelly.StateSetter.
func (q *incoming) SetCopyableState(state any) error {
	d, ok := state.(*jelly.Dict)
	if !ok {
		return fmt.Errorf("web: the state of a request is %s, not a dictionary", jelly.TypeName(state))
	}
	var keys requestKeys
	keys.read(d)
	if q.remote, ok = keys.remote.(*flavors.RemoteReference); !ok {
		return errors.New("web: a request without remote, through which it would be answered")
	}
	if err := q.read(&keys); err != nil {
		q.fail(http.StatusBadRequest, err)
	}
	return nil
}

// fail notes why the request cannot be served. The first reason counts.
func (q *incoming) fail(code int, err error) {
	if q.err == nil {
		q.code, q.err = code, err
	}
}

// requestKeys are the keys of a request's state that a back uses. nil stands for one that is missing.
type requestKeys struct{ method, uri, proto, content, postpath, headers, client, remote any }

// read reads the keys in one pass. A dictionary would make an index for single ones.
func (k *requestKeys) read(d *jelly.Dict) {
	for key, v := range d.All() {
		switch name, _ := textOf(key); name {
		case "method":
			k.method = v
		case "uri":
			k.uri = v
		case "clientproto":
			k.proto = v
		case "content_data":
			k.content = v
		case "postpath":
			k.postpath = v
		case "requestHeaders":
			k.headers = v
		case "client":
			k.client = v
		case "remote":
			k.remote = v
		}
	}
}

func (q *incoming) read(keys *requestKeys) error {
	for _, text := range []struct {
		name  string
		value any
		dst   *string
	}{{"method", keys.method, &q.method}, {"uri", keys.uri, &q.uri}, {"clientproto", keys.proto, &q.proto}} {
		s, ok := textOf(text.value)
		if !ok {
			return fmt.Errorf("%s is %s, not bytes", text.name, jelly.TypeName(text.value))
		}
		*text.dst = s
	}
	switch content := keys.content.(type) {
	case []byte:
		q.content = content
	case string:
		q.content = []byte(content)
	case nil:
	default:
		return fmt.Errorf("content_data is %s, not bytes", jelly.TypeName(content))
	}
	postpath, err := listOf(keys.postpath)
	if err != nil {
		return fmt.Errorf("postpath: %w", err)
	}
	for _, v := range postpath {
		s, ok := textOf(v)
		if !ok {
			return fmt.Errorf("postpath contains %s", jelly.TypeName(v))
		}
		q.postpath = append(q.postpath, s)
	}
	if err := q.readHeaders(keys.headers); err != nil {
		return err
	}
	client, err := listOf(keys.client)
	if err == nil && len(client) == 3 {
		host, _ := textOf(client[1])
		port, _ := client[2].(int64)
		q.remoteAddr = net.JoinHostPort(host, strconv.FormatInt(port, 10))
	} else {
		q.remoteAddr = "@"
	}
	return nil
}

func (q *incoming) readHeaders(v any) error {
	pairs, err := listOf(v)
	if err != nil {
		return fmt.Errorf("requestHeaders: %w", err)
	}
	q.header = make(http.Header, len(pairs))
	size := 0
	for _, v := range pairs {
		pair, err := listOf(v)
		if err != nil || len(pair) != 2 {
			return fmt.Errorf("requestHeaders contains %s, not a pair", jelly.TypeName(v))
		}
		name, ok := textOf(pair[0])
		values, err := listOf(pair[1])
		if err != nil || !ok || !isToken(name) {
			return fmt.Errorf("the header %s is not valid", jelly.Format(pair[0]))
		}
		name = canonical(name)
		for _, v := range values {
			value, ok := textOf(v)
			if !ok || !isFieldValue(value) {
				return fmt.Errorf("the value of the header %s is not valid", name)
			}
			if size += len(name) + len(value) + 4; size > maxHeader {
				q.fail(http.StatusRequestHeaderFieldsTooLarge, fmt.Errorf("the headers have more than %d bytes", maxHeader))
				return nil
			}
			q.header[name] = append(q.header[name], value)
		}
	}
	return nil
}

// httpRequest returns the request for the handler. The path is that below the mount. The length of the body is that of
// the bytes that came, whatever the headers say.
func (q *incoming) httpRequest() (*http.Request, error) {
	if !isToken(q.method) {
		return nil, errors.New("the method is not valid")
	}
	if strings.IndexFunc(q.uri, func(r rune) bool { return r <= ' ' || r == 0x7f }) >= 0 {
		return nil, errors.New("the URI is not valid")
	}
	u := &url.URL{}
	_, u.RawQuery, _ = strings.Cut(q.uri, "?")
	escaped := make([]string, len(q.postpath))
	for i, s := range q.postpath {
		if !isSafeSegment(s) {
			return nil, errors.New("the path is not valid")
		}
		escaped[i] = url.PathEscape(s)
	}
	u.Path, u.RawPath = "/"+strings.Join(q.postpath, "/"), "/"+strings.Join(escaped, "/")
	if (&url.URL{Path: u.Path}).EscapedPath() == u.RawPath {
		u.RawPath = ""
	}
	major, minor, ok := http.ParseHTTPVersion(q.proto)
	if !ok {
		q.proto, major, minor = "HTTP/1.1", 1, 1
	}
	r := &http.Request{
		Method: q.method, URL: u, RequestURI: q.uri, Proto: q.proto, ProtoMajor: major, ProtoMinor: minor,
		Header: q.header, Host: q.header.Get("Host"), RemoteAddr: q.remoteAddr,
		ContentLength: int64(len(q.content)), Body: http.NoBody,
	}
	delete(r.Header, "Host")
	delete(r.Header, "Transfer-Encoding")
	if len(q.content) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(q.content))
		r.Header.Set("Content-Length", strconv.Itoa(len(q.content)))
	} else if len(r.Header["Content-Length"]) > 0 {
		r.Header.Set("Content-Length", "0")
	}
	return r, nil
}
