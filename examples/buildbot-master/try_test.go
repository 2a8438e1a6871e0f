package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/graph"
)

// spectator is a client's watcher.
type spectator struct {
	flavors.Referenceable
	heard chan string
}

func (s *spectator) RemoteNewbuild(b *flavors.RemoteReference, name string) {
	s.heard <- "newbuild " + name
}

func (s *spectator) RemoteStepStarted(name string, b *flavors.RemoteReference, step string, _ any) {
	s.heard <- "started " + step
}

func (s *spectator) RemoteStepFinished(name string, b *flavors.RemoteReference, step string, _ any, results int) {
	s.heard <- fmt.Sprint("finished ", step, " ", results)
}

func request(t *testing.T, avatar *flavors.RemoteReference, names any) (*flavors.RemoteReference, error) {
	return flavors.Call[*flavors.RemoteReference](t.Context(), avatar, "try", nil, nil,
		jelly.Tuple{1, []byte("diff")}, nil, nil, names, nil, nil, nil)
}

func requestsOf(t *testing.T, set *flavors.RemoteReference) map[string]*flavors.RemoteReference {
	pairs, err := flavors.Call[[]jelly.Tuple](t.Context(), set, "getBuildRequests")
	require.NoError(t, err)
	requests := map[string]*flavors.RemoteReference{}
	for _, pair := range pairs {
		requests[pair[0].(string)] = pair[1].(*flavors.RemoteReference)
	}
	return requests
}

// TestInvalidTries wants arguments of wrong types refused by name, and the limits kept.
func TestInvalidTries(t *testing.T) {
	address, printed, _ := begin(t, "-worker", "w1=sesame", "-try", "anna=trypw", "-command", "true")
	avatar, err := enter(t, address, "anna", "trypw", nil)
	require.NoError(t, err)
	good := []any{nil, nil, jelly.Tuple{1, "diff"}, nil, nil, nil, nil, nil, nil}
	for name, c := range map[string]struct {
		arg   int
		value any
		want  string
	}{
		"branch":   {0, 7, "try, branch: "},
		"patch":    {2, 7, "try, patch: "},
		"triple":   {2, jelly.Tuple{1, "diff", 3}, "got 3 elements"},
		"level":    {2, jelly.Tuple{"one", "diff"}, "try, patch, level: "},
		"body":     {2, jelly.Tuple{1, 2}, "try, patch, body: "},
		"builders": {5, []any{1}, "try, builderNames: "},
		"who":      {6, []byte{0xff}, "try, who: "},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]any{}, good...)
			args[c.arg] = c.value
			_, err := flavors.Call[any](t.Context(), avatar, "try", args...)
			require.ErrorIs(t, err, flavors.TypeError)
			require.ErrorContains(t, err, c.want)
		})
	}
	none, err := request(t, avatar, []string{"w1", "w2"})
	require.NoError(t, err)
	require.Nil(t, none, "w2 is unknown")
	assert.NotContains(t, printed.String(), "try:")

	answer, err := flavors.Call[any](t.Context(), avatar, "try", nil, nil, nil, nil, nil, nil)
	require.NoError(t, err, "None for everything, and no optional arguments")
	require.NotNil(t, answer)
	for range maxRequests - 1 {
		_, err := request(t, avatar, []string{"w1", "w1"})
		require.NoError(t, err)
	}
	_, err = request(t, avatar, []string{"w1"})
	require.ErrorContains(t, err, "100 requests wait")
}

// TestTryWatchers subscribes and unsubscribes before and after a build.
func TestTryWatchers(t *testing.T) {
	address, _, _ := begin(t, "-worker", "w1=sesame", "-try", "anna=trypw", "-command", "true")
	avatar, err := enter(t, address, "anna", "trypw", nil)
	require.NoError(t, err)
	set, err := request(t, avatar, nil)
	require.NoError(t, err)
	r := requestsOf(t, set)["w1"]
	watcher := &spectator{heard: make(chan string, 100)}
	silent := &spectator{heard: make(chan string, 100)}
	call := func(ref *flavors.RemoteReference, method string, args ...any) error {
		_, err := flavors.Call[any](t.Context(), ref, method, args...)
		return err
	}
	require.ErrorIs(t, call(r, "subscribe", nil), flavors.TypeError)
	require.NoError(t, call(r, "subscribe", watcher))
	require.NoError(t, call(r, "subscribe", silent))
	require.NoError(t, call(r, "unsubscribe", silent))
	var more []*spectator
	for range maxWatchers - 1 {
		more = append(more, &spectator{heard: make(chan string, 100)})
		require.NoError(t, call(r, "subscribe", more[len(more)-1]))
	}
	require.ErrorContains(t, call(r, "subscribe", silent), "16 watchers")

	// The odd worker starts no build, so the build ends with an exception.
	_, err = enter(t, address, "w1", "sesame", &oddWorker{builder: &oddBuilder{busy: true}})
	require.NoError(t, err)
	assert.Equal(t, "newbuild w1", <-watcher.heard)
	assert.Empty(t, silent.heard)
}

