//go:build unix

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/freeport"
	"github.com/perspectivebroker/pb/internal/stock"
)

// site is a stock master in a directory of its own, with a stock worker and ours.
type site struct {
	t      *testing.T
	dir    string
	port   string
	master *stock.Process
	starts int
	bases  map[string]string // of the workers, by name
}

func newSite(t *testing.T) *site { return newSiteOf(t, "testdata/master.cfg") }

// newSiteOf starts a master with a configuration.
func newSiteOf(t *testing.T, cfg string) *site {
	stock.Require(t, stock.Buildbot)
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "master"), bases: map[string]string{}}
	for _, dir := range []string{"outcomes", "files"} {
		require.NoError(t, os.MkdirAll(filepath.Join(s.dir, dir), 0o755))
	}
	config, err := os.ReadFile(cfg)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "master.cfg"), config, 0o600))
	source := make([]byte, 3_000_000)
	for i := range source {
		source[i] = byte(i * i >> 7)
	}
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "big-source"), source, 0o600))
	s.port = strconv.Itoa(freeport.Port(t))
	t.Setenv("PB_PORT", s.port)
	t.Setenv("PB_DIR", s.dir)
	t.Setenv("PB_TEST_OWN", "the worker's own")
	s.run(stock.BuildbotProgram, "create-master", s.dir)
	s.begin()
	return s
}

// begin starts the master.
func (s *site) begin() {
	s.master = stock.Start(s.t, stock.BuildbotProgram, "start", "--nodaemon", s.dir)
	s.starts++
	s.awaitLog("BuildMaster is running", s.starts)
}

func (s *site) run(program string, args ...string) {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), program, args...).CombinedOutput()
	require.NoError(s.t, err, "%s", out)
}

// attachStock starts a stock worker.
func (s *site) attachStock() {
	base := filepath.Join(s.t.TempDir(), "worker")
	s.run(stock.WorkerProgram, "create-worker", base, "127.0.0.1:"+s.port, "stock", "sesame")
	s.bases["stock"] = base
	stock.Start(s.t, stock.WorkerProgram, "start", "--nodaemon", base)
	s.awaitLog("worker 'stock' attaching", 1)
}

// attachOurs runs our worker in this process.
func (s *site) attachOurs() {
	base := s.t.TempDir()
	s.bases["ours"] = base
	// Handle SIGINT as main does: a test that was started in the background ignores it, and commands would inherit
	// that.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-master", "pb://127.0.0.1:" + s.port, "-name", "ours", "-password", "sesame",
			"-basedir", base})
	}()
	s.t.Cleanup(func() {
		stop()
		assert.NoError(s.t, <-ended)
	})
	s.awaitLog("worker 'ours' attaching", 1)
}

// awaitLog waits until the master's log contains text so many times.
func (s *site) awaitLog(text string, times int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		log, err := os.ReadFile(filepath.Join(s.dir, "twistd.log"))
		return err == nil && strings.Count(string(log), text) >= times
	}, stock.Timeout, 50*time.Millisecond, "the master's log does not have %q %d times", text, times)
}

// build triggers the builders of one kind, one for each worker.
func (s *site) build(kind string) {
	s.t.Helper()
	s.run(
		stock.BuildbotProgram,
		"sendchange",
		"-m",
		"127.0.0.1:"+s.port,
		"-a",
		"change:changepw",
		"-W",
		"tester",
		"-c",
		kind,
		"-C",
		kind,
		"file",
	)
}

// outcome is the result of a build. State texts are left out, because the master may write them later.
type outcome struct {
	Results int    `json:"results"`
	Steps   []step `json:"steps"`
}

type step struct {
	Name    string                       `json:"name"`
	Results int                          `json:"results"`
	Logs    map[string]map[string]string `json:"logs"` // by name and stream
}

