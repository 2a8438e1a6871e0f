package otel_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exportedSpan is a span as stdouttrace writes it.
type exportedSpan struct {
	Name        string
	SpanContext struct{ TraceID, SpanID string }
	Parent      struct {
		TraceID, SpanID string
		Remote          bool
	}
	Resource []struct {
		Key   string
		Value struct{ Value string }
	}
}

// role is a process of examples/trace.
type role struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	out    *bufio.Reader
	errors bytes.Buffer
}

func startRole(t *testing.T, program, name string, args ...string) *role {
	r := &role{t: t, name: name, cmd: exec.Command(program, append([]string{"-role", name}, args...)...)}
	r.cmd.Stderr = &r.errors
	out, err := r.cmd.StdoutPipe()
	require.NoError(t, err)
	r.out = bufio.NewReader(out)
	require.NoError(t, r.cmd.Start())
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	return r
}

// line returns the rest of the next line, which begins with a word.
func (r *role) line(word string) string {
	line, err := r.out.ReadString('\n')
	require.NoError(r.t, err)
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), word+" ")
	require.True(r.t, ok, line)
	return rest
}

// spans waits for the end of the process and returns what it exported, by the role and the name of the span.
func (r *role) spans(into map[string]exportedSpan) {
	require.NoError(r.t, r.cmd.Wait(), r.errors.String())
	lines := bufio.NewReader(&r.errors)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(r.t, err)
		var s exportedSpan
		if json.Unmarshal(line, &s) != nil || s.SpanContext.SpanID == "" {
			continue // a line of the log
		}
		require.Equal(r.t, "service.name", s.Resource[0].Key)
		require.Equal(r.t, r.name, s.Resource[0].Value.Value)
		into[r.name+" "+s.Name] = s
	}
}

// TestThreeProcesses requires that a call through three processes is one trace.
func TestThreeProcesses(t *testing.T) {
	program := filepath.Join(t.TempDir(), "trace")
	out, err := exec.Command("go", "build", "-o", program, "./examples/trace").CombinedOutput()
	require.NoError(t, err, "%s", out)
	warehouse := startRole(t, program, "warehouse")
	shop := startRole(t, program, "shop", "-warehouse", warehouse.line("listening"))
	customer := startRole(t, program, "customer", "-shop", shop.line("listening"))
	assert.Equal(t, "a box of plums", customer.line("got"))

	spans := map[string]exportedSpan{}
	customer.spans(spans)
	for _, r := range []*role{shop, warehouse} {
		require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
		r.spans(spans)
	}
	chain := []string{
		"customer shopping", "customer root/order", "shop Shop/order", "shop root/take", "warehouse Warehouse/take",
	}
	require.Len(t, spans, len(chain))
	for i, name := range chain[1:] {
		parent, child := spans[chain[i]], spans[name]
		require.NotEmpty(t, child.Name, name)
		assert.Equal(t, parent.SpanContext.TraceID, child.SpanContext.TraceID, name)
		assert.Equal(t, parent.SpanContext.SpanID, child.Parent.SpanID, name)
		assert.Equal(t, strings.Fields(chain[i])[0] != strings.Fields(name)[0], child.Parent.Remote, name)
	}
}
