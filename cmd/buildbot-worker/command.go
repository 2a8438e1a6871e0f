//go:build unix

package main

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// The reasons for which a job's context ends.
var (
	errInterrupted = errors.New("command interrupted")
	errForgotten   = errors.New("nobody waits for this command any more")
)

// Messages to a command.
type (
	// interrupt is the master's wish: the job ends early, and what it says then is reported as ever.
	interrupt struct{}
	// reported is an update from the job. The job waits until taken is closed.
	reported struct {
		update update
		taken  chan struct{}
	}
	// overdue says that a job which was interrupted has not ended, long after that.
	overdue struct{}
	// jobEnded is the last that a job sends.
	jobEnded struct{ err error }
	// flushDue says that an update has been held for long enough.
	flushDue struct{}
	// completed tells the builder that the master may begin the next command now.
	completed struct{ who *protoactor.PID }
	// writable says that the connection takes more.
	writable struct{}
)

// job is what a command does. run works in a goroutine of its own and may wait. When ctx ends it comes to an end as
// soon as it can; what it reports after that is still sent. An error is one that the master shall see as the command's
// failure, which is something else than an exit code.
type job interface {
	run(ctx context.Context, out *report) error
}

// command is one command under way: an actor that owns what waits to be sent. It ends when the master has confirmed the
// command's completion, or when there is nobody to tell it to.
type command struct {
	worker   *worker
	log      *zerolog.Logger
	name, id string
	remote   *flavors.RemoteReference // whom to report to
	job      job

	// Owned by the command's turn.
	out         outbox
	cancel      context.CancelCauseFunc
	gone        chan struct{} // closed when nothing is sent any more
	began       time.Time
	interrupted bool
	silent      bool  // nothing is sent any more
	ended       bool  // the job has
	failure     error // the job's
	completed   bool  // the master has been told
	blocked     bool  // until writable comes
	flush       *time.Timer
	overdue     *time.Timer // for a job that does not mind its interruption
}

// overdueTime is how long a job may take to end after it was interrupted. That is longer than any takes that can
// notice; one that is blocked in the system, in a file system that does not answer for example, is given up.
var overdueTime = 2*backupTime + drainTime

// Receive implements protoactor.Actor.
func (c *command) Receive(ctx protoactor.Context) {
	switch msg := ctx.Message().(type) {
	case *protoactor.Started:
		c.begin(ctx)
	case reported:
		c.take(ctx, msg)
	case flushDue:
		c.flush = nil
		c.out.seal()
	case writable:
		c.blocked = false
	case interrupt:
		c.interrupt(ctx)
	case overdue:
		c.giveUp(ctx)
	case *protoactor.Terminated: // of whom we report to: the connection has ended
		c.log.Info().Msg("the master has gone; the command is stopped")
		c.fallSilent(ctx)
	case jobEnded:
		c.end(ctx, msg.err)
	case *protoactor.Stopping:
		c.stopping()
		return
	default:
		return
	}
	c.send(ctx)
}

func (c *command) begin(ctx protoactor.Context) {
	// The master keeps its side of the command as long as this actor lives.
	flavors.Link(ctx, c.remote)
	ctx.Watch(c.remote.PID())
	c.out.open()
	c.gone = make(chan struct{})
	c.began = time.Now()
	background, cancel := context.WithCancelCause(context.Background())
	c.cancel = cancel
	root, self := c.worker.rt.Root(), ctx.Self()
	out := &report{gone: c.gone, post: func(m any) { root.Send(self, m) }}
	c.log.Info().Msg("begins")
	if !c.worker.rt.Go("command "+c.name, func() { out.post(jobEnded{runJob(background, c.job, out, c.log)}) }) {
		out.post(jobEnded{errForgotten})
	}
}

// panicText is what is logged of a panic's value.
func panicText(p any) string {
	if err, ok := p.(error); ok {
		return err.Error()
	}
	return jelly.Format(p)
}

// runJob makes an error of a panic: one command that blows up must not harm the others.
func runJob(ctx context.Context, j job, out *report, log *zerolog.Logger) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error().Str("panic", panicText(p)).Bytes("stack", debug.Stack()).Msg("the command failed within the worker")
			err = flavors.RuntimeError.New("the command failed within the worker; its log says where")
		}
	}()
	return j.run(ctx, out)
}

// take puts an update where it waits, and lets the job go on if there is room for more.
func (c *command) take(ctx protoactor.Context, msg reported) {
	if c.silent || c.ended {
		close(msg.taken)
		return
	}
	c.out.add(msg.update)
	c.out.waiting = append(c.out.waiting, msg.taken)
	if c.flush == nil {
		root, self := c.worker.rt.Root(), ctx.Self()
		c.flush = time.AfterFunc(flushAfter, func() { root.Send(self, flushDue{}) })
	}
}

