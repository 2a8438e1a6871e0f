package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"

	"github.com/perspectivebroker/pb/cmd/pb/internal/trace"
)

var decodeCommand = command{
	name: "decode", usage: "[flags] FILE",
	summary: "prints a recording of tap, a raw stream or a capture of packets",
	detail: `FILE is a recording (pb tap -w), a capture in the format pcap or pcapng, or with -raw the bytes of one
direction of a connection; - is standard input. The lines are those of pb tap.`,
	prepare: prepareDecode,
}

func prepareDecode(f *flags) func(context.Context, *env, []string) error {
	raw := f.set.Bool("raw", false, "FILE has the bytes of one direction")
	port := f.set.Uint("port", 8787, "the server's port `N` in a capture")
	return func(_ context.Context, e *env, args []string) error {
		if len(args) != 1 {
			return usage("one file is required")
		}
		if *port == 0 || *port > 65535 {
			return usage("-port is a number from 1 to 65535")
		}
		in := e.stdin
		if args[0] != "-" {
			file, err := os.Open(args[0])
			if err != nil {
				return usageError{err}
			}
			defer file.Close()
			in = file
		}
		out := bufio.NewWriter(e.stdout)
		err := decode(bufio.NewReader(in), &trace.Printer{W: out}, *raw, uint16(*port))
		if flushed := out.Flush(); err == nil {
			err = flushed
		}
		if errors.Is(err, trace.ErrNoRecording) || errors.Is(err, trace.ErrNoCapture) {
			return usage("%s is neither a recording of pb tap nor a capture; -raw reads a stream of bytes", args[0])
		}
		return err
	}
}

var errNoConversation = errors.New("the capture has no TCP connection with this port; name the server's with -port")

func decode(in *bufio.Reader, p *trace.Printer, raw bool, port uint16) error {
	if raw {
		return p.Raw(in)
	}
	begin, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return usageError{err}
	}
	if !trace.IsCapture(begin) {
		return trace.Read(in, p.Event)
	}
	conns, err := trace.ReadCapture(in, port, p.Event)
	if err == nil && conns == 0 {
		err = errNoConversation
	}
	return err
}
