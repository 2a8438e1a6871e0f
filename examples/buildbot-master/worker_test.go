package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/graph"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// oddWorker is a worker that deviates from the stock one.
type oddWorker struct {
	flavors.Referenceable
	mute       bool        // fails getWorkerInfo
	noBuilders bool        // returns no builders
	builder    *oddBuilder // the builder that it returns
	told       chan string // the master's calls
	asked      []string    // methods called; used in its turn only
}

func (w *oddWorker) RemoteGetWorkerInfo() (map[string]any, error) {
	w.asked = append(w.asked, "info")
	if w.mute {
		return nil, flavors.ValueError.New("ask somebody else")
	}
	return map[string]any{"version": "odd"}, nil
}

func (w *oddWorker) RemoteSetBuilderList([]any) (map[string]any, error) {
	w.asked = append(w.asked, "builders")
	if w.noBuilders {
		return map[string]any{}, nil
	}
	if w.builder == nil {
		return nil, flavors.ValueError.New("no room")
	}
	return map[string]any{builderName: w.builder}, nil
}

func (w *oddWorker) RemoteShutdown() { w.told <- "shutdown" }

// oddBuilder runs nothing and makes the given reports.
type oddBuilder struct {
	flavors.Referenceable
	busy    bool
	updates []any
	failure any
}

func (b *oddBuilder) RemoteStartBuild() error {
	if b.busy {
		return flavors.RuntimeError.New("busy")
	}
	return nil
}

func (b *oddBuilder) RemoteStartCommand(
	inv *flavors.Invocation,
	report *flavors.RemoteReference,
	_, _ string,
	_ any,
) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	inv.Conn().Runtime().Go("odd command", func() {
		_, err := flavors.Call[any](inv.Context(), report, "update", b.updates)
		if err == nil {
			_, err = flavors.Call[any](inv.Context(), report, "complete", b.failure)
		}
		d.Complete(nil, err)
	})
	return d
}

// enter logs in at the master.
func enter(t *testing.T, address, user, password string, mind any) (*flavors.RemoteReference, error) {
	t.Helper()
	rt := pbtest.NewRuntime(t)
	conn, err := broker.Dial(t.Context(), rt, "pb://"+address)
	require.NoError(t, err)
	return conn.Login(t.Context(), cred.UsernamePassword{Username: user, Password: cred.Secret(password)}, mind)
}

// TestOddWorkers wants deviating workers refused. They may try again.
func TestOddWorkers(t *testing.T) {
	address, printed, _ := begin(t, "-worker", "w1=sesame")
	_, err := enter(t, address, "w1", "sesame", nil)
	require.ErrorIs(t, err, flavors.UnauthorizedLogin, "a worker must bring a mind")
	for name, c := range map[string]struct {
		worker *oddWorker
		asked  []string
	}{
		"it does not say what it is": {&oddWorker{mute: true}, []string{"info"}},
		"it takes no orders":         {&oddWorker{}, []string{"info", "builders"}},
		"it gives no builder":        {&oddWorker{noBuilders: true}, []string{"info", "builders"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := enter(t, address, "w1", "sesame", c.worker)
			require.ErrorIs(t, err, flavors.UnauthorizedLogin)
			_, err = c.worker.Do(func() { assert.Equal(t, c.asked, c.worker.asked) }).Await(t.Context())
			require.NoError(t, err)
		})
	}
	worker := &oddWorker{builder: &oddBuilder{}, told: make(chan string, 1)}
	avatar, err := enter(t, address, "w1", "sesame", worker)
	require.NoError(t, err, "the name is free again")
	_, err = enter(t, address, "w1", "sesame", &oddWorker{builder: &oddBuilder{}})
	require.ErrorIs(t, err, flavors.UnauthorizedLogin, "one worker of a name")
	_, err = flavors.Call[any](t.Context(), avatar, "keepalive")
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), avatar, "shutdown")
	require.NoError(t, err)
	assert.Equal(t, "shutdown", <-worker.told)
	assert.NotContains(t, printed.String(), "w1:", "no command was given")
}

// TestOddUpdates wants unknown updates skipped, and a worker's failure printed.
func TestOddUpdates(t *testing.T) {
	for name, c := range map[string]struct {
		builder *oddBuilder
		want    string
	}{
		"the builder is busy": {&oddBuilder{busy: true}, "w1: cannot start the command: "},
		"odd pairs": {&oddBuilder{updates: []any{
			[]any{}, []any{"no dictionary", 0}, []any{map[string]any{"stdout": "one\ntwo", "elapsed": 1},
				0}, []any{map[string]any{"rc": 4}, 0},
		}}, "w1: one\nw1: two\nw1: exit 4\n"},
		"a line too long to be waited for": {&oddBuilder{updates: []any{
			[]any{map[string]any{"stdout": strings.Repeat("ü", maxLine/2) + "x"},
				0}, []any{map[string]any{"stdout": "y\x1b[2J\n", "rc": 4}, 0},
		}}, "w1: " + strings.Repeat("ü", maxLine/2) + "\nw1: xy [2J\nw1: exit 4\n"},
		"no exit code": {&oddBuilder{updates: []any{}}, "w1: exit -1\n"},
		"a failure": {&oddBuilder{updates: []any{},
			failure: flavors.FailureFrom(flavors.ValueError.New("the disk is full"))}, "the disk is full\nw1: exit -1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			address, printed, _ := begin(t, "-worker", "w1=sesame", "-command", "true")
			_, err := enter(t, address, "w1", "sesame", &oddWorker{builder: c.builder})
			require.NoError(t, err)
			printed.await(t, c.want)
		})
	}
}

