package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/cmd/pb/internal/peer"
	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/banana"
)

var lintCommand = command{
	name: "lint", usage: "[flags] URL",
	summary: "checks a peer against the protocol",
	detail: `Each check is a line: ok, note or bad. The status is 1 if any is bad. The peer comes to no harm: what is
called does not exist, and what is too long is only announced. With -u the login is checked too. -timeout is for
each answer.`,
	prepare: prepareLint,
}

// The verdicts of a check.
const (
	verdictOK   = "ok"
	verdictNote = "note"
	verdictBad  = "bad"
)

func prepareLint(f *flags) func(context.Context, *env, []string) error {
	p := f.peer()
	return func(ctx context.Context, e *env, args []string) error {
		if len(args) != 1 {
			return usage("a URL is required")
		}
		d, err := p.dialer(e, args[0])
		if err != nil {
			return err
		}
		l := &linter{env: e, dialer: d, flags: p, patience: *p.timeout}
		if l.patience <= 0 {
			l.patience = time.Minute
		}
		if err := l.check(ctx); err != nil {
			return err
		}
		if l.bad {
			return quietError{statusFailed}
		}
		return nil
	}
}

// linter checks one peer.
type linter struct {
	env      *env
	dialer   *dialer
	flags    *peerFlags
	patience time.Duration
	bad      bool
}

func (l *linter) row(name, verdict, format string, a ...any) {
	l.bad = l.bad || verdict == verdictBad
	shown := fmt.Sprintf("%-5s", verdict)
	colors := map[string]string{verdictOK: "32", verdictNote: "33", verdictBad: "31"}
	if color, ok := colors[verdict]; ok && l.colored() {
		shown = "\x1b[" + color + "m" + shown + "\x1b[0m"
	}
	text := strings.ReplaceAll(value.Lines(fmt.Sprintf(format, a...)), "\n", " ")
	l.env.line(fmt.Sprintf("%s %-16s %s", shown, name, text))
}

func (l *linter) colored() bool {
	file, ok := l.env.stdout.(*os.File)
	if !ok || l.env.getenv("NO_COLOR") != "" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// check makes all checks. Its error is a peer that cannot be reached at all.
func (l *linter) check(ctx context.Context) error {
	dialing, cancel := context.WithTimeoutCause(ctx, l.patience, errTime)
	defer cancel()
	plain := l.dialer.target
	plain.TLS = false
	sock, err := plain.Socket(dialing, nil)
	if err != nil {
		return connectionError{l.dialer.explain(dialing, err)}
	}
	sock.Close()
	l.row("connection", verdictOK, "%s", l.dialer.target.Address)
	if l.dialer.target.TLS && !l.tls(ctx) {
		return context.Cause(ctx)
	}
	if l.negotiation(ctx) {
		l.calls(ctx)
		l.limits(ctx)
	}
	return context.Cause(ctx)
}

// socket opens another connection. The certificate is checked once, by tls.
func (l *linter) socket(ctx context.Context) (net.Conn, error) { return l.socketUpTo(ctx, 0) }

// socketUpTo is socket with a highest version of TLS, 0 for any.
func (l *linter) socketUpTo(ctx context.Context, version uint16) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.patience, errTime)
	defer cancel()
	config := l.dialer.options.TLS.Clone()
	config.InsecureSkipVerify = true
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, version
	return l.dialer.target.Socket(ctx, config)
}

// oldTLS reports the versions that the peer takes from clients that have no better one.
func (l *linter) oldTLS(ctx context.Context, version uint16) {
	var old []string
	for _, v := range []uint16{tls.VersionTLS11, tls.VersionTLS10} {
		if v >= version {
			continue
		}
		if sock, err := l.socketUpTo(ctx, v); err == nil {
			old = append(old, tls.VersionName(sock.(*tls.Conn).ConnectionState().Version))
			sock.Close()
		}
	}
	slices.Sort(old)
	if old = slices.Compact(old); len(old) > 0 {
		l.row("old TLS", verdictNote, "the peer takes %s too, which is not safe any more", strings.Join(old, " and "))
	}
}

// tls checks the version and the certificate, and reports whether there is TLS at all.
func (l *linter) tls(ctx context.Context) bool {
	sock, err := l.socket(ctx)
	if err != nil {
		l.row("TLS", verdictBad, "%v", err)
		return false
	}
	defer sock.Close()
	state := sock.(*tls.Conn).ConnectionState()
	version := tls.VersionName(state.Version)
	switch {
	case state.Version >= tls.VersionTLS13:
		l.row("TLS", verdictOK, "%s, %s", version, tls.CipherSuiteName(state.CipherSuite))
	case state.Version == tls.VersionTLS12:
		l.row("TLS", verdictNote, "%s; this library's peers want TLS 1.3 unless they are configured otherwise", version)
	default:
		l.row("TLS", verdictBad, "%s is not safe any more", version)
	}
	l.oldTLS(ctx, state.Version)
	l.certificate(state.PeerCertificates)
	return true
}

