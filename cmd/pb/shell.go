package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/perspectivebroker/pb/cmd/pb/internal/peer"
	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/jelly"
	"golang.org/x/term"
)

var shellCommand = command{
	name: "shell", usage: "[flags] URL",
	summary: "calls methods and keeps results in variables, line by line",
	detail: `From a terminal it has history and completes names. From a pipe it reads lines until the first failure.

` + shellHelp,
	prepare: prepareShell,
}

const shellHelp = `  root.add(1, b=2)       call a method of an object, and print the result
  x = root.counter()     keep the result
  x                      print a value
  describe root          list the methods of an object, if the peer tells
  refs                   list the references and caches that are held
  release x              give a reference or a cache back, and forget the variable
  watch root.board()     print the state of a Cacheable, and its updates as they come
  help, quit`

// prompt is printed on a terminal before each line.
const prompt = "pb> "

func prepareShell(f *flags) func(context.Context, *env, []string) error {
	p, o := f.peer(), f.output()
	return func(ctx context.Context, e *env, args []string) error {
		if len(args) != 1 {
			return usage("a URL is required")
		}
		d, err := p.dialer(e, args[0])
		if err != nil {
			return err
		}
		opening, cancel := p.timed(ctx)
		defer cancel()
		s, err := d.open(opening)
		if err != nil {
			return err
		}
		defer s.conn.Close()
		sh := &shell{env: e, flags: p, output: o, conn: s.conn, vars: map[string]any{}, held: map[jelly.Mention]int{}}
		sh.vars["root"] = s.object
		if name, ok := s.object.(string); ok {
			sh.vars["root"] = value.Opaque{Kind: "published", Text: name}
		}
		sh.env = &env{stdin: e.stdin, stdout: &lockedWriter{w: e.stdout}, stderr: e.stderr, getenv: e.getenv}
		if file, ok := e.stdin.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
			return sh.interactive(ctx, file)
		}
		return sh.script(ctx)
	}
}

// shell is a session of the shell.
type shell struct {
	env    *env
	flags  *peerFlags
	output *outputFlags
	conn   *peer.Conn
	vars   map[string]any
	held   map[jelly.Mention]int // the peer's objects that it keeps for this side, and how often it sent each

	methods map[any][]string // names for completion, by the name or the number of the object
	silent  bool             // the peer does not tell its methods
}

// errQuit ends the shell.
var errQuit = errors.New("quit")

// script reads lines from a pipe or a file, until the first failure.
func (sh *shell) script(ctx context.Context) error {
	lines, failed := make(chan string), make(chan error, 1)
	go func() {
		in := bufio.NewScanner(sh.env.stdin)
		in.Buffer(nil, 4<<20)
		for in.Scan() {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
		failed <- in.Err()
	}()
	for n := 1; ; n++ {
		select {
		case line := <-lines:
			err := sh.do(ctx, line)
			var syntax *value.SyntaxError
			switch {
			case errors.Is(err, errQuit):
				return nil
			case errors.As(err, &syntax):
				sh.env.note("pb shell: line %d: %v", n, err)
				return quietError{statusUsage}
			case err != nil:
				return err
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// interactive reads lines from a terminal. Failures are printed.
func (sh *shell) interactive(ctx context.Context, in *os.File) error {
	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return err
	}
	defer func() { _ = term.Restore(int(in.Fd()), old) }() // The process ends.
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, sh.env.stdout}, prompt)
	if width, height, err := term.GetSize(int(in.Fd())); err == nil && width > 0 {
		_ = t.SetSize(width, height) // A terminal of unknown size has 80 columns.
	}
	t.AutoCompleteCallback = sh.complete
	sh.env = &env{stdin: in, stdout: t, stderr: t, getenv: sh.env.getenv}
	for {
		line, err := t.ReadLine()
		if err != nil || sh.conn.Err() != nil {
			break
		}
		switch err := sh.do(ctx, line); {
		case errors.Is(err, errQuit):
			return nil
		case err != nil:
			sh.env.report(ctx, shellCommandName, err)
		}
		if sh.conn.Err() != nil {
			break
		}
	}
	if err := sh.conn.Err(); err != nil {
		return &peer.LostError{Cause: err}
	}
	return nil
}

// shellCommandName is what errors of an interactive session name.
var shellCommandName = command{name: "shell", usage: "[flags] URL"}

// complete completes a name at a tab.
func (sh *shell) complete(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' {
		return "", 0, false
	}
	start := strings.LastIndexAny(line[:pos], " (,=[{") + 1
	prefix := line[start:pos]
	names := append(slices.Sorted(maps.Keys(sh.vars)), "describe ", "help", "quit", "refs", "release ", "watch ")
	if object, _, ok := strings.Cut(prefix, "."); ok {
		names = names[:0]
		for _, method := range sh.methodNames(object) {
			names = append(names, object+"."+method+"(")
		}
	}
	var found []string
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			found = append(found, name)
		}
	}
	if len(found) == 0 || prefix == "" {
		return "", 0, false
	}
	common := found[0]
	for _, name := range found[1:] {
		for !strings.HasPrefix(name, common) {
			common = common[:len(common)-1]
		}
	}
	return line[:start] + common + line[pos:], start + len(common), true
}

