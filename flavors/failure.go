package flavors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Failure is an error that has been sent by a peer, or that is fit to be sent to one: a type by name, the names of its
// parents, and a text. It is Twisted's Failure as far as it crosses a connection.
//
// Code that gets one asks what it is with errors.Is and an [Exception], or with Check by name, as in Twisted:
//
//	var f *flavors.Failure
//	switch {
//	case errors.Is(err, flavors.NoSuchMethod): …
//	case errors.As(err, &f) && f.Check("pond.Empty") != "": …
//	}
type Failure struct {
	// Type is the dotted name of the exception's class.
	Type string
	// Value is the exception's text.
	Value string
	// Parents are the names by which the failure can be trapped: Type itself and its base classes. Left empty on a failure
	// of one's own, it stands for what is known of Type, or else for a plain exception's.
	Parents []string
	// Traceback is a text for people. Peers send "Traceback unavailable\n" unless they were told to be indiscreet.
	Traceback string
	// Err is the cause, if the failure was made here. It is not sent.
	Err error

	// remote says that the failure came over a connection.
	remote bool
	// reveal says that Traceback may be sent.
	reveal bool
}

// Error is the text. For a failure that came from a peer the type stands in front, because many of Python's texts mean
// nothing without it; the plain builtins.Exception says nothing and is left out.
func (f *Failure) Error() string {
	if f == nil {
		return "no failure"
	}
	switch {
	case f.Value == "":
		return f.Type
	case !f.remote || f.Type == PlainException.name:
		return f.Value
	}
	return f.Type + ": " + f.Value
}

// DescribeJelly implements [jelly.Describer].
func (f *Failure) DescribeJelly() string {
	if f == nil {
		return "no failure"
	}
	const most = 200 // More than is shown.
	return clipText(f.Type, most) + ": " + clipText(f.Value, most)
}

// Unwrap gives the local cause.
func (f *Failure) Unwrap() error {
	if f == nil {
		return nil
	}
	return f.Err
}

// Is reports whether target is an Exception as which the failure can be trapped.
func (f *Failure) Is(target error) bool {
	x, ok := target.(*Exception)
	return ok && x != nil && f.is(x.name)
}

// Check returns the first of the names that is the failure's type or one of its parents, and "" if none is.
func (f *Failure) Check(names ...string) string {
	for _, name := range names {
		if f.is(name) {
			return name
		}
	}
	return ""
}

// Trap is Check for those who cannot go on with any other failure: then the failure itself is the error.
func (f *Failure) Trap(names ...string) (string, error) {
	if name := f.Check(names...); name != "" {
		return name, nil
	}
	return "", f
}

// Remote reports whether the failure came from a peer.
func (f *Failure) Remote() bool { return f != nil && f.remote }

// is looks a name up among the parents. Peers on Python 2 have the standard exceptions in another module; they are the
// same.
func (f *Failure) is(name string) bool {
	if f == nil {
		return false
	}
	if name == f.Type || slices.Contains(f.Parents, name) {
		return true
	}
	if len(f.Parents) == 0 && slices.Contains(knownParents(f.Type), name) {
		return true
	}
	standard, ok := strings.CutPrefix(name, "builtins.")
	if !ok {
		return false
	}
	old := "exceptions." + standard
	return old == f.Type || slices.Contains(f.Parents, old)
}

// parents are the names to be sent.
func (f *Failure) parents() []string {
	if len(f.Parents) > 0 {
		return f.Parents
	}
	return knownParents(f.Type)
}

// originated is an error that knows on which side it arose.
type originated interface {
	error
	fromPeer() bool
}

// fromPeer implements originated.
func (f *Failure) fromPeer() bool { return f != nil && f.remote }

// IsRemote reports whether err is a failure that a peer sent, as a [Failure] or as an object of a class registered
// here, in contrast to one that arose on this side: a reference that is dead, a value that cannot be sent, a context
// that ended. Of an error that wraps several, the outermost of these counts.
func IsRemote(err error) bool {
	o, ok := usercode.As[originated](err)
	return ok && o.fromPeer()
}

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

