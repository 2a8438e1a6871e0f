//go:build unix

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	// soakGrowth limits the growth of the worker's heap between the first tenth of the builds and the last, in KiB. Up to
	// four builds run when it is measured.
	soakGrowth = 2 << 10
)

// TestStockSoak runs random builds of a stock master on the worker as a process. At random moments it kills and
// restarts the master. It needs PB_SOAK=1, because a thousand builds take ten minutes; PB_BUILDS and PB_SEED choose the
// number and the steps. With PB_SOAK_STOCK=1 the worker is the stock one, to compare what both lose.
func TestStockSoak(t *testing.T) {
	stock.Require(t)
	builds, seed := 2*soakBuilders, cmp.Or(os.Getenv("PB_SEED"), "1")
	if os.Getenv("PB_SOAK") != "" {
		builds = 1000
	}
	if n := os.Getenv("PB_BUILDS"); n != "" {
		var err error
		builds, err = strconv.Atoi(n)
		require.NoError(t, err)
	}
	t.Setenv("PB_SEED", seed)
	t.Setenv("PB_BUILDERS", strconv.Itoa(soakBuilders))
	s := newSiteOf(t, "testdata/soak.cfg")
	var ours *binary
	if os.Getenv("PB_SOAK_STOCK") == "" {
		ours = startBinary(t, buildBinary(t), "-master", "pb://127.0.0.1:"+s.port, "-name", "ours", "-password", "sesame",
			"-basedir", t.TempDir())
	} else {
		base := filepath.Join(t.TempDir(), "worker")
		s.run(stock.WorkerProgram, "create-worker", base, "127.0.0.1:"+s.port, "ours", "sesame")
		stock.Start(t, stock.WorkerProgram, "start", "--nodaemon", base)
	}
	s.awaitLog("worker 'ours' attaching", 1)

	random := rand.New(rand.NewPCG(1, uint64(builds)))
	for _, b := range seed {
		random = rand.New(rand.NewPCG(random.Uint64(), uint64(b)))
	}
	kills := s.killTimes(random, builds)
	t.Logf("seed %s, %d builds; the master is killed after about %v", seed, builds, kills)
	f := &soakFigures{t: t, ours: ours}
	f.note(0, nil)
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
		if len(kills) > 0 && done >= kills[0] {
			kills = kills[1:]
			// The master would lose a change that is not a build request yet.
			s.awaitLog("added buildset", changes.sent)
			time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond) // the moment is random
			s.master.Kill()
			s.begin()
			s.awaitAttached()
			changes = s.sender(changes.sent)
			t.Log("the master was killed and started again")
		}
		if tenth := max(1, builds/10); done/tenth > before/tenth {
			f.note(done, outcomes)
		}
	}
	// The master that starts again gives what its end cut short the result retry.
	t.Logf("builds by result: %s", s.results())
	assert.Zero(t, s.retried(), "builds lost with their connection while the master ran")
	f.check()
}

// killTimes chooses after how many builds to kill the master: once in a short run, else once in forty builds.
func (s *site) killTimes(random *rand.Rand, builds int) []int {
	times := make([]int, max(1, builds/40))
	for i := range times {
		times[i] = builds/10 + random.IntN(builds*8/10)
	}
	slices.Sort(times)
	return times
}

// awaitAttached waits until the worker has attached to the last master. The stock worker waits for up to a minute
// between attempts.
func (s *site) awaitAttached() {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		log, err := os.ReadFile(filepath.Join(s.dir, "twistd.log"))
		return err == nil && bytes.Count(log, []byte("worker 'ours' attaching")) >= s.starts
	}, 5*stock.Timeout, 50*time.Millisecond, "the worker does not attach again")
}

// results counts the builds in the master's database by their result.
func (s *site) results() string {
	script := "import sqlite3; print(dict(sqlite3.connect('file:state.sqlite?mode=ro', uri=True)." +
		"execute('select results, count(*) from builds group by results').fetchall()))"
	cmd := exec.CommandContext(s.t.Context(), "/usr/bin/python3", "-c", script)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	assert.NoError(s.t, err, "%s", out)
	return strings.TrimSpace(string(out))
}

// soakFigures are the footprints of our worker in a soak.
type soakFigures struct {
	t           *testing.T
	ours        *binary // nil if the worker is the stock one
	early, late footprint
}

// note logs the footprint after so many builds.
func (f *soakFigures) note(done int, outcomes []soaked) {
	if f.ours == nil {
		f.t.Logf("%d builds", done)
		return
	}
	now := f.ours.footprint()
	if done == 0 {
		f.t.Log("builds | steps | RSS KiB | peak KiB | heap KiB | goroutines | fds | threads")
	} else if f.late = now; f.early == (footprint{}) {
		f.early = now
	}
	steps := 0
	for _, o := range outcomes {
		steps += o.Steps
	}
	f.t.Logf("%d | %d | %s", done, steps, now)
}

// check wants no growth between the first tenth of the builds and the last.
func (f *soakFigures) check() {
	assert.Less(f.t, f.late.heap, f.early.heap+soakGrowth, "it grows")
	assert.Less(f.t, f.late.goroutine, f.early.goroutine+20, "goroutines are left")
	assert.Less(f.t, f.late.fds, f.early.fds+20, "files are left open")
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

// retried counts the builds that ended with retry.
func (s *site) retried() int {
	text, err := os.ReadFile(filepath.Join(s.dir, "builds.txt"))
	require.NoError(s.t, err)
	n := 0
	for line := range bytes.Lines(text) {
		var one soaked
		if json.Unmarshal(line, &one) == nil && one.Results == retry {
			n++
		}
	}
	return n
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
