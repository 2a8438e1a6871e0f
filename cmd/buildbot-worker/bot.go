package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// infoDir is the subdirectory of the base directory whose files describe the worker.
const infoDir = "info"

// bot is the worker's mind: the object that the master calls. All sessions use the same one.
type bot struct {
	flavors.Referenceable
	worker *worker

	// Used in the bot's turn only.
	builders map[string]*builderEntry
	avatar   *flavors.RemoteReference
}

// builderEntry is a builder's actor and the object that forwards the master's calls to it.
type builderEntry struct {
	dir  string
	pid  *protoactor.PID
	face *flavors.Forwarder
}

// PublishMethods names the parameter that masters give by keyword.
func (*bot) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("print", "RemotePrint", "message"))
}

// RemotePrint logs a message. Masters also use it as a ping, and print values of any type.
func (b *bot) RemotePrint(message any) {
	b.worker.log.Info().Str("text", printed(message)).Msg("from the master")
}

// printed returns text unchanged and other values in Python's notation. It hides secrets.
func printed(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return clean(string(v))
	}
	return pythonShown(v)
}

// RemoteGetVersion returns the version. Old masters call it and getCommands instead of getWorkerInfo.
func (*bot) RemoteGetVersion() string { return version }

// RemoteGetCommands returns the commands with the version of their arguments.
func (*bot) RemoteGetCommands() map[string]string { return commandVersions() }

// RemoteGetWorkerInfo returns facts about the worker and its machine.
func (b *bot) RemoteGetWorkerInfo() map[string]any { return workerInfo(&b.worker.config) }

// RemoteShutdown ends the worker. It answers first, so that the answer is written before the connection closes.
func (b *bot) RemoteShutdown(inv *flavors.Invocation) {
	inv.Answer(nil, nil)
	b.worker.shutdown()
}

// RemoteSetBuilderList takes pairs of a builder's name and its directory. It creates the builders, stops those that are
// not listed, and returns them all by name.
func (b *bot) RemoteSetBuilderList(wanted [][2]string) (map[string]*flavors.Forwarder, error) {
	faces := make(map[string]*flavors.Forwarder, len(wanted))
	dirs := map[string]bool{infoDir: true}
	for _, w := range wanted {
		name, dir := w[0], w[1]
		d, err := b.entry(name, dir)
		if err != nil {
			return nil, err
		}
		faces[name] = d.face
		dirs[dir] = true
	}
	for name, d := range b.builders {
		if _, wanted := faces[name]; !wanted {
			// Its commands stop with it.
			b.worker.rt.Root().Stop(d.pid)
			delete(b.builders, name)
			b.worker.status.forget(name)
		}
	}
	b.leftovers(dirs)
	return faces, nil
}

// entry returns the builder's entry. It creates one if needed.
func (b *bot) entry(name, dir string) (*builderEntry, error) {
	path := join(b.worker.basedir, dir)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, failure(err)
	}
	if d, found := b.builders[name]; found {
		if d.dir != dir {
			// A running command stays in the old directory, and the object stays the same, so a reconfigured master can
			// finish its builds.
			d.dir = dir
			b.worker.rt.Root().Send(d.pid, moved{path})
		}
		return d, nil
	}
	rt := b.worker.rt
	produce := func() protoactor.Actor { return &builder{worker: b.worker, name: name, dir: path} }
	// A command is never restarted, because it may be half done.
	props := rt.Props(produce, protoactor.WithSupervisor(supervision.StopStrategy(rt)))
	pid, err := supervision.TreeOf(rt).Spawn(supervision.Objects, props, "builder-")
	if err != nil {
		return nil, err
	}
	d := &builderEntry{dir: dir, pid: pid, face: flavors.Forward(rt, pid)}
	b.builders[name] = d
	// A builder that failed too often is not restarted. The next setBuilderList creates a new one.
	rt.WhenStopped(pid, func() {
		b.Do(func() {
			if b.builders[name] == d {
				delete(b.builders, name)
			}
		})
	})
	return d, nil
}

// leftovers logs the directories that no builder uses, or deletes them. A directory stays if a builder's directory is
// below it; the stock worker would delete it.
func (b *bot) leftovers(used map[string]bool) {
	log := b.worker.log
	entries, err := os.ReadDir(b.worker.basedir)
	if err != nil {
		log.Warn().Err(err).Msg("cannot read the base directory")
		return
	}
	tops := map[string]bool{}
	for dir := range used {
		// An absolute directory may also be in the base directory.
		if rel, err := filepath.Rel(b.worker.basedir, join(b.worker.basedir, dir)); err == nil {
			top, _, _ := strings.Cut(rel, string(filepath.Separator))
			tops[top] = true
		}
	}
	for _, e := range entries {
		if !e.IsDir() || tops[e.Name()] {
			continue
		}
		path := filepath.Join(b.worker.basedir, e.Name())
		if !b.worker.deleteLeftovers {
			log.Info().Str("directory", path).Msg("no builder uses this directory; it can be deleted")
			continue
		}
		log.Info().Str("directory", path).Msg("deleting a directory that no builder uses")
		if err := b.remove(path); err != nil {
			log.Warn().Err(err).Msg("cannot delete a directory that no builder uses")
		}
	}
}

// remove removes a directory. It may be large, and the master waits, so it only gets out of the way at once. What a
// crash leaves is a leftover directory again.
func (b *bot) remove(path string) error {
	trash, err := os.MkdirTemp(b.worker.basedir, ".deleted-")
	if err != nil {
		return err
	}
	err = os.Rename(path, filepath.Join(trash, "dir"))
	b.worker.rt.Go("deleting "+path, func() {
		if err := os.RemoveAll(trash); err != nil {
			b.worker.log.Warn().Err(err).Msg("cannot delete a directory that no builder uses")
		}
	})
	return err
}

// attached stores the avatar of the new session.
func (b *bot) attached(avatar *flavors.RemoteReference) { b.Do(func() { b.avatar = avatar }) }

var errOtherSession = errors.New("not attached to the master yet; try again")

// askForShutdown calls the master's shutdown. The master waits for running builds and then calls the bot's shutdown.
func (b *bot) askForShutdown(ctx context.Context, conn *broker.Conn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(conn.Context(), func() { cancel(context.Cause(conn.Context())) })()
	var asked *actor.Deferred
	_, err := b.Do(func() {
		if b.avatar != nil && b.avatar.Conn() == flavors.Conn(conn) {
			asked = b.avatar.CallRemote("shutdown")
		}
	}).Await(ctx)
	if err != nil {
		return err
	}
	if asked == nil {
		return errOtherSession
	}
	_, err = asked.Await(ctx)
	return err
}