// do carries out a line.
func (sh *shell) do(ctx context.Context, line string) error {
	p := &value.Parser{Text: line, Names: sh.lookup}
	if p.Space(); p.At == len(line) || line[p.At] == '#' {
		return nil
	}
	word := p.Name()
	p.Space()
	rest := line[p.At:]
	switch {
	case rest == "" && (word == "quit" || word == "exit"):
		return errQuit
	case rest == "" && word == "help":
		sh.env.line(shellHelp)
		return nil
	case rest == "" && word == "refs":
		sh.refs()
		return nil
	case word == "release" && value.IsIdentifier(strings.TrimSpace(rest)):
		return sh.release(p, strings.TrimSpace(rest))
	case word == "describe" && value.IsIdentifier(strings.TrimSpace(rest)):
		return sh.describe(ctx, p, strings.TrimSpace(rest))
	case word == "watch" && rest != "" && rest[0] != '=' && rest[0] != '.':
		return sh.watch(ctx, p)
	case word != "" && p.Accept("="):
		v, err := sh.expression(ctx, p)
		if err == nil {
			sh.vars[word] = v
		}
		return err
	}
	p.At = 0
	v, err := sh.expression(ctx, p)
	if err != nil {
		return err
	}
	return sh.output.show(sh.env, v)
}

// describe prints what the peer says about an object.
func (sh *shell) describe(ctx context.Context, p *value.Parser, name string) error {
	object, ok := callable(sh.vars[name])
	if !ok {
		return p.Fail(p.At, "%s is no variable with a reference", name)
	}
	ctx, cancel := sh.flags.timed(ctx)
	defer cancel()
	return sh.env.showDescription(sh.output, askAbout(ctx, sh.conn, object))
}

func (sh *shell) lookup(name string) (any, bool) {
	v, ok := sh.vars[name]
	return v, ok
}

// expression reads a call or a value up to the end of the line. A call is made.
func (sh *shell) expression(ctx context.Context, p *value.Parser) (any, error) {
	p.Space()
	start := p.At
	name := p.Name()
	if name == "" || !p.Accept(".") {
		p.At = start
		v, err := p.Value()
		if err == nil {
			err = p.End()
		}
		return v, err
	}
	object, ok := sh.vars[name]
	if !ok {
		return nil, p.Fail(start, "%s has no value", name)
	}
	on, ok := callable(object)
	if !ok {
		return nil, p.Fail(start, "%s is no reference, so it has no methods", name)
	}
	method := p.Name()
	if method == "" || !p.Accept("(") {
		return nil, p.Fail(p.At, "a method with its arguments is expected, such as %s.method(1, name=2)", name)
	}
	args, err := arguments(p)
	if err == nil {
		err = p.End()
	}
	if err != nil {
		return nil, err
	}
	return sh.call(ctx, on, method, args)
}

