package flavors

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Raiser is implemented by error types that know as what they want to be trapped by a peer: the dotted name of their
// class, and the names of its parents. Parents may be nil, which means a plain exception; the own name need not be
// among them.
type Raiser interface {
	error
	PBException() (typ string, parents []string)
}

// panicText is all that a peer learns of a panic: the value may hold anything.
const panicText = "the method panicked; the server's log says why"

// failureOption changes what failureFor tells the peer.
type failureOption interface{ applyFailure(*failureOptions) }

type failureOptions struct{ tracebacks bool }

// unsafeTracebacks lets stacks, chains of Go errors and the values of panics through. Without it the peer gets the text
// alone.
type unsafeTracebacks bool

func (u unsafeTracebacks) applyFailure(o *failureOptions) { o.tracebacks = bool(u) }

// failureFor makes any Go error a failure that can be sent. Its text is the error's; its type is, by the first of these
// that the error or one of its causes is:
//
//   - a [Failure], from a peer or made here: its type and parents. So a peer's failure that is passed on stays what it was.
//   - an [Exception] that was returned itself: that type, without a text unless something wraps it
//   - a [Raiser]: what it says
//   - a panic: builtins.RuntimeError, with a text that tells nothing
//   - a refusal of package jelly: InsecureJelly; a value of the wrong type: TypeError; what exceeds a limit of Banana: BananaError;
//     a value that is not valid in itself: ValueError
//   - context.Canceled and context.DeadlineExceeded: Twisted's CancelledError and TimeoutError
//   - anything else: builtins.Exception
func failureFor(err error, opts ...failureOption) *Failure {
	if err == nil {
		err = errors.New("a call failed with a nil error")
	}
	var o failureOptions
	for _, opt := range opts {
		opt.applyFailure(&o)
	}
	f := safely(err)
	if text := clipText(f.Value, MaxFailureText); text != f.Value {
		// An error is anybody's: many calls may fail with the same one, at the same time.
		clipped := *f
		clipped.Value = text
		f = &clipped
	}
	if !o.tracebacks {
		return f
	}
	revealed := *f
	revealed.reveal = true
	revealed.Traceback = revealedTraceback(err, f)
	if p, ok := usercode.As[*PanicError](err); ok && p != nil && !f.remote {
		revealed.Value = clipText("panic: "+usercode.PanicValue(p.Value), MaxFailureText)
	}
	return &revealed
}

// safely is classify, whatever the methods of the user's error do: the caller's answer is due.
func safely(err error) (f *Failure) {
	defer func() {
		if recover() != nil {
			f = unreadable(err)
		}
	}()
	return classify(err)
}

// unreadable stands for an error whose methods panic.
func unreadable(err error) *Failure {
	return RuntimeError.New("an error of type " + reflect.TypeOf(err).String() + " that does not bear being looked at")
}

// classify finds the type. It may return err itself, if that is a Failure.
func classify(err error) *Failure {
	// Most errors are a failure themselves; that one goes as it is.
	if f, ok := err.(*Failure); ok && f != nil { //nolint:errorlint // A wrapped one has another text.
		if len(f.Value) <= MaxFailureText {
			return f
		}
		clipped := *f
		return &clipped
	}
	if x, ok := err.(*Exception); ok && x != nil { //nolint:errorlint // Likewise.
		return x.New("")
	}
	text, ok := usercode.Text(err)
	if !ok {
		return unreadable(err)
	}
	if p, ok := usercode.As[*PanicError](err); ok && p != nil {
		return &Failure{Type: RuntimeError.name, Value: panicText, Parents: RuntimeError.parents, Err: err}
	}
	if f, ok := usercode.As[*Failure](err); ok && f != nil {
		return &Failure{Type: f.Type, Value: text, Parents: f.parents(), Traceback: f.Traceback, Err: err, remote: f.remote}
	}
	if x, ok := usercode.As[*Exception](err); ok && x != nil {
		return x.wrapText(text, err)
	}
	if r, ok := raiserIn(err); ok {
		return raised(r, text, err)
	}
	if x := standardException(err); x != nil {
		return x.wrapText(text, err)
	}
	return PlainException.wrapText(text, err)
}

// raiserIn finds a Raiser in err. An error that was returned by value is one too where its PBException method belongs
// to the pointer.
func raiserIn(err error) (r Raiser, ok bool) {
	if r, ok = usercode.As[Raiser](err); ok {
		return r, true
	}
	ok = usercode.Walk(err, func(e error) bool {
		t := reflect.TypeOf(e)
		if t.Kind() != reflect.Struct || !reflect.PointerTo(t).Implements(reflect.TypeFor[Raiser]()) {
			return false
		}
		p := reflect.New(t)
		p.Elem().Set(reflect.ValueOf(e))
		r, ok = p.Interface().(Raiser)
		return ok
	})
	return r, ok
}

func (x *Exception) wrapText(text string, cause error) *Failure {
	f := x.New(text)
	f.Err = cause
	return f
}

// standardException knows the errors of the packages below and of the standard library.
func standardException(err error) *Exception {
	switch {
	case is[*jelly.InsecureJellyError](err):
		return InsecureJelly
	case is[*jelly.AssignError](err):
		return TypeError
	case is[*banana.LimitError](err), is[*banana.EncodeError](err):
		return BananaError
	case is[*jelly.EncodeError](err):
		return ValueError
	case usercode.Is(err, context.Canceled):
		return Cancelled
	case usercode.Is(err, context.DeadlineExceeded):
		return TimedOut
	case usercode.Is(err, actor.ErrStopped):
		return ErrObjectStopped
	}
	return nil
}

// is reports whether err is or wraps an error of type T.
func is[T any](err error) bool {
	_, ok := usercode.As[T](err)
	return ok
}

func raised(r Raiser, text string, cause error) *Failure {
	var name string
	var parents []string
	if p := usercode.Do(func() { name, parents = r.PBException() }); p != nil || name == "" {
		return PlainException.wrapText(text, cause)
	}
	f := &Failure{Type: name, Value: text, Err: cause}
	if len(parents) > 0 {
		f.Parents = parents
		if parents[0] != name {
			f.Parents = append([]string{name}, parents...)
		}
	}
	return f
}

// MaxFailureText is how much of a failure's text, and of its traceback, is sent or taken in, in bytes of UTF-8. A text
// that is longer is cut and ends with " […]". Banana carries strings of 640 KiB.
const MaxFailureText = 512 << 10

// clipText makes any Go string one that can be sent: valid UTF-8 of limited length. What is no UTF-8 becomes U+FFFD.
func clipText(s string, limit int) string {
	const mark = " […]"
	valid := strings.ToValidUTF8(s[:min(len(s), limit)], "\uFFFD")
	if len(s) <= limit && len(valid) <= limit {
		return valid
	}
	cut := min(limit-len(mark), len(valid))
	for cut > 0 && cut < len(valid) && !utf8.RuneStart(valid[cut]) {
		cut--
	}
	return valid[:cut] + mark
}
