package main

import (
	"slices"
	"strconv"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// errUnknownCommand has the stock worker's type.
var errUnknownCommand = flavors.NewException("buildbot_worker.base.UnknownCommand", flavors.PBError)

// builder runs the commands of one of the master's builders. It receives the master's calls as messages, because it is
// an actor with children: its commands.
type builder struct {
	worker *worker
	name   string
	dir    string // absolute

	running *protoactor.PID   // nil if none; the next command interrupts it
	asking  []*protoactor.PID // file commands under way; they do not interrupt each other
}

// moved changes the directory of the commands to come.
type moved struct{ dir string }

// Receive implements protoactor.Actor.
func (b *builder) Receive(ctx protoactor.Context) {
	switch msg := ctx.Message().(type) {
	case *flavors.Invocation:
		b.call(ctx, msg)
	case moved:
		b.dir = msg.dir
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
	b.asking = slices.DeleteFunc(b.asking, command.Equal)
}

// interrupt interrupts everything that runs. Masters name a command, but the stock worker ignores the name.
func (b *builder) interrupt(ctx protoactor.Context) {
	if b.running != nil {
		ctx.Send(b.running, interrupt{})
	}
	for _, command := range b.asking {
		ctx.Send(command, interrupt{})
	}
}

func (b *builder) call(ctx protoactor.Context, inv *flavors.Invocation) {
	log := b.worker.log.With().Str("builder", b.name).Logger()
	switch inv.Method {
	case "startBuild":
		b.worker.status.build(b.name)
		inv.Answer(nil, nil)
	case "setMaster":
		inv.Answer(nil, nil) // nothing to do
	case "print":
		log.Info().Str("text", pythonShown(inv.Args)).Msg("from the master")
		inv.Answer(nil, nil)
	case "shutdown": // old masters call it here
		inv.Answer(nil, nil)
		b.worker.shutdown()
	case "startCommand":
		c, err := b.newCommand(inv.Args)
		inv.Answer(nil, err)
		if err == nil {
			b.start(ctx, c)
		}
	case "interruptCommand":
		log.Info().Str("why", pythonShown(inv.Args)).Msg("asked to interrupt the command")
		b.interrupt(ctx)
		inv.Answer(nil, nil)
	default:
		inv.Answer(nil, flavors.NoSuchMethod.New("No such method: remote_"+inv.Method))
	}
}

// newCommand parses the arguments of startCommand: the object to report to, an id, the command's name and its
// arguments.
func (b *builder) newCommand(args jelly.Tuple) (*command, error) {
	if len(args) != 4 {
		return nil, flavors.TypeError.Errorf("startCommand takes 4 arguments, not %d", len(args))
	}
	c := &command{worker: b.worker, builder: b.name}
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
		return nil, flavors.TypeError.New("startCommand needs an object to report to and the command's arguments")
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
		// The stock worker interrupts it too. This one also completes it, so that its step does not wait forever.
		c.log.Warn().Msg("interrupting the previous command")
		ctx.Send(b.running, interrupt{})
	}
	props := b.worker.rt.Props(func() protoactor.Actor { return c })
	pid := ctx.SpawnPrefix(props, "command-")
	ctx.Watch(pid)
	if _, question := c.job.(*fileJob); question {
		// Masters ask several such questions at once, because the stock worker answers each before it reads the next.
		b.running = nil
		b.asking = append(b.asking, pid)
		return
	}
	b.running = pid
}