// Limits of what a peer's failure may put into our memory for as long as the error is kept. What is longer is cut.
const (
	// MaxFailureParents is the number of parents; deep hierarchies of exceptions have ten.
	MaxFailureParents = 64
	// MaxFailureName is the length of the name of a type, in bytes.
	MaxFailureName = 1 << 10
)

// JellyTo writes the failure as Twisted does, entry by entry in its order. What only Python could fill (frames, stack,
// tb) is empty, as it is when Twisted sends it.
func (f *Failure) JellyTo(e *jelly.Encoder, _ any) error {
	if f == nil {
		return e.Value(nil)
	}
	return e.Instance(f, CopyableFailureClass, f.wireState())
}

func (f *Failure) wireState() *jelly.Dict {
	parents := f.parents()
	names := make([]any, 0, len(parents))
	for _, p := range parents[:min(len(parents), MaxFailureParents)] {
		names = append(names, clipText(p, MaxFailureName))
	}
	traceback := noTraceback
	if f.reveal && f.Traceback != "" {
		traceback = clipText(f.Traceback, MaxFailureText)
	}
	return jelly.NewDict(
		jelly.Entry{Key: "count", Value: 0},
		// Twisted reads the type as bytes only; all else may be str.
		jelly.Entry{Key: "type", Value: []byte(clipText(f.Type, MaxFailureName))},
		jelly.Entry{Key: "value", Value: clipText(f.Value, MaxFailureText)},
		jelly.Entry{Key: "captureVars", Value: false},
		jelly.Entry{Key: "frames", Value: []any{}},
		jelly.Entry{Key: "stack", Value: []any{}},
		jelly.Entry{Key: "tb", Value: nil},
		jelly.Entry{Key: "parents", Value: names},
		jelly.Entry{Key: "unsafeTracebacks", Value: f.reveal},
		jelly.Entry{Key: "traceback", Value: traceback},
	)
}

// failureFromState makes a failure of what came in an error message: an instance of class with that state. Any class
// will do, for a peer may send an exception that is a Copyable itself; then the class is the type. The only error is a
// state that is no dictionary. What is missing or odd is replaced, because a caller is better served with half a
// failure than with none.
func failureFromState(class string, state any) (*Failure, error) {
	dict, ok := state.(*jelly.Dict)
	if !ok || dict == nil {
		return nil, fmt.Errorf("a failure's state should be a dictionary, not %T (class %s)", state, clipText(class, 100))
	}
	f := new(Failure)
	f.setState(class, dict)
	return f, nil
}

// SetCopyableState fills a blank Failure with what a peer sent. So a registry that makes Failures of the class
// [CopyableFailureClass] lets them in wherever they stand, in the results of a DeferredList for one.
func (f *Failure) SetCopyableState(state any) error {
	read, err := failureFromState(CopyableFailureClass, state)
	if err == nil {
		*f = *read
	}
	return err
}

func (f *Failure) setState(class string, dict *jelly.Dict) {
	f.remote = true
	field := func(name string, limit int) string {
		v, _ := dict.GetName(name)
		return clipText(textOf(v), limit)
	}
	if class == CopyableFailureClass {
		f.Type = field("type", MaxFailureName)
		if f.Type == "" {
			f.Type = PlainException.name
		}
	} else {
		f.Type = clipText(class, MaxFailureName)
	}
	f.Value = field("value", MaxFailureText)
	f.Traceback = field("traceback", MaxFailureText)
	if v, ok := dict.GetName("parents"); ok {
		f.Parents = parentsOf(v)
	}
	if len(f.Parents) == 0 {
		f.Parents = knownParents(f.Type)
	}
}

// failureFromValue takes what came in an error message in whatever shape. An error made from a class of the user's own
// is the cause.
func failureFromValue(v any) *Failure {
	switch x := v.(type) {
	case *Failure:
		if x != nil && !x.remote {
			sent := *x
			sent.remote = true
			return &sent
		}
		if x != nil {
			return x
		}
	case error:
		f := *safely(x)
		f.Err, f.remote = x, true
		return &f
	case *jelly.Dict:
		if f, err := failureFromState(CopyableFailureClass, x); err == nil {
			return f
		}
	}
	return &Failure{
		Type:    PlainException.name,
		Value:   clipText(textOf(v), MaxFailureText),
		Parents: PlainException.parents,
		remote:  true,
	}
}

