//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// attach returns a scripted master that holds the worker's builder as $builder.
func attach(t *testing.T, shutdown func()) *pbtest.Scripted {
	rt := pbtest.NewRuntime(t)
	conn, p, err := pbtest.DialScripted(t, rt, (*wire.Peer).Host)
	require.NoError(t, err)
	b := &bot{rt: rt, basedir: t.TempDir(), shutdown: shutdown, builders: map[string]*builder{}}
	conn.Root().CallRemote("meet", b)
	p.Want(`[message 1 root meet 1 [tuple [remote $bot]] [dictionary]]`)
	p.Write(`[message 1 $bot setBuilderList 1 [tuple [list [list [unicode b] [unicode dir]]]] [dictionary]]`)
	p.Want(`[answer 1 [dictionary [[unicode b] [remote $builder]]]]`)
	return p
}

func TestInterrupt(t *testing.T) {
	p := attach(t, nil)
	p.Write(`[message 2 $builder startCommand 1 [tuple [remote 5] [unicode id] [unicode shell]
		[dictionary [[unicode command] [unicode "echo begun; sleep 600"]]]] [dictionary]]`)
	p.Want(`[answer 2 [None]]`)
	p.Want(`[message 2 5 update 1
		[tuple [list [list [dictionary [[unicode stdout] [unicode "begun\n"]]] 0]]] [dictionary]]`)
	p.Write(`[message 3 $builder interruptCommand 1 [tuple [unicode id] [unicode why]] [dictionary]]`,
		`[answer 2 [None]]`)
	p.Ignore(`[answer 3 [None]]`)
	p.Want(`[message 3 5 update 1 [tuple [list [list [dictionary [[unicode header] $text]] 0]]] [dictionary]]`)
	p.Write(`[answer 3 [None]]`)
	p.Want(`[message 4 5 update 1 [tuple [list [list [dictionary [[unicode rc] -1]] 0]]] [dictionary]]`)
	p.Write(`[answer 4 [None]]`)
	p.Want(`[message 5 5 complete 1 [tuple [None]] [dictionary]]`)
	p.Write(`[answer 5 [None]]`)
	p.Want(`[decref 5]`)
}

// TestSlowMaster: the output of a command arrives though the master takes longer for a piece than the command runs.
func TestSlowMaster(t *testing.T) {
	p := attach(t, nil)
	taken := filepath.Join(t.TempDir(), "taken")
	p.Write(fmt.Sprintf(`[message 2 $builder startCommand 1 [tuple [remote 5] [unicode id] [unicode shell]
		[dictionary [[unicode command] [unicode %q]]]] [dictionary]]`,
		"echo one; until test -e "+taken+"; do sleep .01; done; echo two"))
	p.Want(`[answer 2 [None]]`)
	p.Want(`[message 2 5 update 1
		[tuple [list [list [dictionary [[unicode stdout] [unicode "one\n"]]] 0]]] [dictionary]]`)
	require.NoError(t, os.WriteFile(taken, nil, 0o600))
	time.Sleep(2 * time.Second)
	p.Write(`[answer 2 [None]]`)
	p.Want(`[message 3 5 update 1
		[tuple [list [list [dictionary [[unicode stdout] [unicode "two\n"]]] 0]]] [dictionary]]`)
	p.Write(`[answer 3 [None]]`)
	p.Want(`[message 4 5 update 1 [tuple [list [list [dictionary [[unicode rc] 0]] 0]]] [dictionary]]`)
	p.Write(`[answer 4 [None]]`)
	p.Want(`[message 5 5 complete 1 [tuple [None]] [dictionary]]`)
	p.Write(`[answer 5 [None]]`)
	p.Want(`[decref 5]`)
}

func TestRefusedCommands(t *testing.T) {
	shutdown := make(chan struct{})
	p := attach(t, func() { close(shutdown) })
	const start = `[message 2 $builder startCommand 1 [tuple [remote 5] `
	p.Ignore(`[decref 5]`)
	p.Write(start + `[unicode id] [unicode glob] [dictionary]] [dictionary]]`)
	pbtest.WantError(t, p.Peer, 2, "buildbot_worker.base.UnknownCommand")
	p.Write(start + `[unicode id] [unicode shell] [dictionary]] [dictionary]]`)
	pbtest.WantError(t, p.Peer, 2, "builtins.ValueError")
	p.Write(start + `[reference 1 [list [dereference 1]]] [unicode shell] [dictionary]] [dictionary]]`)
	pbtest.WantAnyError(p.Peer, 2)
	p.Write(start + `[unicode id] [unicode shell]
		[dictionary [[unicode command] [reference 1 [list [unicode echo] [dereference 1]]]]]] [dictionary]]`)
	pbtest.WantError(t, p.Peer, 2, "builtins.TypeError")
	p.Write(`[message 3 $bot shutdown 1 [tuple] [dictionary]]`)
	p.Want(`[answer 3 [None]]`)
	<-shutdown
}

func TestIgnoredArguments(t *testing.T) {
	c, err := newCommand("/base", jelly.NewDict(
		jelly.Entry{Key: "command", Value: []any{"true"}}, jelly.Entry{Key: "workdir", Value: "build"},
		jelly.Entry{Key: "timeout", Value: int64(1200)}, jelly.Entry{Key: "maxTime", Value: nil},
		jelly.Entry{Key: "usePTY", Value: false}, jelly.Entry{Key: "logfiles", Value: jelly.NewDict()},
		jelly.Entry{Key: "interruptSignal", Value: "KILL"},
	))
	require.NoError(t, err)
	assert.Equal(t, []string{"timeout"}, c.ignored)
	assert.Equal(t, "/base/build", c.dir)
}

func TestFlags(t *testing.T) {
	assert.NoError(t, run(t.Context(), []string{"-help"}))
	assert.Error(t, run(t.Context(), []string{"-no-such-flag"}))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorContains(t, run(ended, []string{"-master", "http://x"}), "http")
}
