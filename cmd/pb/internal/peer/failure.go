package peer

import (
	"fmt"
	"strings"

	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/jelly"
)

const (
	failureClass = "twisted.spread.pb.CopyableFailure"
	noTraceback  = "Traceback unavailable"
)

// Failure is how a method of the peer failed.
type Failure struct {
	Type, Text, Traceback string
}

// Error returns the type and the text. They come from the peer and are not escaped.
func (f *Failure) Error() string { return f.Type + ": " + f.Text }

// failureOf reads a failure. Peers can fail with objects of any class, and with anything else.
func failureOf(v any) *Failure {
	c, ok := v.(*value.Copy)
	if !ok {
		return &Failure{Type: "failure", Text: printed(v)}
	}
	state, ok := c.State.(*jelly.Dict)
	if !ok || c.Class != failureClass {
		return &Failure{Type: c.Class, Text: printed(c.State)}
	}
	f := &Failure{Type: textOf(state, "type"), Text: textOf(state, "value"), Traceback: textOf(state, "traceback")}
	if f.Type == "" {
		f.Type = failureClass
	}
	if strings.TrimSpace(f.Traceback) == noTraceback {
		f.Traceback = ""
	}
	return f
}

func textOf(d *jelly.Dict, name string) string {
	v, _ := d.GetName(name)
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	case *value.Copy:
		return printed(v)
	}
	return printed(v)
}

func printed(v any) string {
	s, err := value.Print(v)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return s
}
