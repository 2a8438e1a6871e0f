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

// Failure is an error that a peer sent or that can be sent to one: the name of its type, the names of the type's
// parents, and a text. It has what Twisted's Failure sends over a connection.
//
// To test its type, use errors.Is with an [Exception], or Check with names, as in Twisted:
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
	// Parents are the names by which the failure can be trapped: Type itself and its base classes. If it is empty, the
	// failure has the parents of the Exception named Type if there is a predeclared one, otherwise of a plain exception.
	Parents []string
	// Traceback is for people. Peers send "Traceback unavailable\n" unless they are configured to send tracebacks.
	Traceback string
	// Err is the local cause, if any. It is not sent.
	Err error

	remote bool // it came over a connection
	reveal bool // Traceback may be sent
}

// New returns a failure of this type. The peer gets its text.
func (x *Exception) New(text string) *Failure {
	if x == nil {
		x = PlainException
	}
	return &Failure{Type: x.name, Value: text, Parents: x.parents}
}

// Errorf returns a failure of this type with a formatted text. An error formatted with %w is the failure's cause for
// errors.Is and errors.As on this side; only its text is sent.
func (x *Exception) Errorf(format string, args ...any) *Failure {
	err := fmt.Errorf(format, args...)
	f := x.New(err.Error())
	if strings.Contains(format, "%w") {
		f.Err = err
	}
	return f
}

// Wrap returns a failure of this type with the text of cause.
func (x *Exception) Wrap(cause error) *Failure {
	if cause == nil {
		return x.New("")
	}
	f := x.New(usercode.ErrorText(cause))
	f.Err = cause
	return f
}

// As lets errors.As find a *[Failure] without a text in an Exception that was returned as an error.
func (x *Exception) As(target any) bool {
	f, ok := target.(**Failure)
	if x == nil {
		return false
	}
	if ok {
		*f = x.New("")
	}
	return ok
}

// Error returns the text. For a failure that came from a peer, the type precedes it, because many of Python's texts
// mean little without it; builtins.Exception is left out.
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
	const most = 200 // more than is shown
	return clipText(f.Type, most) + ": " + clipText(f.Value, most)
}

// Unwrap returns the local cause.
func (f *Failure) Unwrap() error {
	if f == nil {
		return nil
	}
	return f.Err
}

// Is reports whether target is an [Exception] that the failure's type is or derives from. A [DeadlineExceeded] is also
// a [context.DeadlineExceeded], and a [Canceled] a [context.Canceled].
func (f *Failure) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return f.is(DeadlineExceeded.name)
	case context.Canceled:
		return f.is(Canceled.name)
	}
	x, ok := target.(*Exception)
	return ok && x != nil && f.is(x.name)
}

// Check returns the first name that is the failure's type or one of its parents; "" if none is.
func (f *Failure) Check(names ...string) string {
	for _, name := range names {
		if f.is(name) {
			return name
		}
	}
	return ""
}

// Trap is like Check, but if no name matches it returns the failure as the error.
func (f *Failure) Trap(names ...string) (string, error) {
	if name := f.Check(names...); name != "" {
		return name, nil
	}
	return "", f
}

// Remote reports whether the failure came from a peer.
func (f *Failure) Remote() bool { return f != nil && f.remote }

// is reports whether the failure can be trapped by name. On Python 2 the standard exceptions are in the module
// exceptions rather than builtins; the names are treated as equal.
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

// parents returns the names to send.
func (f *Failure) parents() []string {
	if len(f.Parents) > 0 {
		return f.Parents
	}
	return knownParents(f.Type)
}

// originated is an error that records on which side it arose.
type originated interface {
	error
	fromPeer() bool
}

// fromPeer implements originated.
func (f *Failure) fromPeer() bool { return f != nil && f.remote }

// IsRemote reports whether the peer sent err, as a [Failure] or as an object of a registered class. It is false for
// errors that arose on this side: a dead reference, a value that cannot be sent, an ended context. If err wraps several
// such errors, the outermost decides.
func IsRemote(err error) bool {
	o, ok := usercode.As[originated](err)
	return ok && o.fromPeer()
}

// Raiser is implemented by errors that choose the exception type that a peer sees: its dotted name and the names of its
// parents. Nil parents mean a plain exception. The parents need not include the type itself.
type Raiser interface {
	error
	PBException() (typ string, parents []string)
}

// panicText is what a peer is told of a panic. The panic's value may hold secrets.
const panicText = "the method panicked; the server's log says why"

