//go:build unix

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

const secret = "hunter2-real"

// everything is what the worker has sent to the master and logged.
func everything(o *observer, log string) string {
	var all strings.Builder
	for _, text := range o.texts {
		all.WriteString(text.String())
	}
	for _, fact := range o.facts {
		all.WriteString(printed(fact))
	}
	return all.String() + log
}

// TestSecretsAreHidden passes secrets in every form: only the program gets them.
func TestSecretsAreHidden(t *testing.T) {
	m := listenOnly(t)
	logged := startBinary(t, buildBinary(t), m.flags(m.url)...)
	a := m.session()
	text := jelly.Tuple{"obfuscated", secret, "XXXX"}
	bytes := jelly.Tuple{[]byte("obfuscated"), []byte(secret), []byte("XXXX")}
	check := `test "$1" = "$(printf %s-%s hunter2 real)"`
	for name, c := range map[string]struct {
		command any
		rc      int64
	}{
		"text":   {[]any{"sh", "-c", check, "sh", text}, 0},
		"bytes":  {[]any{"sh", "-c", check, "sh", bytes}, 0},
		"a list": {[]any{"sh", "-c", check, "sh", []any{"obfuscated", secret, "XXXX"}}, 0},
		"mixed": {
			[]any{"sh", "-c", check, "sh", jelly.Tuple{[]byte("obfuscated"), secret, []byte("XXXX")}}, 0,
		},
		"in a list":        {[]any{"sh", "-c", "true", "sh", []any{"a", []any{text, bytes}}}, 0},
		"in a dictionary":  {[]any{"sh", "-c", "true", "sh", jelly.NewDict(jelly.Entry{Key: "k", Value: bytes})}, 0},
		"the program":      {[]any{jelly.Tuple{"obfuscated", "/no/such/" + secret, "XXXX"}, "x"}, 1},
		"all":              {jelly.Tuple{"obfuscated", "true " + secret, "true XXXX"}, 0},
		"what is shown is": {[]any{"true", jelly.Tuple{"obfuscated", secret, []any{"XXXX", text}}}, 0},
		"killed":           {[]any{"sh", "-c", "sleep 600", "sh", bytes}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			args := sh("", "logEnviron", true)
			args["command"] = c.command
			if name == "killed" {
				args["maxTime"] = 2
			}
			o, err := a.do(t, "shell", args)
			require.NoError(t, err)
			assert.Equal(t, c.rc, o.facts["rc"])
			assert.NotContains(t, everything(o, logged.everything()), secret)
			assert.Contains(t, o.text("header")+o.text("stderr"), "XXXX")
		})
	}
	t.Run("where none is expected", func(t *testing.T) {
		for _, args := range []map[string]any{
			sh("true", "env", map[string]any{"A": bytes}), sh("true", "env", bytes), sh("true", "timeout", text),
			sh("true", "logfiles", text), sh("true", "logfiles", map[string]any{"l": bytes}),
			sh("true", "interruptSignal", text), sh("true", "max_lines", bytes),
		} {
			_, err := a.start(t, "one", "shell", args)
			if assert.Error(t, err) {
				assert.NotContains(t, err.Error(), secret)
			}
		}
		for _, to := range []*flavors.RemoteReference{a.mind, a.builders["one"]} {
			_, err := flavors.Call[any](t.Context(), to, "print", []any{text, map[string]any{"k": bytes}})
			require.NoError(t, err)
		}
		assert.NotContains(t, logged.everything(), secret)
	})
}

func TestPasswordIsHidden(t *testing.T) {
	if _, err := os.Stat("/proc/self/mem"); err != nil {
		t.Skip("there is no /proc")
	}
	const password = "sesame"
	m := listenOnly(t)
	flags := m.flags(m.url)
	w := startBinary(t, buildBinary(t), flags...)
	a := m.session()
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/", w.cmd.Process.Pid) + name)
		require.NoError(t, err)
		assert.NotContains(t, string(text), password, name)
	}
	o, err := a.do(t, "shell", sh("cat /proc/$PPID/cmdline /proc/$PPID/environ; env"))
	require.NoError(t, err)
	assert.NotContains(t, o.text("stdout"), password)
}
