//go:build unix

package main

import (
	"strconv"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// errUnknownCommand has the name that the stock worker's has.
var errUnknownCommand = flavors.NewException("buildbot_worker.base.UnknownCommand", flavors.PBError)

// builder keeps one command going for one builder of the master. The master's calls come to it as messages, because it is an actor
// that has children: its commands.
type builder struct {
	worker *worker
	name   string
	dir    string // absolute

	running *protoactor.PID // the command that can be interrupted; nil when there is none
}

// Receive implements protoactor.Actor.
func (b *builder) Receive(ctx protoactor.Context) {
	switch msg := ctx.Message().(type) {
	case *flavors.Invocation:
		b.call(ctx, msg)
	case completed:
		b.ended(msg.who)
	case *protoactor.Terminated:
		b.ended(msg.Who)
	}
}

func (b *builder) ended(command *protoactor.PID) {
	if b.running != nil && b.running.Equal(command) {
		b.running = nil
	}
}

func (b *builder) call(ctx protoactor.Context, inv *flavors.Invocation) {
	log := b.worker.log.With().Str("builder", b.name).Logger()
	switch inv.Method {
	case "startBuild", "setMaster":
		inv.Answer(nil, nil) // masters say so, and there is nothing to do
	case "print":
		log.Info().Stringer("text", jelly.Formatted{Value: inv.Args}).Msg("from the master")
		inv.Answer(nil, nil)
	case "shutdown": // how old masters say it
		inv.Answer(nil, nil)
		b.worker.shutdown()
	case "startCommand":
		c, err := b.newCommand(inv.Args)
		inv.Answer(nil, err)
		if err == nil {
			b.start(ctx, c)
		}
	case "interruptCommand":
		log.Info().Stringer("why", jelly.Formatted{Value: inv.Args}).Msg("asked to interrupt the command")
		if b.running != nil {
			ctx.Send(b.running, interrupt{})
		}
		inv.Answer(nil, nil)
	default:
		inv.Answer(nil, flavors.NoSuchMethod.New("No such method: remote_"+inv.Method))
	}
}

// newCommand looks at the arguments of startCommand: what reports go to, an id, the command's name and its arguments.
func (b *builder) newCommand(args jelly.Tuple) (*command, error) {
	if len(args) != 4 {
		return nil, flavors.TypeError.Errorf("startCommand takes 4 arguments, and there are %d", len(args))
	}
	c := &command{worker: b.worker}
	var dict *jelly.Dict
	for i, dst := range []any{&c.remote, &c.id, &c.name, &dict} {
		if number, ok := args[i].(int64); ok && dst == &c.id {
			c.id = strconv.FormatInt(number, 10)
			continue
		}
		if err := jelly.Assign(dst, args[i]); err != nil {
			return nil, flavors.TypeError.Errorf("startCommand, argument %d: %w", i+1, err)
		}
	}
	if c.remote == nil || dict == nil {
		return nil, flavors.TypeError.New("startCommand needs somebody to report to, and the command's arguments")
	}
	log := b.worker.log.With().Str("builder", b.name).Str("command", c.name).Str("id", c.id).Logger()
	c.log = &log
	prepare, known := jobs()[c.name]
	if !known {
		return nil, errUnknownCommand.Errorf("unrecognized WorkerCommand '%s'", c.name)
	}
	var err error
	c.job, err = prepare(place{builder: b.dir, base: b.worker.basedir}, arguments{dict})
	return c, err
}

func (b *builder) start(ctx protoactor.Context, c *command) {
	if b.running != nil {
		c.log.Warn().Msg("the command before has not ended; it is dropped")
		ctx.Send(b.running, forget{})
	}
	props := b.worker.rt.Props(func() protoactor.Actor { return c })
	pid := ctx.SpawnPrefix(props, "command-")
	if _, atOnce := c.job.(*fileJob); atOnce {
		// Masters ask several such questions at a time: a stock worker has answered the first before it reads the next.
		b.running = nil
		return
	}
	b.running = pid
	ctx.Watch(pid)
}
