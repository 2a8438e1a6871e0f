package misuse_test

import (
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// patience is the timeout of a call that has nothing to do. No test measures time with it.
const patience = time.Minute

// survives runs f and fails the test if it panics or does not return.
func survives(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan string, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Sprintf("%s panics: %.200s\n%s", what, fmt.Sprint(p), where())
			}
			close(done)
		}()
		f()
	}()
	select {
	case failure := <-done:
		if failure != "" {
			t.Error(failure)
		}
	case <-time.After(patience):
		t.Errorf("%s does not return", what)
	}
}

// where returns the lines of a panic's stack that are in this module.
func where() string {
	var lines []string
	for _, line := range strings.Split(string(debug.Stack()), "\n") {
		if strings.Contains(line, "/misuse") || !strings.HasPrefix(line, "\t") ||
			strings.Contains(line, "/usr/local/go") {
			continue
		}
		lines = append(lines, line)
	}
	return strings.Join(lines[:min(len(lines), 4)], "\n")
}

// zeros returns zero values for all parameters of a function.
func zeros(t reflect.Type, from int) []reflect.Value {
	var in []reflect.Value
	for i := from; i < t.NumIn(); i++ {
		if t.IsVariadic() && i == t.NumIn()-1 {
			// One nil for a variadic parameter.
			in = append(in, reflect.Zero(t.In(i).Elem()))
			continue
		}
		in = append(in, reflect.Zero(t.In(i)))
	}
	return in
}

// callMethods calls all methods except those in skip.
func callMethods(t *testing.T, v reflect.Value, name string, skip map[string]string) {
	for i := range v.NumMethod() {
		method := v.Type().Method(i).Name
		what := name + "." + method
		_, skipped := skip[strings.TrimPrefix(what, "nil ")]
		if _, of := skip[strings.TrimPrefix(name, "nil ")]; skipped || of {
			continue
		}
		m := v.Method(i)
		if method == "Format" && m.Type().NumIn() == 2 {
			survives(
				t,
				what,
				func() { _ = fmt.Sprintf("%v %+v %#v %d", v.Interface(), v.Interface(), v.Interface(), v.Interface()) },
			)
			continue
		}
		survives(t, what, func() { m.Call(zeros(m.Type(), 0)) })
	}
}

// TestZeroAndNilReceivers calls every method of every public type with zero arguments: on a zero value, and on a nil
// pointer where functions return one with an error.
func TestZeroAndNilReceivers(t *testing.T) {
	for _, of := range types() {
		typ := reflect.TypeOf(of).Elem()
		name, _, _ := strings.Cut(typ.String(), "[")
		t.Run(name, func(t *testing.T) {
			callMethods(t, reflect.New(typ), name, exceptions)
			if handles[name] {
				callMethods(t, reflect.Zero(reflect.PointerTo(typ)), "nil "+name, exceptions)
			}
			survives(t, "fmt.Sprint of a "+name, func() {
				_ = fmt.Sprintf(
					"%v %+v %#v",
					reflect.New(typ).Interface(),
					reflect.New(typ).Interface(),
					reflect.New(typ).Interface(),
				)
			})
		})
	}
}

// TestFunctionsWithNothing calls every public function with zero arguments.
func TestFunctionsWithNothing(t *testing.T) {
	for name, f := range functions() {
		t.Run(name, func(t *testing.T) {
			v := reflect.ValueOf(f)
			var out []reflect.Value
			survives(t, name, func() { out = v.Call(zeros(v.Type(), 0)) })
			if _, ok := harmless[name]; ok || len(out) == 0 {
				return
			}
			last := out[len(out)-1]
			if last.Type() == reflect.TypeFor[error]() && last.IsNil() {
				t.Errorf("%s succeeds with nothing", name)
			}
		})
	}
}
