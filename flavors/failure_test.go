package flavors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestFailureCheckAndTrap(t *testing.T) {
	remote := &Failure{
		Type:    "pond.Empty",
		Value:   "no ducks",
		Parents: []string{"pond.Empty", "twisted.spread.pb.Error"},
		remote:  true,
	}
	assert.Equal(t, "twisted.spread.pb.Error", remote.Check("builtins.KeyError", "twisted.spread.pb.Error", "pond.Empty"))
	assert.Empty(t, remote.Check("builtins.KeyError"))
	assert.Empty(t, remote.Check())
	name, err := remote.Trap("pond.Empty")
	require.NoError(t, err)
	assert.Equal(t, "pond.Empty", name)
	_, err = remote.Trap("builtins.KeyError")
	assert.Same(t, remote, err)
	assert.ErrorIs(t, remote, PBError)
	assert.NotErrorIs(t, remote, KeyError)

	bare := &Failure{Type: "builtins.KeyError"}
	assert.ErrorIs(t, bare, LookupError, "what is known of the type")
	unknown := &Failure{Type: "a.B"}
	assert.ErrorIs(t, unknown, PlainException)
	assert.Equal(t, "a.B", unknown.Check("a.B"))

	python2 := &Failure{Type: "exceptions.KeyError", Parents: []string{"exceptions.KeyError", "exceptions.LookupError"}}
	assert.ErrorIs(t, python2, KeyError)
	assert.ErrorIs(t, python2, LookupError)
	assert.NotErrorIs(t, python2, PBError)
}

func TestFailureText(t *testing.T) {
	for want, f := range map[string]*Failure{
		"text":                   {Type: "a.B", Value: "text"},
		"a.B":                    {Type: "a.B"},
		"a.B: text":              {Type: "a.B", Value: "text", remote: true},
		"only the text":          {Type: "builtins.Exception", Value: "only the text", remote: true},
		"builtins.Exception":     {Type: "builtins.Exception", remote: true},
		"builtins.KeyError: 'k'": {Type: "builtins.KeyError", Value: "'k'", remote: true},
	} {
		assert.Equal(t, want, f.Error())
	}
}

func TestIsRemote(t *testing.T) {
	remote := &Failure{Type: "a.B", remote: true}
	assert.True(t, remote.Remote())
	assert.True(t, IsRemote(remote))
	assert.True(t, IsRemote(fmt.Errorf("around: %w", remote)))
	for _, err := range []error{nil, io.EOF, TypeError.New("x"), DeadReference, PlainException.Wrap(io.EOF)} {
		assert.False(t, IsRemote(err))
	}
}

type raiser struct {
	typ     string
	parents []string
}

func (r *raiser) Error() string                   { return "raised" }
func (r *raiser) PBException() (string, []string) { return r.typ, r.parents }

// rude is an error whose methods panic.
type rude struct{}

func (*rude) Error() string { panic("rude") }