// slowBuilder does not complete its command.
type slowBuilder struct {
	flavors.Referenceable
	report chan *flavors.RemoteReference
}

func (b *slowBuilder) RemoteStartBuild() {}

func (b *slowBuilder) RemoteStartCommand(report *flavors.RemoteReference, _, _ string, _ any) {
	b.report <- report
}

// slowWorker has a slowBuilder.
type slowWorker struct {
	flavors.Referenceable
	builder slowBuilder
}

func (w *slowWorker) RemoteGetWorkerInfo() map[string]any { return map[string]any{} }

func (w *slowWorker) RemoteSetBuilderList([]any) map[string]any {
	return map[string]any{builderName: &w.builder}
}

// TestWorkerThatLeft logs out during its command and keeps the connection: the command is lost, its updates are not
// printed, and another worker of that name may attach.
func TestWorkerThatLeft(t *testing.T) {
	address, printed, _ := begin(t, "-worker", "w1=sesame", "-command", "true")
	worker := &slowWorker{builder: slowBuilder{report: make(chan *flavors.RemoteReference, 1)}}
	avatar, err := enter(t, address, "w1", "sesame", worker)
	require.NoError(t, err)
	report := <-worker.builder.report
	update := func(text string) error {
		_, err := flavors.Call[any](t.Context(), report, "update", []any{[]any{map[string]any{"stdout": text}, 0}})
		return err
	}
	require.NoError(t, update("here\n"))
	avatar.Conn().(*broker.Conn).Logout(avatar)
	printed.await(t, "w1: lost before the command has ended\n")
	require.ErrorIs(t, update("from beyond\n"), flavors.PBError)
	_, err = enter(
		t,
		address,
		"w1",
		"sesame",
		&slowWorker{builder: slowBuilder{report: make(chan *flavors.RemoteReference, 1)}},
	)
	require.NoError(t, err)
	require.NotContains(t, printed.String(), "beyond")
}

// TestUpdatesAreGraphs passes hostile updates, and checks what is printed, kept and allocated.
func TestUpdatesAreGraphs(t *testing.T) {
	try := func(t graph.TB, v any) {
		printed := &strings.Builder{}
		r := &report{master: &master{out: printer{printed}}, name: "w1", rest: map[string]string{}}
		graph.Within(t, 256<<20, func() {
			for _, key := range []any{"stdout", "stderr", "rc", "log", v} {
				_ = r.RemoteUpdate([][]any{{jelly.NewDict(jelly.Entry{Key: key, Value: v}), int64(0)}})
			}
			for _, field := range []string{"who", "comments", "files"} {
				_ = (&sender{out: r.master.out}).PerspectiveAddChange(jelly.NewDict(jelly.Entry{Key: field, Value: v}))
			}
		})
		assert.LessOrEqual(t, len(r.rest["stdout"]), maxLine)
		assert.NotContains(t, printed.String(), "\x1b")
	}
	for name, v := range graph.Hostile() {
		t.Run(name, func(t *testing.T) { try(t, v) })
	}
	long := strings.Repeat("x", 600_000)
	many := make([]any, 100_000)
	for i := range many {
		many[i] = long
	}
	t.Run("one long name many times", func(t *testing.T) { try(t, many) })
	rapid.Check(t, func(rt *rapid.T) { try(rt, graph.Random(rapid.Uint64().Draw(rt, "seed"))) })
	r := &report{master: &master{out: printer{io.Discard}}, name: "w1", rest: map[string]string{}}
	news := []any{jelly.NewDict(jelly.Entry{Key: "stdout", Value: long}), int64(0)}
	updates := make([][]any, 100_000)
	for i := range updates {
		updates[i] = news
	}
	graph.Within(t, 256<<20, func() { assert.ErrorIs(t, r.RemoteUpdate(updates), flavors.ValueError) })
}

// TestOddChanges wants missing keys empty, and wrong types refused by name.
func TestOddChanges(t *testing.T) {
	address, printed, _ := begin(t, "-change-user", "change=changepw")
	avatar, err := enter(t, address, "change", "changepw", nil)
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), avatar, "addChange", map[string]any{"who": nil, "files": []string{"a"}})
	require.NoError(t, err)
	printed.await(t, "change: : : a\n")
	_, err = flavors.Call[any](
		t.Context(),
		avatar,
		"addChange",
		map[string]any{"who": "w\r\x1b[2J", "comments": "one\ntwo\tthree ü", "files": []string{"a\x00"}},
	)
	require.NoError(t, err)
	printed.await(t, "change: w  [2J: one two three ü: a \n")
	_, err = flavors.Call[any](t.Context(), avatar, "addChange", map[string]any{"files": 7})
	require.ErrorContains(t, err, "addChange, files: ")
	require.ErrorIs(t, err, flavors.TypeError)
}
