//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
)

const (
	// soakBuilders is the number of builds per change.
	soakBuilders = 10
	// soakGrowth limits the growth of the worker's heap between the first tenth of the builds and the last, in KiB. The
	// registry of the actor system takes 2.5 for each of its first actors (see docs/buildbot.md).
	soakGrowth = 6 << 10
)

// TestStockSoak runs random builds of a stock master on the worker as a process. Halfway it kills and restarts the
// master. It needs PB_SOAK=1, because a thousand builds take ten minutes; PB_BUILDS and PB_SEED choose the number and
// the steps.
func TestStockSoak(t *testing.T) {
	stock.Require(t)
	builds, seed := 2*soakBuilders, os.Getenv("PB_SEED")
	if os.Getenv("PB_SOAK") != "" {
		builds = 1000
	}
	if n := os.Getenv("PB_BUILDS"); n != "" {
		var err error
		builds, err = strconv.Atoi(n)
		require.NoError(t, err)
	}
	if seed == "" {
		seed = "1"
	}
	t.Setenv("PB_SEED", seed)
	t.Setenv("PB_BUILDERS", strconv.Itoa(soakBuilders))
	s := newSiteOf(t, "testdata/soak.cfg")
	ours := startBinary(
		t,
		buildBinary(t),
		"-master",
		"pb://127.0.0.1:"+s.port,
		"-name",
		"ours",
		"-password",
		"sesame",
		"-basedir",
		t.TempDir(),
	)
	s.awaitLog("worker 'ours' attaching", 1)

	t.Logf("seed %s, %d builds", seed, builds)
	t.Log("builds | steps | RSS KiB | peak KiB | heap KiB | goroutines | fds | threads")
	t.Logf("%d | %d | %s", 0, 0, ours.footprint())
	var early, late footprint
	restarted := false
	changes := s.sender()
	looked := 0 // outcomes seen
	for done := 0; done < builds; {
		// Sending the next change while builds run keeps the worker busy.
		if sent := changes.sent * soakBuilders; sent < builds && sent-done <= soakBuilders {
			changes.send()
			continue
		}
		outcomes := s.soaked(done + 1)
		for _, o := range outcomes[looked:] {
			assert.Empty(t, o.Wrong, "build %d of %s", o.Number, o.Builder)
		}
		looked = len(outcomes)
		before := done
		done = requested(outcomes)
		if done >= builds/2 && !restarted {
			restarted = true
			// The master would lose a change that is not a build request yet.
			s.awaitLog("added buildset", changes.sent)
			s.master.Kill()
			s.begin()
			s.awaitLog("worker 'ours' attaching", 2)
			changes = s.sender(changes.sent)
			t.Log("the master was killed and started again")
		}
		if tenth := max(1, builds/10); done/tenth > before/tenth {
			late = ours.footprint()
			if early == (footprint{}) {
				early = late
			}
			steps := 0
			for _, o := range outcomes {
				steps += o.Steps
			}
			t.Logf("%d | %d | %s", done, steps, late)
		}
	}
	assert.Less(t, late.heap, early.heap+soakGrowth, "it grows")
	assert.Less(t, late.goroutine, early.goroutine+20, "goroutines are left")
	assert.Less(t, late.fds, early.fds+20, "files are left open")
}

// soaked is a line of the master's builds.txt.
type soaked struct {
	Builder string
	Number  int
	Request int
	Results int
	Steps   int
	Wrong   []string
}

// retry is the result of a build that was interrupted and restarted.
const retry = 5

// soaked waits until that many requests have been built, and returns the builds without those that the master's end cut
// short.
func (s *site) soaked(least int) (ended []soaked) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		text, err := os.ReadFile(filepath.Join(s.dir, "builds.txt"))
		if err != nil {
			return false
		}
		ended = nil
		for line := range bytes.Lines(text) {
			var one soaked
			if json.Unmarshal(line, &one) == nil && one.Results != retry {
				ended = append(ended, one)
			}
		}
		return requested(ended) >= least
	}, 5*stock.Timeout, 50*time.Millisecond, "there are no %d builds", least)
	return ended
}

// requested counts the requests that builds have fulfilled. A master that is killed between the end of a build and that
// of its request builds again.
func requested(builds []soaked) int {
	requests := map[int]bool{}
	for _, b := range builds {
		requests[b.Request] = true
	}
	return len(requests)
}

// sender sends changes as buildbot sendchange does, without starting Python.
type sender struct {
	s      *site
	avatar *flavors.RemoteReference
	sent   int
}

func (s *site) sender(sent ...int) *sender {
	rt := pbtest.NewRuntime(s.t)
	conn, err := broker.Dial(s.t.Context(), rt, "pb://127.0.0.1:"+s.port)
	require.NoError(s.t, err)
	avatar, err := conn.Login(s.t.Context(), cred.UsernamePassword{Username: "change", Password: "changepw"}, nil)
	require.NoError(s.t, err)
	c := &sender{s: s, avatar: avatar}
	for _, n := range sent {
		c.sent += n
	}
	return c
}

func (c *sender) send() {
	c.s.t.Helper()
	change := map[string]any{"who": "tester", "comments": "soak", "files": []any{"file"}, "revision": strconv.Itoa(c.sent),
		"project": "", "repository": "", "codebase": nil, "branch": nil, "category": nil,
		"when": nil, "properties": map[string]any{}, "revlink": "", "src": nil}
	_, err := flavors.Call[any](c.s.t.Context(), c.avatar, "addChange", change)
	require.NoError(c.s.t, err)
	c.sent++
}
