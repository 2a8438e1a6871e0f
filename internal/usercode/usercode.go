package usercode

import (
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strconv"
	"sync"
)

// Panic is what Do recovered.
type Panic struct {
	Value any
	Stack []byte
}

// Do calls f and returns its panic, or nil if it returned. It does not stop runtime.Goexit.
func Do(f func()) (p *Panic) {
	defer func() {
		if r := recover(); r != nil {
			p = &Panic{Value: r, Stack: debug.Stack()}
		}
	}()
	f()
	return nil
}

// Log runs f, which writes one log line. A panic of the logger's hook, sampler or writer, or of a value in the line,
// only loses the line. The first such panic of the process is reported on standard error.
func Log(f func()) {
	defer func() {
		if r := recover(); r != nil {
			reportOnce.Do(func() {
				fmt.Fprintf(os.Stderr, "pb: a log line was lost, the logger or a value in it panicked with %s\n%s",
					PanicText(r), debug.Stack())
			})
		}
	}()
	f()
}

var reportOnce sync.Once

// PanicText describes the value of a panic for a log. Only errors and strings are printed in full; another value may
// still be in use by other goroutines.
func PanicText(r any) string {
	switch v := r.(type) {
	case error:
		return ErrorText(v)
	case string:
		return v
	}
	return fmt.Sprintf("a value of type %T", r)
}

// PanicValue is PanicText that prints numbers and booleans too.
func PanicValue(r any) string {
	switch v := reflect.ValueOf(r); v.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
	return PanicText(r)
}

// ErrorText returns err.Error(), and a text that names the type if that panics.
func ErrorText(err error) string {
	text, _ := Text(err)
	return text
}

// Text is ErrorText, and reports whether the text is the error's own.
func Text(err error) (text string, own bool) {
	if err == nil {
		return "no error", false
	}
	defer func() {
		if recover() == nil {
			return
		}
		own = false
		if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.IsNil() {
			text = fmt.Sprintf("a nil %T was returned as an error", err)
			return
		}
		text = fmt.Sprintf("an error of type %T whose Error method panicked", err)
	}()
	return err.Error(), true
}

// LogError returns an error with the text of err, for log lines: its Error method does not panic.
func LogError(err error) error {
	if err == nil {
		return nil
	}
	return logged{err}
}

type logged struct{ error }

func (e logged) Error() string { return ErrorText(e.error) }

// Wrap returns an error that wraps err. Its text is the formatted one, a colon and the text of err. It is fmt.Errorf
// with %w for the application's errors: the text is made at once and never panics.
func Wrap(err error, format string, args ...any) error {
	return &wrapped{text: fmt.Sprintf(format, args...) + ": " + ErrorText(err), err: err}
}

type wrapped struct {
	text string
	err  error
}

func (e *wrapped) Error() string { return e.text }
func (e *wrapped) Unwrap() error { return e.err }

// maxTree is how many errors of a tree Is and As visit. It ends a cycle of Unwrap methods.
const maxTree = 1000

// Is is errors.Is for the application's errors. A method that panics counts as one that does not exist.
func Is(err, target error) bool {
	if err == nil || target == nil {
		return err == target
	}
	return Walk(err, func(e error) bool {
		if equal(e, target) {
			return true
		}
		x, ok := e.(interface{ Is(error) bool })
		is := false
		return ok && Do(func() { is = x.Is(target) }) == nil && is
	})
}

// equal compares two errors whose types may not be comparable.
func equal(a, b error) (same bool) {
	defer func() {
		if recover() != nil {
			same = false
		}
	}()
	return a == b
}

// As is errors.As for the application's errors. A method that panics counts as one that does not exist.
func As[T any](err error) (found T, ok bool) {
	ok = Walk(err, func(e error) bool {
		if v, ok := e.(T); ok {
			found = v
			return true
		}
		x, ok := e.(interface{ As(any) bool })
		if !ok {
			return false
		}
		var v T
		as := false
		if Do(func() { as = x.As(&v) }) == nil && as {
			found = v
			return true
		}
		return false
	})
	return found, ok
}

// AsInto is As in the form of errors.As.
func AsInto[T any](err error, target *T) bool {
	found, ok := As[T](err)
	if ok {
		*target = found
	}
	return ok
}

// Unwrap is errors.Unwrap for the application's errors.
func Unwrap(err error) error {
	_, next := unwrap(err)
	return next
}

// Walk visits err and what it wraps, in the order of errors.Is, until visit returns true. It is bounded.
func Walk(err error, visit func(error) bool) bool {
	left := maxTree
	return walkSome(err, &left, visit)
}

func walkSome(err error, left *int, visit func(error) bool) bool {
	for err != nil && *left > 0 {
		*left--
		if visit(err) {
			return true
		}
		several, next := unwrap(err)
		for _, e := range several {
			if walkSome(e, left, visit) {
				return true
			}
		}
		err = next
	}
	return false
}

func unwrap(err error) (several []error, one error) {
	Do(func() {
		switch x := err.(type) { //nolint:errorlint // It is unwrapped here.
		case interface{ Unwrap() error }:
			one = x.Unwrap()
		case interface{ Unwrap() []error }:
			several = x.Unwrap()
		}
	})
	return several, one
}

// IsNilPointer reports whether v holds a nil pointer, on which methods of the application may panic.
func IsNilPointer(v any) bool {
	p := reflect.ValueOf(v)
	return p.Kind() == reflect.Pointer && p.IsNil()
}

// NilEmbedded returns the type of a nil pointer or interface that v, a pointer to a struct, embeds at any depth and
// from which it may have promoted a method; nil if there is none. Calling that method usually panics.
func NilEmbedded(v any, method string) reflect.Type { return nilEmbedded(reflect.ValueOf(v), method) }

func nilEmbedded(r reflect.Value, method string) reflect.Type {
	for r.Kind() == reflect.Pointer || r.Kind() == reflect.Interface {
		if r.IsNil() {
			return nil
		}
		r = r.Elem()
	}
	if r.Kind() != reflect.Struct {
		return nil
	}
	for i := range r.NumField() {
		f := r.Type().Field(i)
		if !f.Anonymous || !hasMethod(f.Type, method) {
			continue
		}
		if k := f.Type.Kind(); (k == reflect.Pointer || k == reflect.Interface) && r.Field(i).IsNil() {
			return f.Type
		}
		if t := nilEmbedded(r.Field(i), method); t != nil {
			return t
		}
	}
	return nil
}

// hasMethod reports whether t or, as for an addressable struct, *t has a method.
func hasMethod(t reflect.Type, name string) bool {
	if t.Kind() == reflect.Struct {
		t = reflect.PointerTo(t)
	}
	_, ok := t.MethodByName(name)
	return ok
}

// EmbedsNil describes a nil pointer or interface that t embeds, and what to do about it.
func EmbedsNil(t, embedded reflect.Type) string {
	if embedded.Kind() == reflect.Pointer {
		return fmt.Sprintf("%s embeds a nil %s: embed %s without a pointer, or set the pointer first",
			t, embedded, embedded.Elem())
	}
	return fmt.Sprintf("%s embeds a nil %s: set it first", t, embedded)
}
