package main

import (
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestShell(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			r := pbWith(t, `# a comment
x = root.counter()
x.incr(2)
x.incr(n=3)
x
y = root.echo({'k': [1, (2,)]})
y
root.echo([y, x])
refs
release x
root.add(1, b=20)
[1, y]
help
quit
root.add(1)
`, nil, "shell", s.url)
			assert.Equal(t, 0, r.status, r.errors)
			assert.Equal(t, `2
5
<ref 1>
{'k': [1, (2,)]}
[{'k': [1, (2,)]}, <ref 1>]
<ref 1> x
21
[1, {'k': [1, (2,)]}]
`+shellHelp+"\n", r.out)
			require.Eventually(t, func() bool { return pb(t, "call", s.url, "counters").out == "0\n" }, patience, tick,
				"the counter was given back")
		})
	}
}

func TestShellFails(t *testing.T) {
	s := stockServer(t)
	for line, c := range map[string]struct {
		status int
		want   string
	}{
		"root.fail('error', 'sorry')": {1, "builtins.Exception: sorry"},
		"root.add(1, 2":               {2, "line 2: at character 14"},
		"nobody.add(1)":               {2, "nobody has no value"},
		"x = ":                        {2, "a value is missing"},
		"root.add":                    {2, "a method"},
		"root":                        {0, ""},
		"root.echo(root)":             {2, "cannot be sent"},
		"root.add(b=1, b=2)":          {2, "twice"},
		"release root":                {2, "no variable"},
		"release x":                   {2, "no variable"},
		"watch root.add(1)":           {1, "no Cacheable"},
		"watch 5":                     {1, "no Cacheable"},
		"root.close()":                {3, "closed"},
		"1 2":                         {2, "nothing may follow"},
		"y = 1; z":                    {2, "nothing may follow"},
	} {
		r := pbWith(t, "\n"+line+"\nroot.note('after "+strings.ReplaceAll(line, "'", "")+"')\n", nil, "shell", s.url)
		assert.Equal(t, c.status, r.status, "%s: %s", line, r.errors)
		assert.Contains(t, r.errors, c.want, line)
	}
	assert.Equal(t, statusUsage, pb(t, "shell").status)
	assert.Equal(t, statusConnection, pb(t, "shell", "pb+unix:///does/not/exist").status)
}

func TestShellWatch(t *testing.T) {
	s := stockServer(t)
	in, writer := io.Pipe()
	r := &running{t, program(t.Context(), "shell", s.url), newWatched(), newWatched()}
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = in, r.out, r.errors
	require.NoError(t, r.cmd.Start())
	_, _ = io.WriteString(writer, "watch root.pond('p', ['swan'])\n")
	r.out.line(t, "state ['swan']")
	_, _ = io.WriteString(writer, "root.pondAdd('p', 'duck')\n")
	r.out.line(t, "add 'duck'")
	writer.Close()
	assert.Equal(t, 0, r.wait())
}

// TestShellTerminal runs the shell on a pseudo-terminal, with completion and history.
func TestShellTerminal(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("script(1) is missing; it is in the package bsdutils")
	}
	s := stockServer(t)
	in, writer := io.Pipe()
	shell := program(t.Context(), "shell", s.url)
	cmd := exec.CommandContext(t.Context(), "script", "-qec", shell.Path+" shell "+s.url, "/dev/null")
	cmd.Env = shell.Env
	out := newWatched()
	cmd.Stdin, cmd.Stdout = in, out
	require.NoError(t, cmd.Start())
	write := func(text string) { _, _ = io.WriteString(writer, text) }
	write("counter = root.counter()\r")
	write("cou\t.incr(2)\r")
	out.line(t, "counter.incr(2)")
	write("\x1b[A\r") // the line before
	out.line(t, "4")
	write("root.fail('error', 'x')\r")
	out.line(t, "builtins.Exception: x")
	write("root.add(\r")
	out.line(t, "at character 10")
	write("quit\r")
	writer.Close() // or Wait waits for the copy of standard input
	require.NoError(t, cmd.Wait())
}