func (c *command) interrupt(ctx protoactor.Context) {
	if c.interrupted {
		return
	}
	c.interrupted = true
	c.cancel(errInterrupted)
	root, self := c.worker.rt.Root(), ctx.Self()
	c.overdue = time.AfterFunc(overdueTime, func() { root.Send(self, overdue{}) })
}

// giveUp ends a command whose job cannot be ended. The job's goroutine stays until the system lets it go.
func (c *command) giveUp(ctx protoactor.Context) {
	if c.ended {
		return
	}
	c.log.Error().Msg("the command does not end, although it was interrupted; it is blocked in the system")
	c.out.add(update{key: "header", text: "command interrupted, but blocked in the system; giving it up\n"})
	c.out.add(update{key: "rc", value: -1})
	c.end(ctx, nil)
}

func (c *command) end(ctx protoactor.Context, err error) {
	if c.ended {
		return
	}
	c.ended, c.failure = true, err
	c.out.breakLines()
	if !c.interrupted {
		c.out.add(update{key: "elapsed", value: time.Since(c.began).Seconds()})
	}
	c.out.seal()
	if c.silent {
		ctx.Stop(ctx.Self())
	}
}

// fallSilent is for a command of which nobody wants to know any more. It ends with its job.
func (c *command) fallSilent(ctx protoactor.Context) {
	if !c.silent {
		c.silent = true
		close(c.gone)
	}
	c.cancel(errForgotten)
	c.out.drop()
	if c.ended {
		ctx.Stop(ctx.Self())
	}
}

// send hands on what may go: a few calls are under way at a time, so a master that is slow slows down the job instead
// of filling our memory or its own.
func (c *command) send(ctx protoactor.Context) {
	for !c.silent && !c.blocked && !c.completed && c.out.mayGo() {
		if !c.call(ctx, c.answered, "update", c.out.first()) {
			return
		}
		c.out.went()
	}
	c.out.letGo()
	if c.silent || c.blocked || c.completed || !c.ended || !c.out.empty() {
		return
	}
	var told any
	if c.failure != nil {
		c.log.Warn().Err(c.failure).Msg("failed")
		told = failure(c.failure)
	}
	// The master may begin the next command before it has confirmed this one.
	ctx.Send(ctx.Parent(), completed{ctx.Self()})
	c.completed = c.call(ctx, c.confirmed, "complete", told)
}

// call reports false when the connection takes no more at the moment.
func (c *command) call(ctx protoactor.Context, then func(protoactor.Context, error), method string, arg any) bool {
	d := c.remote.CallRemote(method, arg)
	if _, err, ok := d.Result(); ok && errors.Is(err, broker.ErrBackedUp) {
		c.blocked = true
		conn, root, self := c.remote.Conn(), c.worker.rt.Root(), ctx.Self()
		c.worker.rt.Go("waiting for the master to read", func() {
			// When the wait fails the connection has ended, and we are told so otherwise.
			if conn.WaitWritable(conn.Context()) == nil {
				root.Send(self, writable{})
			}
		})
		return false
	}
	d.Then(ctx, func(_ any, err error) (any, error) {
		then(ctx, err)
		return nil, nil
	})
	return true
}

// answered is told when the master has taken an update. What it thinks of it is of no use to anybody but its own log.
func (c *command) answered(ctx protoactor.Context, err error) {
	if err != nil && !c.silent {
		c.log.Warn().Err(err).Msg("the master did not take an update")
	}
	c.out.answered()
	c.send(ctx)
}

func (c *command) confirmed(ctx protoactor.Context, err error) {
	c.log.Info().Dur("took", time.Since(c.began)).AnErr("unconfirmed", err).Msg("done")
	ctx.Stop(ctx.Self())
}

// stopping ends the job where it has not ended, and says so if somebody may still wait for it: this actor may have been
// stopped because it failed, or because its builder has gone.
func (c *command) stopping() {
	if c.flush != nil {
		c.flush.Stop()
	}
	if c.overdue != nil {
		c.overdue.Stop()
	}
	if c.cancel == nil {
		return // it has not begun
	}
	c.cancel(errForgotten)
	if c.silent {
		return
	}
	c.silent = true
	close(c.gone)
	if !c.completed {
		c.completed = true
		if err := c.remote.CallRemoteNoAnswer("complete", flavors.RuntimeError.New("the worker gave up this command")); err != nil {
			c.log.Warn().Err(err).Msg("the master does not know that the command was given up")
		}
	}
}

var _ actor.Undertaker = (*command)(nil)

// Undelivered lets a job go on that reports to a command which has stopped.
func (c *command) Undelivered(message any) {
	if msg, ok := message.(reported); ok {
		close(msg.taken)
	}
}
