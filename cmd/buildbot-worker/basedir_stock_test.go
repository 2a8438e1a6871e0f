//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/stock"
)

// restSite is a stock master with its REST API.
type restSite struct {
	*site
	address string
}

func newRestSite(t *testing.T) *restSite {
	s := &restSite{site: newSiteOf(t, "testdata/rest.cfg")}
	require.Eventually(t, func() bool {
		port, err := os.ReadFile(filepath.Join(s.dir, "api-port"))
		s.address = "127.0.0.1:" + string(port)
		return err == nil
	}, stock.Timeout, 50*time.Millisecond)
	return s
}

// get reads a list of the REST API.
func (s *restSite) get(path, list string) []map[string]any {
	s.t.Helper()
	status, text := page(s.t, s.address, "/api/v2/"+path)
	require.Equal(s.t, 200, status, text)
	var answer map[string]json.RawMessage
	require.NoError(s.t, json.Unmarshal([]byte(text), &answer))
	var found []map[string]any
	require.NoError(s.t, json.Unmarshal(answer[list], &found), text)
	return found
}

// workerPage waits until the worker is attached, or is not, and returns what the worker's page shows.
func (s *restSite) workerPage(attached bool) (w map[string]any) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		found := s.get("workers", "workers")
		require.Len(s.t, found, 1)
		w = found[0]
		connected, ok := w["connected_to"].([]any)
		configured, ok2 := w["configured_on"].([]any)
		return ok && ok2 && (len(connected) == 1) == attached && len(configured) == 1
	}, stock.Timeout, 50*time.Millisecond)
	return w
}

// built triggers a build and returns its results, with steps and logs.
func (s *restSite) built(number int) []string {
	s.t.Helper()
	s.run(stock.BuildbotProgram, "sendchange", "-m", "127.0.0.1:"+s.port, "-a", "change:changepw", "-W", "tester", "file")
	path := fmt.Sprintf("builders/1/builds/%d", number)
	var results []string
	require.Eventually(s.t, func() bool {
		if status, _ := page(s.t, s.address, "/api/v2/"+path); status != 200 {
			return false
		}
		build := s.get(path, "builds")[0]
		results = []string{fmt.Sprint(build["results"], " ", build["state_string"])}
		return build["complete"] == true
	}, 2*stock.Timeout, 100*time.Millisecond, "the build does not end")
	for _, step := range s.get(path+"/steps", "steps") {
		results = append(results, fmt.Sprint(step["number"], step["name"], step["results"], step["state_string"]))
		for _, log := range s.get(fmt.Sprintf("steps/%v/logs", step["stepid"]), "logs") {
			status, text := page(s.t, s.address, fmt.Sprintf("/api/v2/logs/%v/raw", log["logid"]))
			require.Equal(s.t, 200, status)
			results = append(results, log["name"].(string)+": "+varies.ReplaceAllString(text, "T"))
		}
	}
	return results
}

// varies are durations.
var varies = regexp.MustCompile(`elapsedTime=[0-9.]+|\d+ secs`)

// TestStockBasedir runs one base directory, which the stock create-worker made, with the stock worker, then with ours,
// and then with the stock worker again. The master sees the same worker, but for its version, and the same results.
func TestStockBasedir(t *testing.T) {
	s := newRestSite(t)
	base := filepath.Join(t.TempDir(), "it's a \"worker\"")
	s.run(stock.WorkerProgram, "create-worker", "--umask=0o27", "--numcpus=3", "--keepalive=30", "--allow-shutdown=signal",
		"--delete-leftover-dirs", base, "127.0.0.1:"+s.port, "w", `it's "sesame"`)
	info := filepath.Join(base, infoDir)
	require.NoError(t, os.WriteFile(filepath.Join(info, "admin"), []byte("Änna <anna@example.org>\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(info, "access_uri"), []byte("ssh://build1\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(info, "own"), []byte("two\nlines"), 0o600))
	before, err := os.ReadFile(filepath.Join(base, tacName))
	require.NoError(t, err)

	theirs := stock.Start(t, stock.WorkerProgram, "start", "--nodaemon", base)
	want := s.workerPage(true)
	wantResults := s.built(1)
	theirs.Stop()
	s.workerPage(false)

	ours := startBinary(t, buildBinary(t), "run", base)
	got := s.workerPage(true)
	gotResults := s.built(2)

	wantInfo, gotInfo := want["workerinfo"].(map[string]any), got["workerinfo"].(map[string]any)
	assert.Equal(t, "Änna <anna@example.org>\n", wantInfo["admin"])
	assert.True(t, strings.HasPrefix(fmt.Sprint(wantInfo["version"]), "3."), wantInfo["version"])
	assert.Equal(t, version, gotInfo["version"])
	delete(wantInfo, "version")
	delete(gotInfo, "version")
	assert.Equal(t, want, got)
	require.Greater(t, len(wantResults), 14)
	assert.Equal(t, wantResults, gotResults)

	now, err := os.ReadFile(filepath.Join(base, tacName))
	require.NoError(t, err)
	assert.Equal(t, before, now)
	require.NoError(t, ours.cmd.Process.Signal(os.Interrupt))
	require.NoError(t, ours.exit())
	s.workerPage(false)
	stock.Start(t, stock.WorkerProgram, "start", "--nodaemon", base)
	s.workerPage(true)
	assert.Equal(t, wantResults, s.built(3))
}
