package main

import (
	"errors"
	"io"
	"os"
	"slices"

	"github.com/perspectivebroker/pb/cmd/pb/internal/peer"
	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/banana"
)

// arguments reads the arguments of a call.
func (e *env) arguments(words []string) (peer.Args, error) {
	var args peer.Args
	for _, word := range words {
		name, text, isKeyword := value.Keyword(word)
		v, err := e.argument(text)
		switch {
		case err != nil:
			return args, usage("argument %s: %w", quoted(word), err)
		case !isKeyword:
			args.Values = append(args.Values, v)
			continue
		case slices.Contains(args.Names, name):
			return args, usage("argument %s: the keyword %s is given twice", quoted(word), name)
		}
		args.Names, args.Kw = append(args.Names, name), append(args.Kw, v)
	}
	if _, err := peer.Encode(banana.ProfilePB, args); err != nil {
		return args, err // before anything is connected
	}
	return args, nil
}

func (e *env) argument(word string) (any, error) {
	if len(word) < 2 || word[0] != '@' {
		return value.ParseWord(word)
	}
	if word == "@-" {
		if e.stdinTaken {
			return nil, errors.New("standard input is read already")
		}
		e.stdinTaken = true
		return readLimited(e.stdin)
	}
	file, err := os.Open(word[1:])
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readLimited(file)
}

// readLimited reads as many bytes as the protocol carries.
func readLimited(r io.Reader) (any, error) {
	b, err := io.ReadAll(io.LimitReader(r, banana.DefaultString+1))
	if err == nil && len(b) > banana.DefaultString {
		err = errors.New("there are more than 640 KiB, which one message does not carry; send it in parts")
	}
	return b, err
}

// show prints a value in the form that the flags ask for.
func (o *outputFlags) show(e *env, v any) error {
	write := value.Print
	switch {
	case *o.json:
		write = value.JSON
	case *o.pretty:
		write = value.Pretty
	}
	text, err := write(v)
	if err == nil {
		e.line(text)
	}
	return err
}

// callOf reads URL METHOD [ARG…].
func (p *peerFlags) callOf(e *env, args []string) (d *dialer, method string, call peer.Args, err error) {
	if len(args) < 2 || args[1] == "" {
		return nil, "", call, usage("a URL and a method are required")
	}
	if call, err = e.arguments(args[2:]); err != nil {
		return nil, "", call, err
	}
	d, err = p.dialer(e, args[0])
	return d, args[1], call, err
}