// failureFor converts err to a failure that can be sent. Its text is the error's. Its type comes from the first of
// these that err is or wraps:
//
//   - a [Failure]: its type and parents, so a peer's failure that is passed on keeps them
//   - an [Exception]: that type, without a text unless something wraps it
//   - a [Raiser]: the type and parents it returns
//   - a panic: builtins.RuntimeError, with panicText
//   - an error of package jelly: InsecureJelly for what may not be sent, TypeError for a value of the wrong type,
//     ValueError for an invalid value
//   - an exceeded limit of package banana: BananaError
//   - context.Canceled and context.DeadlineExceeded: Twisted's CancelledError and TimeoutError
//   - anything else: builtins.Exception
//
// With tracebacks, the peer also gets stacks, chains of Go errors and the values of panics.
func failureFor(err error, tracebacks bool) *Failure {
	if err == nil {
		err = errors.New("a call failed with a nil error")
	}
	f := safely(err)
	if text := clipText(f.Value, MaxFailureText); text != f.Value {
		// Several calls may fail with the same error value at the same time, so it is copied.
		clipped := *f
		clipped.Value = text
		f = &clipped
	}
	if !tracebacks {
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

// safely is classify, but survives panics of err's methods.
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
	return RuntimeError.New("an error of type " + reflect.TypeOf(err).String() + " whose methods panic")
}

// classify returns the failure for err, which is err itself if that is a Failure.
func classify(err error) *Failure {
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

// raiserIn finds a Raiser in err. It also finds an error that is a struct by value whose PBException method has a
// pointer receiver.
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

// standardException returns the exception for errors of the packages below and of the standard library.
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

// MaxFailureText is the most bytes of UTF-8 of a failure's text, and of its traceback, that are sent or received. A
// longer text is cut and ends with " […]". Banana's own limit for strings is 640 KiB.
const MaxFailureText = 512 << 10

// maxQuotedName is the most bytes of a peer's name that an error quotes.
const maxQuotedName = 128

// clipText returns s as valid UTF-8 of at most limit bytes. Invalid bytes become U+FFFD.
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

// Limits of a failure from a peer. More is cut.
const (
	// MaxFailureParents is the most parents of a failure. Deep hierarchies of exceptions have ten.
	MaxFailureParents = 64
	// MaxFailureName is the most bytes of the name of a type.
	MaxFailureName = 1 << 10
)

// JellyTo writes the failure with Twisted's entries, in Twisted's order. Frames, stack and tb are empty, as when
// Twisted sends it.
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
		// Twisted accepts the type only as bytes.
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

// failureFromState makes a failure of an instance that came in an error message. If class is not
// [CopyableFailureClass], the exception itself was a Copyable, and class is the failure's type. Missing or malformed
// entries are replaced; the only error is a state that is not a dictionary.
func failureFromState(class string, state any) (*Failure, error) {
	dict, ok := state.(*jelly.Dict)
	if !ok || dict == nil {
		return nil, fmt.Errorf("a failure's state should be a dictionary, not %T (class %s)", state, clipText(class, 100))
	}
	f := new(Failure)
	f.setState(class, dict)
	return f, nil
}

// SetCopyableState sets the failure to the state that a peer sent. With it a registry can accept
// [CopyableFailureClass] anywhere in a value, such as in the results of a DeferredList.
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

// failureFromValue makes a failure of any value that came in an error message. An error of a registered class becomes
// its cause.
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
	case *jelly.Instance:
		if f, err := failureFromState(x.Class, x.State); err == nil {
			return f
		}
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

// parentsOf reads a list or tuple of names. Twisted sends a class in place of a name if it does not derive from
// Exception.
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

// textOf returns the text of a value that should be a str. It names containers without walking them, because the peer
// decides how large they are.
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

// noTraceback is sent in place of a traceback, as by Twisted.
const noTraceback = "Traceback unavailable\n"

// maxFrames is the most frames of a traceback. The outermost are left out.
const maxFrames = 64

// FormatTraceback returns what Twisted's printTraceback prints for the failure, in several lines.
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

// revealedTraceback returns the traceback for a peer that may see it: the stack of a panic in Python's format,
// innermost frame last, or the chain of Go errors.
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

// writeStack writes a debug.Stack in Python's format, without the frames of the panic and of debug.Stack.
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

// CopyableFailureClass is the class under which failures travel.
const CopyableFailureClass = "twisted.spread.pb.CopyableFailure"
