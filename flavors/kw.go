package flavors

import (
	"fmt"
	"maps"
	"slices"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// Kw are keyword arguments. As the last argument of CallRemote it holds the call's keywords; as the last parameter of a
// method it receives the keywords that no other parameter takes.
type Kw map[string]any

// Format implements fmt.Formatter by jelly.Format, because a peer's value may contain itself.
func (kw Kw) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "%v", jelly.Formatted{Value: map[string]any(kw)})
}

// MarshalJSON implements json.Marshaler with the limits of jelly.Dict.
func (kw Kw) MarshalJSON() ([]byte, error) {
	entries := make([]jelly.Entry, 0, len(kw))
	for _, name := range slices.Sorted(maps.Keys(kw)) {
		entries = append(entries, jelly.Entry{Key: name, Value: kw[name]})
	}
	return jelly.NewDict(entries...).MarshalJSON()
}

// splitKw separates the keywords from a call's arguments.
func splitKw(args []any) ([]any, Kw) {
	if n := len(args); n > 0 {
		if kw, ok := args[n-1].(Kw); ok {
			return args[:n-1], kw
		}
	}
	return args, nil
}

// jelly appends the dictionary of keywords, sorted by name so that equal calls have equal bytes.
func (kw Kw) jelly(f *jelly.Fragment) error {
	if len(kw) == 0 {
		return f.JellyDict(nil)
	}
	names := slices.Sorted(maps.Keys(kw))
	values := make([]any, len(names))
	for i, name := range names {
		values[i] = kw[name]
	}
	return f.JellyKw(names, values)
}

// kwName returns a keyword's name: a str, or bytes from Python 2.
func kwName(key any) (string, bool) {
	switch k := key.(type) {
	case string:
		return k, true
	case []byte:
		return string(k), true
	}
	return "", false
}