func TestFailureForAnyError(t *testing.T) {
	plain := PlainException.Parents()
	remote := &Failure{Type: "a.B", Value: "v", Parents: []string{"a.B", "a.A"}, remote: true}
	for _, tc := range []struct {
		name    string
		err     error
		typ     string
		value   string
		parents []string
	}{
		{"plain", errors.New("text"), "builtins.Exception", "text", plain},
		{"nil", nil, "builtins.Exception", "a call failed with a nil error", plain},
		{"an exception", excCustom.New("text"), "conformance.Custom", "text", excCustom.Parents()},
		{"wrapped", fmt.Errorf("around: %w", excCustom.New("text")), "conformance.Custom", "around: text",
			excCustom.Parents()},
		{"a bare exception", excCustom, "conformance.Custom", "", excCustom.Parents()},
		{"a bare exception, wrapped", fmt.Errorf("around: %w", excCustom), "conformance.Custom", "around: conformance.Custom",
			excCustom.Parents()},
		{"from a peer", remote, "a.B", "v", remote.Parents},
		{"from a peer, wrapped", fmt.Errorf("around: %w", remote), "a.B", "around: a.B: v", remote.Parents},
		{"joined", errors.Join(io.EOF, KeyError.New("'k'")), "builtins.KeyError", "EOF\n'k'", KeyError.Parents()},
		{"a raiser", &raiser{"x.Y", []string{"x.Y", "x.X"}}, "x.Y", "raised", []string{"x.Y", "x.X"}},
		{"a raiser without itself", &raiser{"x.Y", []string{"x.X"}}, "x.Y", "raised", []string{"x.Y", "x.X"}},
		{"a raiser without parents", &raiser{"x.Y", nil}, "x.Y", "raised", append([]string{"x.Y"}, plain...)},
		{"a raiser with no parents", &raiser{"x.Y", []string{}}, "x.Y", "raised", append([]string{"x.Y"}, plain...)},
		{"a raiser without a name", &raiser{}, "builtins.Exception", "raised", plain},
		{"a raiser, wrapped", fmt.Errorf("around: %w", &raiser{"x.Y", nil}), "x.Y", "around: raised",
			append([]string{"x.Y"}, plain...)},
		{"a known type without parents", &Failure{Type: "builtins.KeyError"}, "builtins.KeyError", "", KeyError.Parents()},
		{"a panic", &PanicError{Value: "secret"}, "builtins.RuntimeError", panicText, RuntimeError.Parents()},
		{"a panic with a peer's failure", &PanicError{Value: remote}, "builtins.RuntimeError", panicText,
			RuntimeError.Parents()},
		{"refused", &jelly.InsecureJellyError{What: "no", Path: "result"}, "twisted.spread.jelly.InsecureJelly", "result: no",
			InsecureJelly.Parents()},
		{"wrong type", &jelly.AssignError{Source: "str", Target: "int"}, "builtins.TypeError", "cannot use str as int",
			TypeError.Parents()},
		{"unsendable", &jelly.EncodeError{Path: "result", What: "bad"}, "builtins.ValueError", "result: bad",
			ValueError.Parents()},
		{"cancelled", context.Canceled, "twisted.internet.defer.CancelledError", "context canceled", Cancelled.Parents()},
		{"timed out", fmt.Errorf("waiting: %w", context.DeadlineExceeded), "twisted.internet.defer.TimeoutError",
			"waiting: context deadline exceeded", TimedOut.Parents()},
		{"rude", &rude{}, "builtins.RuntimeError", "an error of type *flavors.rude whose methods panic",
			RuntimeError.Parents()},
		{"a nil failure", fmt.Errorf("around: %w", error((*raiserPointer)(nil))), "builtins.Exception", "around: nil", plain},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := failureFor(tc.err, false)
			assert.Equal(t, tc.typ, f.Type)
			assert.Equal(t, tc.value, f.Value)
			assert.Equal(t, tc.parents, f.parents())
			assert.NotContains(t, f.Value, "secret")
			if tc.err != nil && tc.name != "rude" {
				assert.ErrorIs(t, f, tc.err, "the cause stays known here")
			}
			// A failure that is passed on stays the same.
			again := failureFor(f, false)
			assert.Equal(t, f.Type, again.Type)
			assert.Equal(t, f.Value, again.Value)
		})
	}
	assert.Same(t, remote, failureFor(remote, false))
}

type raiserPointer struct{}

func (*raiserPointer) Error() string { return "nil" }

func TestFailureForEncodeErrors(t *testing.T) {
	f := jelly.NewFragment(jelly.Context{Limits: banana.Limits{String: 10}})
	defer f.Free()
	for _, tc := range []struct {
		v    any
		want *Exception
	}{
		{strings.Repeat("x", 11), BananaError},
		{make(chan int), InsecureJelly},
		{"\xff", ValueError},
	} {
		err := f.Jelly(tc.v)
		require.Error(t, err)
		assert.Equal(t, tc.want.Name(), failureFor(err, false).Type, "%v", err)
	}
}