// callable returns the object of a call.
func callable(v any) (any, bool) {
	switch v := v.(type) {
	case *value.Ref:
		return v, true
	case value.Opaque:
		name, ok := v.Text.(string)
		return name, ok && v.Kind == "published"
	}
	return nil, false
}

// arguments reads arguments up to the closing bracket.
func arguments(p *value.Parser) (peer.Args, error) {
	var args peer.Args
	for n := 0; !p.Accept(")"); n++ {
		if n > 0 && !p.Accept(",") {
			return args, p.Fail(p.At, ") or a comma is expected")
		}
		if n > 0 && p.Accept(")") {
			break
		}
		p.Space()
		start := p.At
		name := p.Name()
		isKeyword := name != "" && p.Accept("=")
		if !isKeyword {
			p.At = start
		}
		v, err := p.Value()
		switch {
		case err != nil:
			return args, err
		case isKeyword && slices.Contains(args.Names, name):
			return args, p.Fail(start, "the keyword %s is given twice", name)
		case isKeyword:
			args.Names, args.Kw = append(args.Names, name), append(args.Kw, v)
		default:
			args.Values = append(args.Values, v)
		}
	}
	return args, nil
}

func (sh *shell) call(ctx context.Context, object any, method string, args peer.Args) (any, error) {
	ctx, cancel := sh.flags.timed(ctx)
	defer cancel()
	a := sh.conn.Call(ctx, object, method, args)
	for _, m := range a.Mentions {
		sh.held[heldAs(m)]++
	}
	return a.Value, a.Err
}

// heldAs counts all mentions of a cache together.
func heldAs(m jelly.Mention) jelly.Mention {
	if m.Tag != "remote" {
		m.Tag = "cache"
	}
	return m
}

// refs lists what is held, with the variables that name it.
func (sh *shell) refs() {
	for _, m := range slices.SortedFunc(maps.Keys(sh.held), compareMentions) {
		var names []string
		for name, v := range sh.vars {
			if same, ok := mentionOf(v); ok && same == m {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		kind := "ref"
		if m.Tag == "cache" {
			kind = "cache"
		}
		sh.env.line(strings.TrimRight(fmt.Sprintf("<%s %d> %s", kind, m.ID, strings.Join(names, ", ")), " "))
	}
}

func compareMentions(a, b jelly.Mention) int {
	if a.Tag != b.Tag {
		return strings.Compare(b.Tag, a.Tag)
	}
	return int(max(min(a.ID-b.ID, 1), -1))
}

func mentionOf(v any) (jelly.Mention, bool) {
	switch v := v.(type) {
	case *value.Ref:
		return jelly.Mention{Tag: "remote", ID: v.ID}, true
	case *value.Cache:
		return jelly.Mention{Tag: "cache", ID: v.ID}, true
	}
	return jelly.Mention{}, false
}

// release gives back all that was received of an object. The variable is forgotten, and others with the same value too.
func (sh *shell) release(p *value.Parser, name string) error {
	m, ok := mentionOf(sh.vars[name])
	if !ok || name == "root" {
		return p.Fail(p.At, "%s is no variable with a reference or a cache", name)
	}
	n := sh.held[m]
	delete(sh.held, m)
	maps.DeleteFunc(sh.vars, func(name string, v any) bool {
		same, ok := mentionOf(v)
		return ok && same == m && name != "root"
	})
	return sh.conn.Release(slices.Repeat([]jelly.Mention{m}, n))
}

// watch makes a call that returns a Cacheable, and prints the updates while other lines are carried out.
func (sh *shell) watch(ctx context.Context, p *value.Parser) error {
	sh.conn.Follow(true)
	v, err := sh.expression(ctx, p)
	sh.conn.Follow(false)
	if err != nil {
		return err
	}
	cache, ok := v.(*value.Cache)
	if !ok {
		return errNoCacheable
	}
	if err := sh.output.state(sh.env, cache.State); err != nil {
		return err
	}
	updates := sh.conn.Updates(cache.ID)
	go func() {
		for {
			u, ok := updates.Next(ctx)
			if !ok || sh.output.update(sh.env, u) != nil {
				return
			}
		}
	}()
	return nil
}

// lockedWriter is output of several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
