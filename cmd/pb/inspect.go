package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/perspectivebroker/pb/cmd/pb/internal/peer"
	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"golang.org/x/term"
)

var inspectCommand = command{
	name: "inspect", usage: "[flags] URL|ADDRESS",
	summary: "shows a running program's connections, calls and objects",
	detail: `It reads the inspector of a Go program (package broker/inspect; some programs have a flag -inspect), which
speaks HTTP. ADDRESS is its HOST:PORT. URL is where it is mounted in another server, such as
https://host/debug/pb/; it does not begin with pb://. With -u the login is HTTP's basic authentication.

On a terminal the table follows the program until it is interrupted (status 130) or the inspector is gone
(status 3). With -once, with -json and where standard output is no terminal, it is printed once.`,
	prepare: prepareInspect,
}

// maxSnapshot is the most bytes of an inspector's answer.
const maxSnapshot = 16 << 20

func prepareInspect(f *flags) func(context.Context, *env, []string) error {
	i := &inspector{peer: f.httpPeer()}
	once := f.set.Bool("once", false, "print the table once, also on a terminal")
	asJSON := f.set.Bool("json", false, "print the inspector's data once, as one line of JSON")
	interval := f.set.Duration("interval", time.Second, "how often the table on a terminal changes")
	return func(ctx context.Context, e *env, args []string) error {
		switch {
		case len(args) != 1:
			return usage("a URL or an address is required")
		case *interval < 100*time.Millisecond:
			return usage("-interval must be at least 100ms")
		}
		if err := i.prepare(e, args[0]); err != nil {
			return err
		}
		defer i.client.CloseIdleConnections()
		if screen, ok := e.stdout.(*os.File); ok && !*once && !*asJSON && term.IsTerminal(int(screen.Fd())) {
			return i.follow(ctx, e, screen, *interval)
		}
		body, s, err := i.get(ctx)
		switch {
		case err != nil:
			return err
		case *asJSON:
			e.line(escapeJSON(body))
		default:
			fmt.Fprint(e.stdout, strings.Join(s.lines(layout{}), "\n")+"\n")
		}
		return nil
	}
}

// inspector reads the inspector of a program.
type inspector struct {
	peer   *peerFlags
	url    *url.URL // of its json
	user   *url.Userinfo
	client *http.Client
}

// prepare checks the flags, and reads the files and the password that they name.
func (i *inspector) prepare(e *env, target string) (err error) {
	if i.url, err = inspectorURL(target); err != nil {
		return usageError{err}
	}
	config, err := i.peer.tlsFor("https://", i.url.Scheme == "https")
	if err != nil {
		return usageError{err}
	}
	switch {
	case *i.peer.user != "":
		password, err := i.peer.readPassword(e, "password of "+quoted(*i.peer.user)+": ")
		if err != nil {
			return err
		}
		i.user = url.UserPassword(*i.peer.user, string(password))
	case *i.peer.password != "" || *i.peer.passwordFile != "":
		return usage("a password needs -u")
	}
	i.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: config, MaxResponseHeaderBytes: 64 << 10, DialContext: new(net.Dialer).DialContext,
	}}
	return nil
}

// inspectorURL returns the URL of an inspector's data.
func inspectorURL(target string) (*url.URL, error) {
	if !strings.Contains(target, "://") {
		if _, _, err := net.SplitHostPort(target); err != nil {
			return nil, fmt.Errorf("%s is neither a URL nor HOST:PORT", quoted(target))
		}
		target = "http://" + target
	}
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s is no URL", quoted(target))
	case strings.HasPrefix(u.Scheme, "pb"):
		return nil, errors.New("the inspector speaks HTTP: give its own address, not the one of Perspective Broker")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%s is no URL that begins with http:// or https://", quoted(target))
	case u.User != nil:
		return nil, errors.New("a name and a password in the URL would show up in lists of processes: use -u")
	}
	u.Fragment = ""
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "json"), "/") + "/json"
	return u, nil
}

// get reads the data. An inspector that cannot be reached, does not answer, or is something else is a connection error.
func (i *inspector) get(ctx context.Context) (body []byte, s *snapshot, err error) {
	ctx, cancel := i.peer.timed(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url.String(), nil)
	if err != nil {
		return nil, nil, usageError{err}
	}
	if i.user != nil {
		password, _ := i.user.Password()
		r.SetBasicAuth(i.user.Username(), password)
	}
	resp, err := i.client.Do(r)
	if err != nil {
		return nil, nil, i.failed(ctx, err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxSnapshot+1))
	switch {
	case err != nil:
		return nil, nil, i.failed(ctx, err)
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return nil, nil, connectionError{fmt.Errorf("no login at %s: %s", i.url.Host, resp.Status)}
	case resp.StatusCode >= http.StatusInternalServerError:
		return nil, nil, fmt.Errorf("%s answers %s: %.200s", i.url.Host, resp.Status, bytes.TrimSpace(body))
	case resp.StatusCode != http.StatusOK:
		return nil, nil, connectionError{fmt.Errorf("%s has no inspector: it answers %s", i.url, resp.Status)}
	case len(body) > maxSnapshot:
		return nil, nil, connectionError{fmt.Errorf("%s is no inspector: it answers with more than 16 MiB", i.url)}
	}
	s = new(snapshot)
	if err := json.Unmarshal(body, s); err != nil || s.Time.IsZero() || s.Connections == nil {
		return nil, nil, connectionError{fmt.Errorf("%s is no inspector: its answer is something else", i.url)}
	}
	return body, s, nil
}

// failed explains why there is no answer.
func (i *inspector) failed(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var unverified *tls.CertificateVerificationError
	if errors.As(err, &unverified) {
		err = unverified.Err
	}
	return connectionError{fmt.Errorf("no connection to %s: %w", i.url.Host, err)}
}

// follow shows the table on a terminal until ctx ends or the inspector is gone.
func (i *inspector) follow(ctx context.Context, e *env, screen *os.File, interval time.Duration) error {
	_, s, err := i.get(ctx)
	if err != nil {
		return err
	}
	// The other screen, so that what was on the terminal is there again afterwards, and no cursor.
	fmt.Fprint(screen, "\x1b[?1049h\x1b[?25l")
	defer fmt.Fprint(screen, "\x1b[?25h\x1b[?1049l")
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		width, height, err := term.GetSize(int(screen.Fd()))
		if err != nil || width < 20 || height < 5 {
			width, height = 80, 24
		}
		lines := s.lines(layout{width: width, height: height, bold: e.getenv("NO_COLOR") == ""})
		fmt.Fprint(screen, "\x1b[H"+strings.Join(lines, "\x1b[K\r\n")+"\x1b[K\x1b[J")
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if _, s, err = i.get(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return &peer.LostError{Cause: err}
		}
	}
}

// escapeJSON returns a JSON document on one line, with everything escaped that a terminal may act on.
func escapeJSON(document []byte) string {
	var line bytes.Buffer
	_ = json.Compact(&line, document) // It was parsed before.
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(line.String(), "\ufffd") {
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	return b.String()
}

// cell returns text of the inspector's for a table: one line that does nothing to a terminal.
func cell(s string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(value.Lines(strings.ToValidUTF8(s, "\ufffd")))
}
