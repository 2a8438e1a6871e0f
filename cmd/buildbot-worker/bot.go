//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// infoDir is the directory in the base directory whose files describe the worker.
const infoDir = "info"

// bot is the worker as the master sees it: the mind of its login. All connections share it, one after the other.
type bot struct {
	flavors.Referenceable
	worker *worker

	// Owned by the bot's turn.
	builders map[string]*desk
	avatar   *flavors.RemoteReference
}

// desk is where a builder works: its actor, and the object that passes the master's calls on to it.
type desk struct {
	dir  string
	pid  *protoactor.PID
	face *flavors.Forwarder
}

// PublishMethods names the parameter that masters give by keyword.
func (*bot) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("print", "RemotePrint", "message"))
}

// RemotePrint is the master's ping as well. Masters print any value.
func (b *bot) RemotePrint(message any) {
	b.worker.log.Info().Str("text", printed(message)).Msg("from the master")
}

// printed is a value as it is logged: text as it is, of everything else what Python programmers are used to see. The
// secrets in it are hidden.
func printed(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return clean(string(v))
	}
	return pythonShown(v)
}

// RemoteGetVersion and RemoteGetCommands are how old masters ask for what getWorkerInfo tells.
func (*bot) RemoteGetVersion() string { return version }

// RemoteGetCommands tells what commands there are, with the version of their arguments.
func (*bot) RemoteGetCommands() map[string]string { return commandVersions() }

// RemoteGetWorkerInfo describes the worker and its machine.
func (b *bot) RemoteGetWorkerInfo() map[string]any { return workerInfo(b.worker.basedir) }

// RemoteShutdown ends the worker. The answer is handed over before the connection is told to close, and so is written
// before it does.
func (b *bot) RemoteShutdown(inv *flavors.Invocation) {
	inv.Answer(nil, nil)
	b.worker.shutdown()
}

// RemoteSetBuilderList says which builders there shall be, each with its directory. It answers with the builders.
func (b *bot) RemoteSetBuilderList(wanted [][2]string) (map[string]*flavors.Forwarder, error) {
	faces := make(map[string]*flavors.Forwarder, len(wanted))
	dirs := map[string]bool{infoDir: true}
	for _, w := range wanted {
		name, dir := w[0], w[1]
		d, err := b.desk(name, dir)
		if err != nil {
			return nil, err
		}
		faces[name] = d.face
		dirs[dir] = true
	}
	for name, d := range b.builders {
		if _, wanted := faces[name]; !wanted {
			// A builder that ends takes its command with it.
			b.worker.rt.Root().Stop(d.pid)
			delete(b.builders, name)
		}
	}
	b.mentionLeftovers(dirs)
	return faces, nil
}

// desk finds or makes a builder.
func (b *bot) desk(name, dir string) (*desk, error) {
	path := join(b.worker.basedir, dir)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, failure(err)
	}
	if d, found := b.builders[name]; found {
		if d.dir != dir {
			// The command that is running stays where it began, and the object is the same: a master that was configured anew
			// goes on with its builds.
			d.dir = dir
			b.worker.rt.Root().Send(d.pid, moved{path})
		}
		return d, nil
	}
	rt := b.worker.rt
	produce := func() protoactor.Actor { return &builder{worker: b.worker, name: name, dir: path} }
	// A command that fails is never begun anew: half of it has been done already.
	props := rt.Props(produce, protoactor.WithSupervisor(supervision.StopStrategy(rt)))
	pid, err := supervision.TreeOf(rt).Spawn(supervision.Objects, props, "builder-")
	if err != nil {
		return nil, err
	}
	d := &desk{dir: dir, pid: pid, face: flavors.Forward(rt, pid)}
	b.builders[name] = d
	// One that failed too often is gone for good; the next list of builders brings a new one.
	rt.WhenStopped(pid, func() {
		b.Do(func() {
			if b.builders[name] == d {
				delete(b.builders, name)
			}
		})
	})
	return d, nil
}

// mentionLeftovers tells the owner of the machine what he may delete.
func (b *bot) mentionLeftovers(used map[string]bool) {
	entries, err := os.ReadDir(b.worker.basedir)
	if err != nil {
		b.worker.log.Warn().Err(err).Msg("cannot read the base directory")
		return
	}
	for _, e := range entries {
		if e.IsDir() && !used[e.Name()] {
			b.worker.log.Info().
				Str("directory", filepath.Join(b.worker.basedir, e.Name())).
				Msg("no builder uses it; it can be deleted")
		}
	}
}

// attached notes whom to ask for a shutdown.
func (b *bot) attached(avatar *flavors.RemoteReference) { b.Do(func() { b.avatar = avatar }) }

var errOtherSession = errors.New("not attached to the master yet; try again")

// askForShutdown calls the master's shutdown, which waits for running builds.
func (b *bot) askForShutdown(conn *broker.Conn) error {
	var asked *actor.Deferred
	_, err := b.Do(func() {
		if b.avatar != nil && b.avatar.Conn() == flavors.Conn(conn) {
			asked = b.avatar.CallRemote("shutdown")
		}
	}).Await(conn.Context())
	if err != nil {
		return err
	}
	if asked == nil {
		return errOtherSession
	}
	_, err = asked.Await(conn.Context())
	return err
}
