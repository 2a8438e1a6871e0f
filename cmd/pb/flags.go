package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

var errHelp = flag.ErrHelp

// flags are the flags of a command. Flags stand before arguments, so an argument may begin with a minus.
type flags struct{ set *flag.FlagSet }

func newFlags(name string) *flags {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	return &flags{set}
}

func (f *flags) parse(args []string) error {
	err := f.set.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return err
}

func (f *flags) given(name string) (given bool) {
	f.set.Visit(func(x *flag.Flag) { given = given || x.Name == name })
	return given
}

// describe lists the flags.
func (f *flags) describe() string {
	var b strings.Builder
	f.set.VisitAll(func(x *flag.Flag) {
		if b.Len() == 0 {
			b.WriteString("\nFlags:\n")
		}
		name, usage := flag.UnquoteUsage(x)
		if name != "" {
			name = " " + name
		}
		fmt.Fprintf(&b, "  -%-20s %s\n", x.Name+name, usage)
	})
	return b.String()
}

// peerFlags are the flags of all commands that connect to a peer.
type peerFlags struct {
	user, password, passwordFile *string
	anonymous                    *bool
	ca, cert, key, serverName    *string
	timeout                      *time.Duration
	flags                        *flags
}

func (f *flags) peer() *peerFlags {
	p := f.httpPeer()
	p.anonymous = f.set.Bool("anonymous", false, "log in without a name")
	return p
}

// httpPeer returns the flags of a command whose peer speaks HTTP.
func (f *flags) httpPeer() *peerFlags {
	s := f.set
	return &peerFlags{
		user: s.String("u", "", "log in as `USER`"),
		password: s.String("p", "", "the `PASSWORD`; other users of the machine can see it, so better use -password-file, "+
			"PB_PASSWORD or the terminal"),
		passwordFile: s.String("password-file", "", "read the password from the first line of `FILE`"),
		ca:           s.String("ca", "", "trust the certificates in `FILE` instead of the system's"),
		cert:         s.String("cert", "", "present the certificate in `FILE`"),
		key:          s.String("key", "", "the certificate's key, in `FILE`"),
		serverName:   s.String("server-name", "", "the `NAME` that the server's certificate must have"),
		timeout:      s.Duration("timeout", 10*time.Second, "how long the command's calls may take; 0 for no limit"),
		flags:        f,
	}
}

// outputFlags are the flags for the form of results.
type outputFlags struct{ pretty, json *bool }

func (f *flags) output() *outputFlags {
	return &outputFlags{
		pretty: f.set.Bool("pretty", false, "print results on several lines"),
		json:   f.set.Bool("json", false, "print results as JSON"),
	}
}
