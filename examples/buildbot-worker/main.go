//go:build unix

// Buildbot-worker is a small Buildbot worker. It shows how a program logs in, offers objects to its peer, calls the
// peer's objects, and reconnects. cmd/buildbot-worker is a complete worker.
//
//	WORKERPASS=sesame go run ./examples/buildbot-worker -master pb://127.0.0.1:9989 -name w1 -basedir /tmp/w1
//
// It runs the command "shell" and streams the output to the master. It refuses all other commands, so no step that
// moves or deletes files works. Of the arguments it honours command, workdir and env. It ignores the rest, such as
// timeout, maxTime, logfiles and usePTY, and says so in the step's log.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "buildbot-worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("buildbot-worker", flag.ContinueOnError)
	master := flags.String("master", "pb://127.0.0.1:9989", "the master's `URL`")
	name := flags.String("name", "", "the worker's `name` in the master's configuration")
	password := flags.String("password", os.Getenv("WORKERPASS"), "the `password`; by default the variable WORKERPASS,\n"+
		"which other users cannot see in the list of processes")
	basedir := flags.String("basedir", ".", "the `directory` for the builders' directories")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	// Commands inherit the environment.
	if err := os.Unsetenv("WORKERPASS"); err != nil {
		return err
	}
	base, err := filepath.Abs(*basedir)
	if err != nil {
		return err
	}
	log := zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.DateTime, NoColor: true}).
		Level(zerolog.InfoLevel).With().Timestamp().Logger()
	rt, err := actor.NewRuntime(actor.WithLogger(log))
	if err != nil {
		return err
	}
	ctx, shutdown := context.WithCancel(ctx)
	defer shutdown()
	b := &bot{rt: rt, basedir: base, shutdown: shutdown, builders: map[string]*builder{}}
	login := func(ctx context.Context, conn *broker.Conn) (*flavors.RemoteReference, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		// The master calls the mind several times before it answers the login.
		avatar, err := conn.Login(ctx, cred.UsernamePassword{Username: *name, Password: cred.Secret(*password)}, b)
		if err != nil {
			log.Warn().Err(err).Msg("login failed")
			return nil, err
		}
		b.Do(func() { b.avatar = avatar })
		log.Info().Msg("attached")
		return avatar, nil
	}
	client, err := broker.Reconnect(rt, *master, login)
	if err == nil {
		<-ctx.Done()
		err = client.Close(context.Background())
	}
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, rt.Close(end))
}

// bot is the worker's mind: the object that the master calls. Its methods run one at a time.
type bot struct {
	flavors.Referenceable
	rt       *actor.Runtime
	basedir  string
	shutdown func()
	builders map[string]*builder
	avatar   *flavors.RemoteReference // releasing it would log the worker out
}

// PublishMethods names print's parameter, which the master passes by keyword.
func (*bot) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("print", "RemotePrint", "message"))
}

func (b *bot) RemotePrint(message any) {
	b.rt.Logger().Info().Str("text", jelly.Format(message)).Msg("from the master")
}

func (b *bot) RemoteGetVersion() string { return "3.7.0-pb-go-example" }

func (b *bot) RemoteGetCommands() map[string]string { return map[string]string{"shell": "3.1"} }

func (b *bot) RemoteGetWorkerInfo() map[string]any {
	host, _ := os.Hostname()
	return map[string]any{
		"host": host, "system": "posix", "basedir": b.basedir, "numcpus": runtime.NumCPU(), "environ": map[string]string{},
		"version": b.RemoteGetVersion(), "worker_commands": b.RemoteGetCommands(), "delete_leftover_dirs": false,
	}
}

// RemoteSetBuilderList takes pairs of a builder's name and its directory, and returns the builders by name.
func (b *bot) RemoteSetBuilderList(wanted [][2]string) (map[string]*builder, error) {
	builders := map[string]*builder{}
	for _, w := range wanted {
		name, dir := w[0], filepath.Join(b.basedir, w[1])
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
		one := b.builders[name]
		if one == nil || one.dir != dir {
			one = &builder{rt: b.rt, dir: dir}
		}
		builders[name] = one // the same object keeps the command that it runs
	}
	b.builders = builders
	return builders, nil
}

// RemoteShutdown answers first, because the master waits for the answer.
func (b *bot) RemoteShutdown(inv *flavors.Invocation) {
	inv.Answer(nil, nil)
	b.shutdown()
}

// builder runs the commands of one builder.
type builder struct {
	flavors.Referenceable
	rt     *actor.Runtime
	dir    string
	cancel context.CancelFunc // of the last command
}

func (b *builder) RemotePrint(message any) {
	b.rt.Logger().Info().Str("text", jelly.Format(message)).Msg("from the master")
}

func (b *builder) RemoteStartBuild() {}

var unknownCommand = flavors.NewException("buildbot_worker.base.UnknownCommand", flavors.PBError)

// RemoteStartCommand begins a command and returns. The command reports to remote.
func (b *builder) RemoteStartCommand(remote *flavors.RemoteReference, id, name string, args *jelly.Dict) error {
	if name != "shell" {
		return unknownCommand.Errorf("unrecognized WorkerCommand '%s'", name)
	}
	cmd, err := newCommand(b.dir, args)
	if err != nil {
		return err
	}
	if b.cancel != nil {
		b.cancel()
	}
	// The command also ends with the connection.
	ctx, cancel := context.WithCancel(remote.Conn().Context())
	b.cancel = cancel
	b.rt.Go("command "+id, func() {
		defer remote.Release()
		defer cancel()
		if err := cmd.run(ctx, remote); err != nil {
			b.rt.Logger().Warn().Err(err).Msg("cannot report to the master")
		}
	})
	return nil
}

// RemoteInterruptCommand ignores the id: a builder runs one command at a time.
func (b *builder) RemoteInterruptCommand(_, why string) {
	b.rt.Logger().Info().Str("why", strings.ToValidUTF8(why, "\uFFFD")).Msg("interrupted")
	if b.cancel != nil {
		b.cancel()
	}
}