func (l *linter) certificate(chain []*x509.Certificate) {
	const soon = 30 * 24 * time.Hour
	name := l.dialer.options.TLS.ServerName
	if name == "" {
		name, _, _ = net.SplitHostPort(l.dialer.target.Address) // The address was made by JoinHostPort.
	}
	others := x509.NewCertPool()
	for _, c := range chain[1:] {
		others.AddCert(c)
	}
	leaf := chain[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: l.dialer.options.TLS.RootCAs, Intermediates: others, DNSName: name})
	until := leaf.NotAfter.UTC().Format("2006-01-02")
	switch {
	case err != nil:
		l.row("certificate", verdictBad, "%v", err)
	case time.Until(leaf.NotAfter) < soon:
		l.row("certificate", verdictNote, "valid for %s, only until %s", name, until)
	default:
		l.row("certificate", verdictOK, "valid for %s until %s", name, until)
	}
}

// negotiation checks the offer, the version and the answer to an unknown command.
func (l *linter) negotiation(ctx context.Context) bool {
	sock, err := l.socket(ctx)
	if err != nil {
		l.row("dialects", verdictBad, "%v", err)
		return false
	}
	defer sock.Close()
	r := peer.NewRaw(sock)
	names, err := r.Offer(l.patience)
	profile := banana.ProfilePB
	switch {
	case err != nil:
		l.row("dialects", verdictBad, "no offer of Perspective Broker: %v", told(err))
		return false
	case slices.Contains(names, "pb"):
		l.row("dialects", verdictOK, "%s", strings.Join(names, ", "))
	case slices.Contains(names, "none"):
		profile = banana.ProfileNone
		l.row("dialects", verdictNote, "%s; without pb each message is longer", strings.Join(names, ", "))
	default:
		l.row("dialects", verdictBad, "%s; neither pb nor none is among them", strings.Join(names, ", "))
		return false
	}
	if err := r.Choose(profile, l.patience); err != nil {
		l.row("version", verdictBad, "%v", told(err))
		return false
	}
	e, err := r.Next(l.patience)
	switch {
	case err != nil:
		l.row("version", verdictBad, "no version: %v", told(err))
		return false
	case banana.Format(e) != "[version 6]":
		l.row("version", verdictBad, "%s instead of [version 6]", banana.Format(e))
		return false
	}
	l.row("version", verdictOK, "6")
	l.unknownCommand(r)
	return true
}

func (l *linter) unknownCommand(r *peer.Raw) {
	const name = "unknown command"
	command, err := banana.EncodeExpr(r.Profile, []banana.Expr{"pb_lint_no_such_command"})
	if err == nil {
		err = r.Send(command, l.patience)
	}
	var e banana.Expr
	if err == nil {
		e, err = r.Next(l.patience)
	}
	list, _ := e.([]banana.Expr)
	switch {
	case errors.Is(err, peer.ErrHungUp):
		l.row(name, verdictNote, "the peer hangs up, as stock Twisted does on Python 3, instead of didNotUnderstand")
	case err != nil:
		l.row(name, verdictBad, "no didNotUnderstand: %v", told(err))
	case len(list) > 0 && banana.Format(list[0]) == `"didNotUnderstand"`:
		l.row(name, verdictOK, "didNotUnderstand")
	default:
		l.row(name, verdictBad, "%.200s instead of didNotUnderstand", banana.Format(e))
	}
}

// told replaces an error whose text would not tell a user what happened.
func told(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errTime) {
		return errors.New("the peer is silent")
	}
	return err
}

