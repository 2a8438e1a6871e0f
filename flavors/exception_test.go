package flavors

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The types that gen_failures.py defines.
var (
	excCustom       = NewException("conformance.Custom", PBError)
	excLeft         = NewException("diamond.Left", excCustom)
	excRight        = NewException("diamond.Right", excCustom)
	excBoth         = NewException("diamond.Both", excLeft, excRight)
	excMixed        = NewException("diamond.Mixed", KeyError, excCustom)
	excLoginFailed  = NewException("twisted.cred.error.LoginFailed")
	excUnauthorized = NewException("twisted.cred.error.Unauthorized")
	excLogin        = NewException("twisted.cred.error.UnauthorizedLogin", excLoginFailed, excUnauthorized)
)

// exceptionsByName are the exceptions that stock raises for failures.json.
var exceptionsByName = map[string]*Exception{
	"exception": PlainException, "empty": PlainException, "unicode": PlainException, "lines": PlainException,
	"vocabulary word": PlainException, "base": BaseException,
	"pb.Error": PBError, "TypeError": TypeError, "ValueError": ValueError, "KeyError": KeyError, "IndexError": IndexError,
	"RuntimeError": RuntimeError, "NotImplementedError": NotImplementedError, "AttributeError": AttributeError,
	"LookupError": LookupError, "NoSuchMethod": NoSuchMethod, "DeadReference": DeadReference,
	"ConnectionLost": ConnectionLost,
	"ProtocolError":  ProtocolError, "InsecureJelly": InsecureJelly, "BananaError": BananaError,
	"CancelledError": Cancelled,
	"TimeoutError":   TimedOut, "UnauthorizedLogin": excLogin, "custom": excCustom, "diamond": excBoth, "mixed": excMixed,
}

func TestExceptionNamesMatchStock(t *testing.T) {
	for _, g := range goldenFailures(t) {
		x := exceptionsByName[g.Name]
		require.NotNil(t, x, g.Name)
		assert.Equal(t, g.Type, x.Name())
		if g.Name != "base" {
			assert.Equal(t, g.Parents, x.Parents(), g.Name)
		}
	}
}

func TestExceptionAsSentinel(t *testing.T) {
	for _, err := range []error{
		excCustom,
		excCustom.New("text"),
		excCustom.Errorf("%d", 1),
		excCustom.Wrap(io.EOF),
		fmt.Errorf("around: %w", excCustom.New("text")),
		fmt.Errorf("around: %w", excCustom),
		excBoth,
		excMixed.New("descended"),
		NewException("conformance.Custom").New("the same by name"),
	} {
		assert.ErrorIs(t, err, excCustom)
		assert.ErrorIs(t, err, PlainException)
		assert.NotErrorIs(t, err, NoSuchMethod)
		assert.NotErrorIs(t, err, io.ErrUnexpectedEOF)
		var f *Failure
		assert.ErrorAs(t, err, &f)
		assert.Equal(t, "builtins.Exception", f.Check("builtins.Exception"))
		var r *raiser
		assert.NotErrorAs(t, err, &r)
	}
	assert.NotErrorIs(t, PBError.New(""), excCustom, "a parent is no child")
	assert.Equal(t, "conformance.Custom", excCustom.Error())
}

func TestExceptionCauses(t *testing.T) {
	f := excCustom.Errorf("reading %s: %w", "x", io.EOF)
	assert.Equal(t, "reading x: EOF", f.Error())
	assert.ErrorIs(t, f, io.EOF)
	f = excCustom.Errorf("%w and %w", io.EOF, io.ErrClosedPipe)
	assert.ErrorIs(t, f, io.ErrClosedPipe)
	assert.NoError(t, errors.Unwrap(excCustom.Errorf("plain")))
	f = excCustom.Wrap(io.EOF)
	assert.Equal(t, "EOF", f.Value)
	assert.ErrorIs(t, f, io.EOF)
}

func TestExceptionParentsCopied(t *testing.T) {
	excCustom.Parents()[0] = "changed"
	assert.Equal(t, "conformance.Custom", excCustom.Parents()[0])
	f := excCustom.New("")
	_ = append(f.Parents, "more")
	assert.Len(t, excCustom.Parents(), 5)
}

func TestLineariseContradictions(t *testing.T) {
	ab := NewException("ab", NewException("a"), NewException("b"))
	ba := NewException("ba", NewException("b"), NewException("a"))
	got := NewException("both", ab, ba).Parents()
	assert.Equal(t, "both", got[0])
	assert.ElementsMatch(
		t,
		[]string{"both", "ab", "ba", "a", "b", "builtins.Exception", "builtins.BaseException", "builtins.object"},
		got,
	)
}
