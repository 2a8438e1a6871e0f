// Pb calls, watches, records, checks and load-tests any Perspective Broker, stock Twisted's included, without a program
// of one's own.
//
//	pb call pb://127.0.0.1:8800 add 1 2
//	pb tap -listen pb://127.0.0.1:8801 -to pb://127.0.0.1:8800
//
// What a peer sends is data, never code: objects of every class are accepted and printed. Results go to standard
// output, everything else to standard error. The exit status is 0 if the command succeeded, 1 if the call failed on
// the other side, 2 for wrong usage, 3 without a connection or login, 4 if the time ran out, and 130 after an
// interrupt.
//
// Run pb help for a list of the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
)

// The exit statuses.
const (
	statusDone        = 0
	statusFailed      = 1
	statusUsage       = 2
	statusConnection  = 3
	statusTime        = 4
	statusInterrupted = 130
)

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = errors.New("interrupted")

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel(errInterrupted)
		<-signals
		os.Exit(statusInterrupted) // A second signal does not wait.
	}()
	e := &env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	os.Exit(run(ctx, e, os.Args[1:]))
}

// env is what a command has of the process.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	stdinTaken     bool // whether an argument has read standard input
}

func (e *env) line(text string)             { fmt.Fprintln(e.stdout, text) }
func (e *env) note(format string, a ...any) { fmt.Fprintf(e.stderr, format+"\n", a...) }

// command is one of the commands.
type command struct {
	name, usage, summary string
	// detail is printed by help, below the summary and above the flags.
	detail string
	// prepare declares the flags and returns what runs the command with the arguments behind them.
	prepare func(f *flags) func(ctx context.Context, e *env, args []string) error
}

// commands returns the commands in the order of help.
func commands() []command {
	return []command{
		callCommand, shellCommand, watchCommand, tapCommand, decodeCommand, lintCommand, loadCommand, genCommand,
		passwdCommand, inspectCommand,
	}
}

// run carries out a command line and returns the exit status.
func run(ctx context.Context, e *env, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(e.stderr, overview())
		return statusUsage
	}
	name, args := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return help(e, args)
	case "version", "-version", "--version":
		e.line("pb " + version())
		return statusDone
	case "completion":
		return completion(e, args)
	}
	for _, c := range commands() {
		if c.name == name {
			return c.run(ctx, e, args)
		}
	}
	e.note("pb: there is no command %s; pb help lists them", quoted(name))
	return statusUsage
}

func (c command) run(ctx context.Context, e *env, args []string) int {
	f := newFlags(c.name)
	execute := c.prepare(f)
	switch err := f.parse(args); {
	case errors.Is(err, errHelp):
		fmt.Fprint(e.stdout, c.help())
		return statusDone
	case err != nil:
		e.note("pb %s: %v\nusage: pb %s %s", c.name, err, c.name, c.usage)
		return statusUsage
	}
	return e.report(ctx, c, execute(ctx, e, f.set.Args()))
}

func help(e *env, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(e.stdout, overview())
		return statusDone
	}
	for _, c := range commands() {
		if c.name == args[0] {
			fmt.Fprint(e.stdout, c.help())
			return statusDone
		}
	}
	if text, ok := builtinHelp[args[0]]; ok {
		fmt.Fprint(e.stdout, text)
		return statusDone
	}
	e.note("pb: there is no command %s; pb help lists them", quoted(args[0]))
	return statusUsage
}

var builtinHelp = map[string]string{
	"help":       "usage: pb help [COMMAND]\n\nDescribes a command, or lists all.\n",
	"version":    "usage: pb version\n\nPrints the version of this program.\n",
	"completion": "usage: pb completion bash|zsh|fish\n\nPrints a script that completes commands and flags in a shell.\n",
}

func overview() string {
	var b strings.Builder
	b.WriteString("usage: pb COMMAND [flags] …\n\nThe command for any Perspective Broker.\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-11s %s\n", c.name, c.summary)
	}
	b.WriteString("  completion  prints a script for a shell: bash, zsh or fish\n")
	b.WriteString("  version     prints the version\n")
	b.WriteString("  help        describes a command\n\n")
	b.WriteString(`A URL is pb://host:port[/name], pbs://host:port[/name] (TLS) or pb+unix:///path.
Values are written as in Python: 1, -2.5, 'text', b'bytes', [1, 2], (1, 'a'), {'k': 1}, None, True.
A word that is no value is text; name=value is a keyword argument; @FILE is the bytes of a file.
Exit status: 0 done, 1 failed on the other side, 2 wrong usage, 3 no connection or login, 4 time ran out.
`)
	return b.String()
}

func (c command) help() string {
	f := newFlags(c.name)
	c.prepare(f)
	text := "usage: pb " + c.name + " " + c.usage + "\n\n" + capital(c.summary) + ".\n"
	if c.detail != "" {
		text += "\n" + c.detail + "\n"
	}
	return text + f.describe()
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	return info.Main.Version
}