func TestFailureTextCut(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("ä", MaxFailureText), "bad \xff byte", strings.Repeat("\xff", 2*MaxFailureText),
	} {
		for _, err := range []error{errors.New(text), TypeError.New(text), &Failure{Type: "a.B", Value: text}} {
			f := failureFor(err, false)
			assert.LessOrEqual(t, len(f.Value), MaxFailureText)
			assert.True(t, utf8.ValidString(f.Value))
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		unit := rapid.SampledFrom([]string{"x", "ü", "€", "\xff", "a\xff", "\xe2\x82", "😀\x00"}).Draw(rt, "unit")
		limit := rapid.IntRange(20, 200).Draw(rt, "limit")
		s := strings.Repeat(unit, rapid.IntRange(0, 250).Draw(rt, "n"))
		got := clipText(s, limit)
		assert.LessOrEqual(rt, len(got), limit)
		assert.True(rt, utf8.ValidString(got))
		whole := strings.ToValidUTF8(s, "\uFFFD")
		if len(s) <= limit && len(whole) <= limit {
			assert.Equal(rt, whole, got)
		} else {
			assert.True(rt, strings.HasSuffix(got, " […]"), got)
		}
	})
	original := TypeError.New(strings.Repeat("x", 2*MaxFailureText))
	failureFor(original, false)
	assert.Len(t, original.Value, 2*MaxFailureText, "the user's value stays as it is")
}

func TestFormatTraceback(t *testing.T) {
	assert.Equal(t, "a.B: text\n", (&Failure{Type: "a.B", Value: "text", Traceback: noTraceback}).FormatTraceback())
	assert.Equal(t, "a.B\n", (&Failure{Type: "a.B"}).FormatTraceback())
	assert.Equal(t, "Traceback from remote host -- a.B: text\nline\n",
		(&Failure{Type: "a.B", Value: "text", Traceback: "line", remote: true}).FormatTraceback())
}

// panics returns the PanicError of a panicking method.
func panics(v any) (err *PanicError) {
	defer func() { err = &PanicError{Value: recover(), Stack: debug.Stack()} }()
	innermost(v)
	return nil
}

//go:noinline
func innermost(v any) { panic(v) }

func TestUnsafeTracebackOfPanic(t *testing.T) {
	f := failureFor(panics("the secret"), true)
	assert.Equal(t, "builtins.RuntimeError", f.Type)
	assert.Equal(t, "panic: the secret", f.Value)
	lines := strings.Split(strings.TrimSpace(f.Traceback), "\n")
	assert.Equal(t, "Traceback (most recent call last):", lines[0])
	require.Greater(t, len(lines), 3)
	assert.Equal(t, "panic: the secret", lines[len(lines)-1])
	assert.Regexp(t, `^  File ".*failure_test\.go", line \d+, in .*flavors\.innermost$`, lines[len(lines)-2])
	assert.NotContains(t, f.Traceback, "debug.Stack")

	f = failureFor(panics("the secret"), false)
	assert.NotContains(t, fmt.Sprint(f, f.Value, f.Traceback), "secret")
}

func TestUnsafeTracebackOfErrors(t *testing.T) {
	f := failureFor(fmt.Errorf("around: %w", TypeError.Wrap(io.EOF)), true)
	assert.Equal(t, "Traceback (chain of Go errors, outermost first):\n"+
		"  *fmt.wrapError: around: EOF\n  *flavors.Failure: EOF\n  *errors.errorString: EOF\n", f.Traceback)
	remote := &Failure{Type: "a.B", Value: "v", Traceback: "theirs\n", remote: true}
	f = failureFor(remote, true)
	assert.Equal(t, "theirs\n", f.Traceback)
	assert.Equal(t, "v", f.Value)
	assert.Equal(t, noTraceback, state(t, failureFor(remote, false), "traceback"))
	assert.Equal(t, "theirs\n", state(t, f, "traceback"))
	assert.Equal(t, true, state(t, f, "unsafeTracebacks"))
	assert.Equal(t, false, state(t, remote, "unsafeTracebacks"))
}

func state(t *testing.T, f *Failure, name string) any {
	t.Helper()
	v, ok := f.wireState().Get(name)
	require.True(t, ok)
	return v
}

func TestUnsafeTracebackCut(t *testing.T) {
	f := failureFor(errors.New(strings.Repeat("x", 3*MaxFailureText)), true)
	assert.LessOrEqual(t, len(f.Traceback), MaxFailureText)
}

func TestMalformedStack(t *testing.T) {
	for _, stack := range []string{"", "\n", "nonsense", "f()\n\tno colon", "f()\n\tfile.go:7", "\t\n\t\n\t"} {
		f := failureFor(&PanicError{Value: 1, Stack: []byte(stack)}, true)
		assert.True(t, strings.HasPrefix(f.Traceback, "Traceback"), stack)
	}
}
