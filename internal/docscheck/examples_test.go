package docscheck

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestExamples requires an example in godoc, with output that is checked, for what users need in their first hour.
func TestExamples(t *testing.T) {
	example := regexp.MustCompile(`(?ms)^func (Example\w*)\(\) \{\n(.*?)^\}$`)
	found := map[string]bool{}
	files(t, "_test.go", func(name, text string) {
		for _, m := range example.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[2], "// Output:") {
				found[path.Dir(name)+" "+m[1]] = true
			}
		}
	})
	for _, want := range []string{
		"actor ExampleAdopt", "actor ExampleWithSlog", "actor ExampleDeferred_Await",
		"flavors ExampleReferenceable", "flavors ExampleViewable", "flavors ExampleCopyable", "flavors Example_cache",
		"flavors ExampleSpawn", "flavors ExampleNew", "flavors ExampleNewException",
		"flavors ExampleCall", "flavors ExampleForward", "flavors ExampleLink",
		"flavors Example_methodArguments", "flavors Example_methodResults", "flavors Example_methodError",
		"flavors Example_methodContext", "flavors ExampleInvocation", "flavors ExampleKw",
		"flavors Example_methodOptions", "flavors Example_methodDeferred",
		"flavors/replica ExampleMap", "flavors/replica ExampleValue", "flavors/paging ExampleOpen",
		"broker Example", "broker ExampleLogin", "broker ExampleWithTLS", "broker ExampleReconnect",
		"broker ExampleWithKeepalive", "broker ExampleListener_Shutdown", "broker ExampleNewPipeListener",
	} {
		assert.True(t, found[want], "there is no %s with an // Output: comment", want)
	}
}
