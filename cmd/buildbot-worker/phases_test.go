//go:build unix

package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/flavors"
)

// phase is a moment of a worker's life at which its master fails.
type phase string

const (
	inLogin          phase = "in login"
	afterPrint       phase = "after print"
	afterWorkerInfo  phase = "after getWorkerInfo"
	afterBuilderList phase = "after setBuilderList"
	inStartBuild     phase = "in startBuild"
	inCommand        phase = "in a command"
	inOutput         phase = "in a command's output"
	inUpload         phase = "in an upload"
	inDownload       phase = "in a download"
	askedForShutdown phase = "asked for a shutdown"
	inShutdown       phase = "in shutdown"
)

// failingFile is the master's end of a transfer. It fails in the first call.
type failingFile struct {
	flavors.Referenceable
	fail func()
}

func (f *failingFile) RemoteWrite([]byte) { f.fail() }

func (f *failingFile) RemoteRead(int) []byte {
	f.fail()
	return []byte("block")
}

func (*failingFile) RemoteClose() {}

// TestMasterFailsInEveryPhase has a master vanish, restart or fall silent in each phase of a session. The worker must
// kill what runs, attach again, and run commands.
func TestMasterFailsInEveryPhase(t *testing.T) {
	login, interval := loginTime, shutdownInterval
	loginTime, shutdownInterval = 5*time.Second, 10*time.Millisecond
	t.Cleanup(func() { loginTime, shutdownInterval = login, interval })
	for name, fail := range map[string]func(*blackHole){
		"vanishes":  func(h *blackHole) { h.cut(0) },
		"restarts":  func(h *blackHole) { h.cut(3) },
		"is silent": (*blackHole).swallow,
	} {
		for _, at := range []phase{
			inLogin, afterPrint, afterWorkerInfo, afterBuilderList, inStartBuild, inCommand, inOutput, inUpload,
			inDownload, askedForShutdown, inShutdown,
		} {
			t.Run(name+" "+string(at), func(t *testing.T) {
				t.Parallel()
				masterFails(t, at, fail)
			})
		}
	}
}

func masterFails(t *testing.T, at phase, how func(*blackHole)) {
	m := listenOnly(t)
	h := newBlackHole(t, m.url)
	var once sync.Once
	fail := func() { once.Do(func() { how(h) }) }
	m.reach = func(now phase) {
		if now == at {
			fail()
		}
	}
	stamp := filepath.Join(m.base, shutdownFile)
	require.NoError(t, os.WriteFile(stamp, nil, 0o600))
	past := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(stamp, past, past))
	m.attach(h.url, "-maxdelay", "20ms", "-keepalive", "1s", "-patience", "3s", "-allow-shutdown", "file")
	pid := 0
	switch at {
	case inLogin, afterPrint, afterWorkerInfo:
		m.works()
		return
	case afterBuilderList:
		m.session() // the lost one
	case inStartBuild:
		a := m.session()
		a.builders["one"].CallRemote("startBuild")
	case inCommand:
		m.inSession(func(a *testAvatar) (err error) {
			_, pid, err = m.tryProcess(a, "one")
			return err
		})
	case inOutput:
		m.inSession(func(a *testAvatar) error {
			o, err := a.start(t, "one", "shell", sh("yes"))
			if err != nil {
				return err
			}
			return a.await(t, o.heard)
		})
	case inUpload:
		m.inSession(func(a *testAvatar) error {
			require.NoError(t, os.WriteFile(filepath.Join(m.base, "dir-one", "f"), make([]byte, 100_000), 0o600))
			_, err := a.start(t, "one", "uploadFile", map[string]any{
				"workdir": "", "workersrc": "f", "writer": &failingFile{fail: fail}, "maxsize": nil, "blocksize": 1000,
			})
			return err
		})
	case inDownload:
		m.inSession(func(a *testAvatar) error {
			_, err := a.start(t, "one", "downloadFile", map[string]any{
				"workdir": "", "workerdest": "g", "reader": &failingFile{fail: fail}, "maxsize": nil, "blocksize": 1000,
				"mode": nil,
			})
			return err
		})
	case askedForShutdown:
		touched := past
		m.inSession(func(a *testAvatar) error {
			if err := a.await(t, a.keepalives); err != nil { // Then the worker knows that it is attached.
				return err
			}
			// An earlier time than the last one, as after a step of the clock.
			touched = touched.Add(-time.Hour)
			require.NoError(t, os.Chtimes(stamp, past, touched))
			return a.await(t, a.asked)
		})
	case inShutdown:
		m.session().mind.CallRemote("shutdown")
		fail()
		_, err := m.worksOrEnds() // The call may be lost.
		require.NoError(t, err)
		return
	}
	if at != inUpload && at != inDownload && at != afterBuilderList {
		fail()
	}
	m.works()
	if pid != 0 {
		assertKilled(t, pid)
	}
}

// TestAbsurdArguments runs every command with values that no master sends. Each must end, whether with an error or not,
// and the worker works on.
func TestAbsurdArguments(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	absurd := map[string]any{
		"None": nil, "minus one": -1, "huge": int64(1) << 62, "lowest": -int64(1)<<63 + 1, "float": 1e308,
		"small": -1e-300, "empty": "", "NUL": "a\x00b", "long": string(make([]byte, 300_000)),
		"bytes": []byte{0xff, 0xfe}, "list": []any{}, "nested": []any{[]any{[]any{nil}}},
		"dict": map[string]any{"": nil}, "true": true, "object": newObserver(),
	}
	for command, args := range map[string]map[string]any{
		"shell": {
			"command": []any{"true"}, "workdir": "w", "env": map[string]any{}, "timeout": 5, "maxTime": 5,
			"sigtermTime": 1, "max_lines": 5, "interruptSignal": "KILL", "initial_stdin": "x",
			"logfiles": map[string]any{}, "logEnviron": false, "usePTY": false, "want_stdout": true,
			"want_stderr": true,
		},
		"uploadFile": {
			"workdir": "w", "workersrc": "f", "writer": &file{}, "maxsize": 100, "blocksize": 10, "keepstamp": false,
		},
		"uploadDirectory": {
			"workdir": "w", "workersrc": "d", "writer": &file{}, "maxsize": 100, "blocksize": 10, "compress": "gz",
		},
		"downloadFile": {
			"workdir": "w", "workerdest": "g", "reader": &file{}, "maxsize": 100, "blocksize": 10, "mode": 0o600,
		},
		"mkdir": {"dir": "made"}, "rmdir": {"dir": "made", "timeout": 5, "maxTime": 5},
		"cpdir": {"fromdir": "w", "todir": "copied", "timeout": 5, "maxTime": 5},
		"stat":  {"file": "f"}, "glob": {"path": "*"}, "listdir": {"dir": "w"}, "rmfile": {"path": "f"},
		"unknown": {"dir": "x"},
	} {
		for argument := range args {
			for name, value := range absurd {
				changed := map[string]any{}
				for k, v := range args {
					changed[k] = v
				}
				changed[argument] = value
				if o, err := a.start(t, "two", command, changed); err == nil {
					_ = o.await(t)
				}
				require.NoError(t, a.mind.Conn().Context().Err(), "%s with %s %s ends the connection", command,
					argument, name)
			}
		}
	}
	o, err := a.do(t, "shell", sh("echo works"))
	require.NoError(t, err)
	assert.Equal(t, "works\n", o.text("stdout"))
}
