//go:build unix

package main

import (
	"slices"
	"strconv"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// errUnknownCommand has the name that the stock worker's has.
var errUnknownCommand = flavors.NewException("buildbot_worker.base.UnknownCommand", flavors.PBError)

// builder keeps one command going for one builder of the master. The master's calls come to it as messages, because it
// is an actor that has children: its commands.
type builder struct {
	worker *worker
	name   string
	dir    string // absolute

	running *protoactor.PID   // the command that a further one ends; nil when there is none
	asking  []*protoactor.PID // the questions that are not answered yet; they end each other not
}

// moved says that the commands from now on work in another directory.
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

// interrupt asks everything that runs to end. Masters name a command; a stock worker has one, and does not look at the
// name.
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
	case "startBuild", "setMaster":
		inv.Answer(nil, nil) // masters say so, and there is nothing to do
	case "print":
		log.Info().Str("text", pythonShown(inv.Args)).Msg("from the master")
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
		log.Info().Str("why", pythonShown(inv.Args)).Msg("asked to interrupt the command")
		b.interrupt(ctx)
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
		// A stock worker interrupts it, too. The master is told of its end, or a step would wait for ever.
		c.log.Warn().Msg("the command before has not ended; it is interrupted")
		ctx.Send(b.running, interrupt{})
	}
	props := b.worker.rt.Props(func() protoactor.Actor { return c })
	pid := ctx.SpawnPrefix(props, "command-")
	ctx.Watch(pid)
	if _, question := c.job.(*fileJob); question {
		// Masters ask several such questions at a time: a stock worker has answered the first before it reads the next.
		b.running = nil
		b.asking = append(b.asking, pid)
		return
	}
	b.running = pid
}
