package flavors

import (
	"fmt"
	"strconv"

	"github.com/perspectivebroker/pb/codec/jelly"
)

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
