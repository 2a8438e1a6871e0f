package flavors_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/graph"
	"github.com/stretchr/testify/assert"
)

// A method's arguments can be printed with any verb, whatever they contain.
func TestFormatBounded(t *testing.T) {
	for name, v := range graph.Hostile() {
		t.Run(name, func(t *testing.T) {
			inv := new(flavors.Invocation)
			inv.Args = append(inv.Args, v)
			inv.Method = "\x1b[2J" + strings.Repeat("m", 600_000)
			graph.Within(t, 1<<30, func() {
				failure := flavors.FailureFrom(jelly.NewDict(
					jelly.Entry{Key: "type", Value: v}, jelly.Entry{Key: "value", Value: v}, jelly.Entry{Key: "parents", Value: v},
				))
				for _, x := range []any{inv, inv.Args, flavors.Kw{"a": v, "b": v}, flavors.FailureFrom(v), failure} {
					for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
						assert.Less(t, len(fmt.Sprintf(verb, x)), 5*flavors.MaxFailureText, verb)
					}
					assert.LessOrEqual(t, len(jelly.Format(x)), jelly.DefaultFormatLimit)
				}
				assert.NotContains(t, fmt.Sprint(inv, flavors.Kw{"a": v}), "\x1b")
			})
		})
	}
	assert.Equal(t, `{"a": 1}`, fmt.Sprint(flavors.Kw{"a": int64(1)}))
	b, err := json.Marshal(flavors.Kw{"b": []any{int64(1)}, "a": nil})
	assert.NoError(t, err)
	assert.JSONEq(t, `{"a":null,"b":[1]}`, string(b))
}