// calls checks the answers to calls of what does not exist, and the logins.
func (l *linter) calls(ctx context.Context) {
	sock, err := l.socket(ctx)
	if err != nil {
		l.row("calls", verdictBad, "%v", err)
		return
	}
	opening, cancel := context.WithTimeoutCause(ctx, l.patience, errTime)
	defer cancel()
	conn, err := peer.Open(opening, sock)
	if err != nil {
		l.row("calls", verdictBad, "%v", err)
		return
	}
	defer conn.Close()
	call := func(object any, method string) peer.Answer {
		ctx, cancel := context.WithTimeoutCause(ctx, l.patience, errTime)
		defer cancel()
		return conn.Call(ctx, object, method, peer.Args{})
	}
	l.refusal("unknown object", "twisted.spread.pb.Error", call(&value.Ref{ID: 987654321}, "pb_lint"))
	object := l.dialer.target.Name
	l.refusal("unknown method", "twisted.spread.flavors.NoSuchMethod", call(object, "pb_lint_no_such_method"))
	l.logins(call)
	if l.dialer.options.User != "" || l.dialer.options.Anonymous {
		ctx, cancel := context.WithTimeoutCause(ctx, l.patience, errTime)
		defer cancel()
		if _, err := conn.Login(ctx, l.dialer.target, l.dialer.options); err != nil {
			l.row("login", verdictBad, "%v", told(err))
		} else {
			l.row("login", verdictOK, "the peer gave an avatar")
		}
	}
}

// refusal checks that a call failed with a type of exception.
func (l *linter) refusal(name, want string, a peer.Answer) {
	var failure *peer.Failure
	switch {
	case a.Err == nil:
		l.row(name, verdictBad, "the call succeeded")
	case !errors.As(a.Err, &failure):
		l.row(name, verdictBad, "%v", told(a.Err))
	case failure.Type != want:
		l.row(name, verdictNote, "%s instead of %s", failure.Type, want)
	default:
		l.row(name, verdictOK, "%s", failure.Type)
	}
	if failure != nil && failure.Traceback != "" {
		l.row("tracebacks", verdictNote, "the peer sends its tracebacks, which show its code to everybody")
	}
}

// logins finds out which logins there are. Twisted's need arguments, so a call without them has no effect but tells
// whether the method exists.
func (l *linter) logins(call func(object any, method string) peer.Answer) {
	const object = "root"
	if a := call(object, "loginMethods"); a.Err == nil {
		l.row("logins", verdictOK, "%s", strings.ReplaceAll(printedOr(a.Value), "'", ""))
		return
	}
	var names []string
	for _, method := range []string{"login", "loginAnonymous"} {
		var failure *peer.Failure
		if a := call(object, method); errors.As(a.Err, &failure) && strings.HasSuffix(failure.Type, "TypeError") {
			names = append(names, method)
		}
	}
	if names == nil {
		l.row("logins", verdictNote, "none: everybody who can connect can call the object")
		return
	}
	l.row("logins", verdictOK, "%s", strings.Join(names, ", "))
}

func printedOr(v any) string {
	s, err := value.Print(v)
	if err != nil {
		return err.Error()
	}
	return s
}

// limits announces what is too long and expects that the peer hangs up. Nothing of that length is sent.
func (l *linter) limits(ctx context.Context) {
	const tooLong = banana.DefaultString + 1
	header := func(n int, kind banana.Kind) []byte {
		var b []byte
		for ; n > 0; n >>= 7 {
			b = append(b, byte(n&0x7f))
		}
		return append(b, byte(kind))
	}
	for _, check := range []struct {
		name, what string
		bytes      []byte
	}{
		{"limit: string", "strings of more than 640 KiB", header(tooLong, banana.String)},
		{"limit: list", "lists of more than 655,360 elements", header(tooLong, banana.List)},
		{"limit: header", "headers of more than 64 digits", []byte(strings.Repeat("\x01", 65) + "\x81")},
	} {
		verdict, text := l.hangsUp(ctx, check.bytes)
		switch verdict {
		case verdictOK:
			text = "the peer refuses " + check.what
		case verdictNote:
			text = "the peer may accept " + check.what
		}
		l.row(check.name, verdict, "%s", text)
	}
}

// limitPatience is how long a peer may take to hang up. A busy one takes some seconds.
const limitPatience = 10 * time.Second

func (l *linter) hangsUp(ctx context.Context, b []byte) (verdict, text string) {
	sock, err := l.socket(ctx)
	if err != nil {
		return verdictBad, err.Error()
	}
	defer sock.Close()
	r := peer.NewRaw(sock)
	names, err := r.Offer(l.patience)
	if err != nil {
		return verdictBad, told(err).Error()
	}
	profile := banana.ProfileNone
	if slices.Contains(names, "pb") {
		profile = banana.ProfilePB
	}
	if err = r.Choose(profile, l.patience); err == nil {
		_, err = r.Next(l.patience)
	}
	if err == nil {
		err = r.Send(b, l.patience)
	}
	if err != nil {
		return verdictBad, told(err).Error()
	}
	if _, err = r.Next(min(l.patience, limitPatience)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return verdictOK, ""
	}
	return verdictNote, ""
}
