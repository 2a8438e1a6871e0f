package main

import (
	"context"
	"errors"
	"strings"

	"github.com/perspectivebroker/pb/cmd/pb/internal/peer"
	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// describerName is the object that tells what a peer publishes, if the peer has one (P-10.1).
const describerName = "perspectivebroker.describe"

// description is what a peer says about one of its objects.
type description struct {
	Type    string `pb:"type"`
	Methods []struct {
		Name      string `pb:"name"`
		Signature string `pb:"signature"`
		Doc       string `pb:"doc"`
	} `pb:"methods"`
	Published []string `pb:"published"`
}

// describe prints what the peer says about the object that a call would call.
func (p *peerFlags) describe(ctx context.Context, e *env, o *outputFlags, url string) error {
	d, err := p.dialer(e, url)
	if err != nil {
		return err
	}
	ctx, cancel := p.timed(ctx)
	defer cancel()
	s, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	a := askAbout(ctx, s.conn, s.object)
	return e.showDescription(o, a)
}

func askAbout(ctx context.Context, conn *peer.Conn, object any) peer.Answer {
	return conn.Call(ctx, describerName, "describe", peer.Args{Values: []any{object}})
}

// showDescription prints an answer of the describer.
func (e *env) showDescription(o *outputFlags, a peer.Answer) error {
	var failure *peer.Failure
	if errors.As(a.Err, &failure) && failure.Type == "twisted.spread.pb.Error" {
		e.note("the peer does not tell what it publishes; a program of this module does, with broker.WithDescribe")
	}
	if a.Err != nil || *o.json || *o.pretty {
		if a.Err == nil {
			return o.show(e, a.Value)
		}
		return a.Err
	}
	var d description
	if err := jelly.Assign(&d, a.Value); err != nil {
		return &peer.BadValueError{Err: err}
	}
	if d.Type == "login" && len(d.Methods) == 0 {
		e.line("a login: log in with -u or -anonymous to see the methods")
	} else {
		e.line(printable(d.Type))
	}
	for _, m := range d.Methods {
		e.line("  " + printable(m.Signature))
		for _, line := range strings.Split(strings.TrimSpace(m.Doc), "\n") {
			if line != "" {
				e.line("      " + printable(line))
			}
		}
	}
	if len(d.Published) > 1 {
		e.line("published: " + printable(strings.Join(d.Published, ", ")))
	}
	return nil
}

// maxPrintable is the most characters of a line of a description.
const maxPrintable = 500

// printable makes one line of what a peer sent.
func printable(s string) string {
	if r := []rune(s); len(r) > maxPrintable {
		s = string(r[:maxPrintable]) + "…"
	}
	return strings.ReplaceAll(value.Lines(s), "\n", " ")
}

// methodNames returns the names of an object's methods, nil if the peer does not tell.
func (sh *shell) methodNames(name string) []string {
	object, ok := callable(sh.vars[name])
	if !ok || sh.silent {
		return nil
	}
	key := object
	if ref, ok := object.(*value.Ref); ok {
		key = ref.ID
	}
	if names, known := sh.methods[key]; known {
		return names
	}
	ctx, cancel := sh.flags.timed(context.Background())
	defer cancel()
	a := askAbout(ctx, sh.conn, object)
	var d description
	if a.Err != nil || jelly.Assign(&d, a.Value) != nil {
		sh.silent = true // It is not asked again.
		return nil
	}
	names := []string{}
	for _, m := range d.Methods {
		if value.IsIdentifier(m.Name) {
			names = append(names, m.Name)
		}
	}
	if sh.methods == nil {
		sh.methods = map[any][]string{}
	}
	sh.methods[key] = names
	return names
}