// parentsOf reads a list or tuple of names. Twisted puts the class itself there when it is no subclass of Exception.
func parentsOf(v any) []string {
	items, ok := v.([]any)
	if !ok {
		tuple, isTuple := v.(jelly.Tuple)
		if !isTuple {
			return nil
		}
		items = tuple
	}
	var names []string
	for _, item := range items[:min(len(items), MaxFailureParents)] {
		switch item.(type) {
		case string, []byte, jelly.Class:
			names = append(names, clipText(textOf(item), MaxFailureName))
		}
	}
	return names
}

// textOf renders a value that should have been a str. Containers are named, not walked: a peer decides how large they
// are.
func textOf(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case []byte:
		return string(x)
	case bool:
		return strconv.FormatBool(x)
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case jelly.Class:
		return string(x)
	case *Failure:
		if x == nil {
			return ""
		}
		return x.Value
	}
	return fmt.Sprintf("(a value of type %T)", v)
}

// noTraceback is what Twisted sends in place of a traceback, and so do we.
const noTraceback = "Traceback unavailable\n"

// maxFrames is how many frames of a Go stack a traceback shows, the innermost.
const maxFrames = 64

// FormatTraceback is what Twisted's printTraceback prints for a failure: for people, over several lines.
func (f *Failure) FormatTraceback() string {
	if f == nil {
		return "no failure\n"
	}
	var b strings.Builder
	if f.remote {
		b.WriteString("Traceback from remote host -- ")
	}
	b.WriteString(f.Type)
	if f.Value != "" {
		b.WriteString(": ")
		b.WriteString(f.Value)
	}
	b.WriteByte('\n')
	if f.Traceback != "" && f.Traceback != noTraceback {
		b.WriteString(f.Traceback)
		if !strings.HasSuffix(f.Traceback, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// revealedTraceback is the text for a peer that may know everything: the stack of a panic in the shape of Python's
// tracebacks, the innermost frame last, and the chain of Go errors.
func revealedTraceback(err error, f *Failure) string {
	var b strings.Builder
	p, _ := usercode.As[*PanicError](err)
	switch {
	case p != nil:
		b.WriteString("Traceback (most recent call last):\n")
		writeStack(&b, p.Stack)
		b.WriteString("panic: " + usercode.PanicValue(p.Value) + "\n")
	case f.Traceback != "":
		return clipText(f.Traceback, MaxFailureText)
	default:
		b.WriteString("Traceback (chain of Go errors, outermost first):\n")
		for e, depth := err, 0; e != nil && depth < maxFrames; e, depth = usercode.Unwrap(e), depth+1 {
			fmt.Fprintf(&b, "  %T: %s\n", e, safely(e).Value)
			if b.Len() > MaxFailureText {
				break
			}
		}
	}
	return clipText(b.String(), MaxFailureText)
}

// writeStack rewrites what debug.Stack gives. The frames of the panic itself, and of whoever took the stack, are left
// out.
func writeStack(b *strings.Builder, stack []byte) {
	type frame struct{ function, file, line string }
	var frames []frame
	lines := strings.Split(string(bytes.TrimSpace(stack)), "\n")
	for i := 0; i+1 < len(lines); i++ {
		place, ok := strings.CutPrefix(lines[i+1], "\t")
		if !ok {
			continue
		}
		function := lines[i]
		i++
		if strings.HasPrefix(function, "panic(") {
			frames = frames[:0]
			continue
		}
		place, _, _ = strings.Cut(place, " +0x")
		colon := strings.LastIndexByte(place, ':')
		if colon < 0 {
			continue
		}
		if open := strings.LastIndexByte(function, '('); open > 0 {
			function = function[:open]
		}
		frames = append(frames, frame{strings.TrimPrefix(function, "created by "), place[:colon], place[colon+1:]})
	}
	for i := min(len(frames), maxFrames) - 1; i >= 0; i-- {
		fmt.Fprintf(b, "  File %q, line %s, in %s\n", frames[i].file, frames[i].line, frames[i].function)
	}
}
