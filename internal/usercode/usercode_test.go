package usercode_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
)

type nilError struct{ inner error }

func (e *nilError) Error() string { return e.inner.Error() }
func (e *nilError) Unwrap() error { return e.inner }

type selfPanic struct{}

func (e selfPanic) Error() string              { panic(e) }
func (e selfPanic) Is(error) bool              { panic(e) }
func (e selfPanic) As(any) bool                { panic(e) }
func (e selfPanic) Unwrap() error              { panic(e) }
func (e selfPanic) String() string             { panic(e) }
func (selfPanic) MarshalText() ([]byte, error) { panic("text") }

type circle struct{}

func (*circle) Error() string     { return "circle" }
func (c *circle) Unwrap() []error { return []error{c, c} }

type uncomparable []int

func (uncomparable) Error() string { return "uncomparable" }

type holder struct{ v any }

func (holder) Error() string { return "holder" }

func badErrors() map[string]error {
	return map[string]error{
		"typed nil":    (*nilError)(nil),
		"panics":       selfPanic{},
		"circle":       &circle{},
		"uncomparable": uncomparable{},
		"holder":       holder{[]int{1}},
		"joined":       errors.Join((*nilError)(nil), selfPanic{}, io.EOF),
	}
}

func TestPanickingErrors(t *testing.T) {
	for name, err := range badErrors() {
		t.Run(name, func(t *testing.T) {
			assert.NotPanics(t, func() {
				assert.NotEmpty(t, usercode.ErrorText(err))
				assert.NotEmpty(t, usercode.LogError(err).Error())
				assert.Equal(t, name == "joined", usercode.Is(err, io.EOF))
				usercode.Is(err, err)
				_, ok := usercode.As[*nilError](err)
				assert.Equal(t, name == "typed nil" || name == "joined", ok)
				w := usercode.Wrap(err, "a %d", 1)
				assert.Contains(t, w.Error(), "a 1: ")
				assert.Equal(t, name == "joined", usercode.Is(w, io.EOF))
				usercode.Unwrap(err)
				assert.NotEmpty(t, usercode.PanicText(err))
			})
		})
	}
	assert.Contains(t, usercode.ErrorText((*nilError)(nil)), "a nil *usercode_test.nilError was returned as an error")
	assert.NoError(t, usercode.LogError(nil))
}

func TestIsAndAsMatchErrors(t *testing.T) {
	inner := fmt.Errorf("x: %w", io.EOF)
	for _, err := range []error{nil, io.EOF, inner, errors.Join(io.ErrClosedPipe, inner),
		fmt.Errorf("%w and %w", inner, io.ErrNoProgress)} {
		for _, target := range []error{io.EOF, io.ErrClosedPipe, io.ErrNoProgress, inner, nil} {
			assert.Equal(t, errors.Is(err, target), usercode.Is(err, target), "%v is %v", err, target)
		}
	}
	err := errors.Join(io.EOF, &nilError{io.EOF})
	found, ok := usercode.As[*nilError](err)
	assert.True(t, ok)
	var same *nilError
	assert.ErrorAs(t, err, &same)
	assert.Same(t, same, found)
}

type badHook struct{}

func (badHook) Run(*zerolog.Event, zerolog.Level, string) { panic("hook") }

func TestPanickingLogLines(t *testing.T) {
	hooked := zerolog.New(io.Discard).Hook(badHook{})
	plain := zerolog.New(io.Discard)
	assert.NotPanics(t, func() {
		usercode.Log(func() { hooked.Info().Msg("x") })
		usercode.Log(func() { plain.Info().Err(selfPanic{}).Msg("x") })
		usercode.Log(func() { plain.Info().Stringer("s", selfPanic{}).Msg("x") })
	})
}

func TestDo(t *testing.T) {
	assert.Nil(t, usercode.Do(func() {}))
	p := usercode.Do(func() { panic("x") })
	assert.Equal(t, "x", p.Value)
	assert.Contains(t, string(p.Stack), "TestDo")
}
