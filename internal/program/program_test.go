package program

import (
	"errors"
	"flag"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/cred"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPasswords(t *testing.T) {
	users := Passwords{}
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(t.Output())
	flags.Var(users, "cred", "a user")
	require.NoError(t, flags.Parse([]string{"-cred", "ann=a=b", "-cred", "bob="}))
	assert.Equal(t, Passwords{"ann": cred.Plaintext("a=b"), "bob": cred.Plaintext("")}, users)
	assert.Equal(t, "2 users", users.String())
	for _, bad := range []string{"ann", "=secret", ""} {
		assert.ErrorContains(t, flags.Parse([]string{"-cred", bad}), "USER=PASSWORD", bad)
	}
}

func TestParse(t *testing.T) {
	for want, args := range map[string][]string{
		"":                     {"-group", "lobby"},
		"argument \"lobby\":":  {"lobby", "-group", "lobby"},
		"argument \"x\":":      {"-group", "lobby", "x"},
		"provided but not def": {"-nonsense"},
		"help requested":       {"-h"},
	} {
		flags := flag.NewFlagSet("test", flag.ContinueOnError)
		flags.SetOutput(t.Output())
		flags.String("group", "", "a group")
		if err := Parse(flags, args); want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, want)
		}
	}
}

func TestWithRuntime(t *testing.T) {
	var rt *actor.Runtime
	err := WithRuntime(func(r *actor.Runtime) error { rt = r; return errors.New("no luck") })
	require.EqualError(t, err, "no luck")
	<-rt.Closing()
}
