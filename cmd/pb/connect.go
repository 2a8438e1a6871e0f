package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/perspectivebroker/pb/cmd/internal/terminal"
	"github.com/perspectivebroker/pb/cmd/pb/internal/peer"
	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/cred"
	"golang.org/x/term"
)

// errTime is the cause of a context whose time ran out.
var errTime = errors.New("the time ran out; -timeout allows more")

// usageError reports wrong usage.
type usageError struct{ error }

func usage(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

// connectionError reports that there is no connection or no login.
type connectionError struct{ err error }

func (e connectionError) Error() string { return e.err.Error() }
func (e connectionError) Unwrap() error { return e.err }

// quietError is a failure that has been reported.
type quietError struct{ status int }

func (e quietError) Error() string { return fmt.Sprintf("status %d", e.status) }

// report prints an error and returns the exit status that it stands for.
func (e *env) report(ctx context.Context, c command, err error) int {
	var quiet quietError
	var use usageError
	var failure *peer.Failure
	var lost *peer.LostError
	var bad *peer.BadValueError
	var connection connectionError
	var encode *peer.EncodeError
	switch {
	case err == nil:
		return statusDone
	case errors.As(err, &quiet):
		return quiet.status
	case errors.Is(context.Cause(ctx), errInterrupted):
		return statusInterrupted
	case errors.As(err, &use):
		e.note("pb %s: %v\nusage: pb %s %s", c.name, err, c.name, c.usage)
		return statusUsage
	case errors.As(err, &encode):
		e.note("pb %s: a value cannot be sent: %v", c.name, value.Lines(err.Error()))
		return statusUsage
	case errors.As(err, &connection):
		e.note("pb %s: %s", c.name, value.Lines(err.Error()))
		return statusConnection
	case errors.As(err, &failure):
		e.failure(failure)
		return statusFailed
	case errors.As(err, &lost), errors.As(err, &bad):
		e.note("pb %s: %s", c.name, value.Lines(err.Error()))
		return statusConnection
	case errors.Is(err, errTime):
		e.note("pb %s: %v", c.name, err)
		return statusTime
	}
	e.note("pb %s: %s", c.name, value.Lines(err.Error()))
	return statusFailed
}

// failure prints how a method of the peer failed.
func (e *env) failure(f *peer.Failure) {
	e.note("%s", value.Lines(f.Error()))
	if f.Traceback != "" {
		e.note("%s", strings.TrimSuffix(value.Lines(f.Traceback), "\n"))
	}
}

func quoted(s string) string {
	text, _ := value.Print(strings.ToValidUTF8(s, "�")) // One word is not too long.
	return text
}

// session is a connection with the object that a command calls.
type session struct {
	conn   *peer.Conn
	target peer.Target
	object any
}

// timed bounds a context by -timeout.
func (p *peerFlags) timed(ctx context.Context) (context.Context, context.CancelFunc) {
	if *p.timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, *p.timeout, errTime)
}

// dialer has what is needed to connect, read once.
type dialer struct {
	target  peer.Target
	options peer.Options
}

// dialer checks the flags and reads the files and the password that they name.
func (p *peerFlags) dialer(e *env, url string) (*dialer, error) {
	d := &dialer{}
	var err error
	if d.target, err = peer.ParseTarget(url); err != nil {
		return nil, usageError{err}
	}
	if d.options.TLS, err = p.tls(d.target.TLS); err != nil {
		return nil, usageError{err}
	}
	d.options.User, d.options.Anonymous = *p.user, *p.anonymous
	switch {
	case *p.user != "" && *p.anonymous:
		return nil, usage("-u and -anonymous exclude each other")
	case *p.user == "" && (*p.password != "" || *p.passwordFile != ""):
		return nil, usage("a password needs -u")
	case *p.user != "":
		if d.options.Password, err = p.readPassword(e, "password of "+quoted(*p.user)+": "); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// open connects and logs in. Its errors are connection errors, also if the time runs out meanwhile.
func (d *dialer) open(ctx context.Context) (*session, error) {
	conn, err := peer.Dial(ctx, d.target, d.options)
	if err != nil {
		return nil, connectionError{d.explain(ctx, err)}
	}
	object, err := conn.Login(ctx, d.target, d.options)
	if err != nil {
		conn.Close()
		return nil, connectionError{fmt.Errorf("no login: %w", err)}
	}
	return &session{conn, d.target, object}, nil
}

func (d *dialer) explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("no connection to %s: %w", d.target.Address, err)
}

func (p *peerFlags) tls(used bool) (*tls.Config, error) { return p.tlsFor("pbs://", used) }

// tlsFor returns the configuration of TLS for a URL. If TLS is not used, the flags for it are errors.
func (p *peerFlags) tlsFor(scheme string, used bool) (*tls.Config, error) {
	for _, f := range []struct{ name, value string }{
		{"-ca", *p.ca}, {"-cert", *p.cert}, {"-key", *p.key}, {"-server-name", *p.serverName},
	} {
		if f.value != "" && !used {
			return nil, fmt.Errorf("%s needs a URL that begins with %s", f.name, scheme)
		}
	}
	config := &tls.Config{ServerName: *p.serverName, MinVersion: tls.VersionTLS12}
	if *p.ca != "" {
		pem, err := os.ReadFile(*p.ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM form", *p.ca)
		}
	}
	if (*p.cert == "") != (*p.key == "") {
		return nil, errors.New("-cert and -key need each other")
	}
	if *p.cert != "" {
		pair, err := tls.LoadX509KeyPair(*p.cert, *p.key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// maxPassword is the most bytes of a password.
const maxPassword = 1024

// readPassword gets the password from where the flags say, else from the environment, else from the terminal.
func (p *peerFlags) readPassword(e *env, prompt string) (cred.Secret, error) {
	switch {
	case p.flags.given("p") && *p.passwordFile != "":
		return "", usage("-p and -password-file exclude each other")
	case p.flags.given("p"):
		return cred.Secret(*p.password), nil
	case *p.passwordFile != "":
		return passwordIn(*p.passwordFile)
	}
	if s := e.getenv("PB_PASSWORD"); s != "" {
		return cred.Secret(s), nil
	}
	file, ok := e.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return "", usage("the password is missing: use -password-file, PB_PASSWORD or a terminal")
	}
	b, err := terminal.ReadPassword(int(file.Fd()), func() { fmt.Fprint(e.stderr, prompt) })
	e.note("")
	return cred.Secret(b), err
}

func passwordIn(path string) (cred.Secret, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", usageError{err}
	}
	defer file.Close()
	line, err := bufio.NewReader(io.LimitReader(file, maxPassword+2)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", usageError{err}
	}
	line = bytes.TrimRight(line, "\r\n")
	if len(line) > maxPassword {
		return "", usage("the password in %s is longer than %d bytes", path, maxPassword)
	}
	return cred.Secret(line), nil
}
