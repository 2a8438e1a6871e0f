package flavors

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFormatTraceback(t *testing.T) {
	assert.Equal(t, "a.B: text\n", (&Failure{Type: "a.B", Value: "text", Traceback: noTraceback}).FormatTraceback())
	assert.Equal(t, "a.B\n", (&Failure{Type: "a.B"}).FormatTraceback())
	assert.Equal(t, "Traceback from remote host -- a.B: text\nline\n",
		(&Failure{Type: "a.B", Value: "text", Traceback: "line", remote: true}).FormatTraceback())
}

// panics gives the PanicError that the object's actor would make.
func panics(v any) (err *PanicError) {
	defer func() { err = &PanicError{Value: recover(), Stack: debug.Stack()} }()
	innermost(v)
	return nil
}

//go:noinline
func innermost(v any) { panic(v) }

func TestUnsafeTracebackOfPanic(t *testing.T) {
	f := failureFor(panics("the secret"), unsafeTracebacks(true))
	assert.Equal(t, "builtins.RuntimeError", f.Type)
	assert.Equal(t, "panic: the secret", f.Value)
	lines := strings.Split(strings.TrimSpace(f.Traceback), "\n")
	assert.Equal(t, "Traceback (most recent call last):", lines[0])
	require.Greater(t, len(lines), 3)
	assert.Equal(t, "panic: the secret", lines[len(lines)-1])
	assert.Regexp(t, `^  File ".*traceback_test\.go", line \d+, in .*flavors\.innermost$`, lines[len(lines)-2])
	assert.NotContains(t, f.Traceback, "debug.Stack")

	f = failureFor(panics("the secret"), unsafeTracebacks(false))
	assert.NotContains(t, fmt.Sprint(f, f.Value, f.Traceback), "secret")
}

func TestUnsafeTracebackOfErrors(t *testing.T) {
	f := failureFor(fmt.Errorf("around: %w", TypeError.Wrap(io.EOF)), unsafeTracebacks(true))
	assert.Equal(t, "Traceback (chain of Go errors, outermost first):\n"+
		"  *fmt.wrapError: around: EOF\n  *flavors.Failure: EOF\n  *errors.errorString: EOF\n", f.Traceback)
	remote := &Failure{Type: "a.B", Value: "v", Traceback: "theirs\n", remote: true}
	f = failureFor(remote, unsafeTracebacks(true))
	assert.Equal(t, "theirs\n", f.Traceback)
	assert.Equal(t, "v", f.Value)
	assert.Equal(t, noTraceback, state(t, failureFor(remote), "traceback"))
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

func TestUnsafeTracebackIsCut(t *testing.T) {
	f := failureFor(errors.New(strings.Repeat("x", 3*MaxFailureText)), unsafeTracebacks(true))
	assert.LessOrEqual(t, len(f.Traceback), MaxFailureText)
}

func TestStackThatIsNone(t *testing.T) {
	for _, stack := range []string{"", "\n", "nonsense", "f()\n\tno colon", "f()\n\tfile.go:7", "\t\n\t\n\t"} {
		f := failureFor(&PanicError{Value: 1, Stack: []byte(stack)}, unsafeTracebacks(true))
		assert.True(t, strings.HasPrefix(f.Traceback, "Traceback"), stack)
	}
}