// TestTryOfOddWorkers wants a worker's failures told as exceptions.
func TestTryOfOddWorkers(t *testing.T) {
	for name, c := range map[string]struct {
		builder *oddBuilder
		want    []string
		text    string
	}{
		"busy": {
			&oddBuilder{busy: true}, []string{"started worker_preparation", "finished worker_preparation 4"},
			"exception 'true' (exception)",
		},
		"no exit code": {
			&oddBuilder{updates: []any{}},
			[]string{
				"started worker_preparation", "finished worker_preparation 0",
				"started string_download", "finished string_download 2",
			},
			"failed 'true' (failure)",
		},
		"failure": {
			&oddBuilder{updates: []any{}, failure: flavors.FailureFrom(flavors.ValueError.New("the disk is full"))},
			[]string{
				"started worker_preparation", "finished worker_preparation 0",
				"started string_download", "finished string_download 4",
			},
			"exception 'true' (exception)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			address, _, _ := begin(t, "-worker", "w1=sesame", "-try", "anna=trypw", "-command", "true")
			_, err := enter(t, address, "w1", "sesame", &oddWorker{builder: c.builder})
			require.NoError(t, err)
			avatar, err := enter(t, address, "anna", "trypw", nil)
			require.NoError(t, err)
			b := firstBuild(t, avatar)
			same, err := flavors.Call[*flavors.RemoteReference](t.Context(), b, "waitUntilFinished")
			require.NoError(t, err)
			assert.Same(t, b, same)
			text, err := flavors.Call[[]string](t.Context(), b, "getText")
			require.NoError(t, err)
			assert.Equal(t, []string{c.text}, text)
			watcher := &spectator{heard: make(chan string, 100)}
			_, err = flavors.Call[any](t.Context(), b, "subscribe", watcher, 20)
			require.NoError(t, err)
			for _, want := range c.want {
				assert.Equal(t, want, <-watcher.heard)
			}
			again, err := flavors.Call[*flavors.RemoteReference](t.Context(), b, "waitUntilFinished")
			require.NoError(t, err)
			assert.Same(t, b, again)
		})
	}
}

// collector receives builds.
type collector struct {
	flavors.Referenceable
	builds chan *flavors.RemoteReference
}

func (c *collector) RemoteNewbuild(b *flavors.RemoteReference, _ string) { c.builds <- b }

// firstBuild requests a try of w1 and waits for its build.
func firstBuild(t *testing.T, avatar *flavors.RemoteReference) *flavors.RemoteReference {
	t.Helper()
	set, err := request(t, avatar, nil)
	require.NoError(t, err)
	builds := &collector{builds: make(chan *flavors.RemoteReference, 1)}
	_, err = flavors.Call[any](t.Context(), requestsOf(t, set)["w1"], "subscribe", builds)
	require.NoError(t, err)
	return <-builds.builds
}

// TestStopDuringTry stops the master while a client waits for a build that does not end.
func TestStopDuringTry(t *testing.T) {
	address, _, _ := begin(t, "-worker", "w1=sesame", "-try", "anna=trypw", "-command", "true")
	worker := &slowWorker{builder: slowBuilder{report: make(chan *flavors.RemoteReference, 1)}}
	_, err := enter(t, address, "w1", "sesame", worker)
	require.NoError(t, err)
	avatar, err := enter(t, address, "anna", "trypw", nil)
	require.NoError(t, err)
	b := firstBuild(t, avatar)
	results, err := flavors.Call[any](t.Context(), b, "getResults")
	require.NoError(t, err)
	assert.Nil(t, results)
	<-worker.builder.report
	b.CallRemote("waitUntilFinished")
	require.NoError(t, b.Conn().(*broker.Conn).WaitSent(t.Context()))
	// The cleanup of begin wants the master to end without an error.
}

func TestPatchReader(t *testing.T) {
	p := &patchReader{rest: []byte(strings.Repeat("x", 100_000))}
	_, err := p.RemoteRead(0)
	require.ErrorIs(t, err, flavors.ValueError)
	var sizes []int
	for _, size := range []int{10, 1 << 40, 1 << 40, 5} {
		block, err := p.RemoteRead(size)
		require.NoError(t, err)
		sizes = append(sizes, len(block))
	}
	assert.Equal(t, []int{10, 64 << 10, 100_000 - 10 - 64<<10, 0}, sizes)
}

func TestResultText(t *testing.T) {
	for command, want := range map[string]string{
		"": "failed '' (failure)", "a": "failed 'a' (failure)", "a  b": "failed 'a b' (failure)",
		"a b c d": "failed 'a b ...' (failure)",
	} {
		assert.Equal(t, want, resultText(failure, command))
	}
}

// TestTriesAreGraphs passes hostile values as each argument.
func TestTriesAreGraphs(t *testing.T) {
	try := func(t graph.TB, v any) {
		printed := &strings.Builder{}
		graph.Within(t, 256<<20, func() {
			for i := range 9 {
				u := &tryUser{tries: newTries([]string{"w1"}, func() {}), out: printer{printed}}
				args := [9]any{2: jelly.Tuple{int64(1), "diff"}}
				args[i] = v
				_, _ = u.PerspectiveTry(args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7], args[8])
				args[2] = jelly.Tuple{v, v}
				_, _ = u.PerspectiveTry(args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7], args[8])
			}
		})
		assert.NotContains(t, printed.String(), "\x1b")
	}
	for name, v := range graph.Hostile() {
		t.Run(name, func(t *testing.T) { try(t, v) })
	}
	rapid.Check(t, func(rt *rapid.T) { try(rt, graph.Random(rapid.Uint64().Draw(rt, "seed"))) })
}