// await waits for the outcome of a build.
func (s *site) await(kind, worker string, number int) outcome {
	s.t.Helper()
	path := filepath.Join(s.dir, "outcomes", fmt.Sprintf("%s-%s-%d.json", kind, worker, number))
	var text []byte
	require.Eventually(s.t, func() bool {
		var err error
		text, err = os.ReadFile(path)
		return err == nil
	}, 150*time.Second, 50*time.Millisecond, "%s on %s does not end", kind, worker)
	varying := strings.NewReplacer(
		s.bases[worker],
		"BASE",
		kind+"-"+worker,
		kind+"-NAME",
		"files/"+worker,
		"files/NAME",
		"worker "+worker+" ready",
		"worker NAME ready",
	)
	var o outcome
	require.NoError(
		s.t,
		json.Unmarshal(elapsed.ReplaceAll([]byte(varying.Replace(string(text))), []byte("elapsedTime=T")), &o),
	)
	for i := range o.Steps {
		o.Steps[i].settle()
	}
	return o
}

var elapsed = regexp.MustCompile(`elapsedTime=[0-9.]+`)

var harness = regexp.MustCompile(`(?m)^  PYTHON[A-Z]+=.*\n`)

// settle removes what only a Python worker has, such as tracebacks.
func (s *step) settle() {
	for name := range s.Logs {
		if strings.HasPrefix(name, "err.") {
			s.Logs[name] = nil
		}
	}
	// These come from the test's environment.
	if header, ok := s.Logs["stdio"]["h"]; ok && s.Name == "environ" {
		s.Logs["stdio"]["h"] = harness.ReplaceAllString(header, "")
	}
	if s.Name == "missing" {
		delete(s.Logs["stdio"], "e")
	}
}

func (s *site) compare(kind string) {
	s.t.Helper()
	theirs, ours := s.await(kind, "stock", 1), s.await(kind, "ours", 1)
	require.Len(s.t, ours.Steps, len(theirs.Steps))
	require.Greater(s.t, len(theirs.Steps), 1, "besides the master's own")
	for i, step := range theirs.Steps {
		assert.Equal(s.t, step, ours.Steps[i], "step %s of %s", step.Name, kind)
	}
	theirs.Steps, ours.Steps = nil, nil
	assert.Equal(s.t, theirs, ours)
}

// checkBig checks fifty megabytes of output itself, because both workers might lose the same part.
func (s *site) checkBig() {
	s.t.Helper()
	s.compare("big")
	var text strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&text, "%0999d\n", i+1)
	}
	ours := s.await("big", "ours", 1)
	last := ours.Steps[len(ours.Steps)-1]
	require.Equal(s.t, "big", last.Name)
	assert.Equal(s.t, 0, last.Results)
	// The output's last line has no newline. The log has one, which does not count.
	want := fmt.Sprintf("%d characters, sha256 %x", text.Len()-1, sha256.Sum256([]byte(text.String()[:text.Len()-1])))
	assert.Equal(s.t, want, last.Logs["stdio"]["o"])
}

// TestStockMaster runs the same builds of a stock master on a stock worker and on ours.
func TestStockMaster(t *testing.T) {
	s := newSite(t)
	s.attachStock()
	s.attachOurs()
	kinds := []string{"shell", "limits", "files", "interrupt", "exception", "quick"}
	for _, kind := range kinds {
		s.build(kind)
	}
	s.build("big")
	for _, kind := range kinds {
		s.compare(kind)
	}
	s.checkBig()
	theirs, ours := tree(t, filepath.Join(s.dir, "files", "stock")), tree(t, filepath.Join(s.dir, "files", "ours"))
	assert.Greater(t, len(theirs), 15)
	assert.Equal(t, theirs, ours, "uploaded files")

	// The master is killed while a command runs, and restarted.
	s.build("interrupt")
	s.awaitLog("echo begun", 3)
	s.master.Kill()
	s.begin()
	s.awaitLog("worker 'ours' attaching", 2)
	s.build("quick")
	again := s.await("quick", "ours", 2)
	assert.Equal(t, 0, again.Results)
}

// tree describes the files below a directory: mode, length, content, and the time if it was kept.
func tree(t *testing.T, root string) map[string]string {
	found := map[string]string{}
	require.NoError(t, filepath.Walk(root, func(path string, about os.FileInfo, err error) error {
		require.NoError(t, err)
		name, err := filepath.Rel(root, path)
		require.NoError(t, err)
		found[name] = about.Mode().String()
		switch {
		case about.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			require.NoError(t, err)
			found[name] += " -> " + target
		case about.Mode().IsRegular():
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			found[name] += fmt.Sprintf(" %d %.100q", len(text), text)
			if name == "blob" {
				found[name] += about.ModTime().String()
			}
		}
		return nil
	}))
	return found
}
