package main

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
)

// Causes of the end of a job's context.
var (
	errInterrupted = errors.New("command interrupted")
	errAbandoned   = errors.New("command abandoned")
)

// Messages to a command.
type (
	// interrupt ends the job early. Its output is still reported.
	interrupt struct{}
	// reported is an update from the job, which waits until taken is closed.
	reported struct {
		update update
		taken  chan struct{}
	}
	// overdue reports that an interrupted job has not ended in time.
	overdue struct{}
	// jobEnded is the job's last message.
	jobEnded struct{ err error }
	// flushDue reports that unsent output is old enough to be sent.
	flushDue struct{}
	// completed tells the builder that the master may begin the next command.
	completed struct{ who *protoactor.PID }
	// writable reports that the connection accepts calls again.
	writable struct{}
)

// job does the work of a command. run has its own goroutine and may block. It returns soon after ctx ends; what it
// reports until then is still sent. The master sees an error as the command's failure, which differs from an exit code.
type job interface {
	run(ctx context.Context, out *report) error
}

// command is one command under way: an actor that owns the unsent output. It stops when the master has confirmed the
// completion, or when the connection has ended.
type command struct {
	worker   *worker
	log      *zerolog.Logger
	builder  string
	name, id string
	remote   *flavors.RemoteReference // receives the reports
	job      job

	// Used in the command's turn only.
	out         outbox
	cancel      context.CancelCauseFunc
	gone        chan struct{} // closed when reports are discarded
	began       time.Time
	interrupted bool
	silent      bool  // reports are discarded
	ended       bool  // the job has ended
	failure     error // the job's error
	completed   bool  // complete has been sent
	blocked     bool  // until writable arrives
	flush       *time.Timer
	overdue     *time.Timer // runs after an interrupt
}

// overdueTime is how long an interrupted job may take to end. A job that takes longer is blocked in the system, for
// example in a file system that does not answer.
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
	case *protoactor.Terminated: // of remote's actor: the connection has ended
		c.log.Info().Msg("the connection has ended; stopping the command")
		c.mute(ctx)
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
	// Keep the reference while this actor lives.
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
	c.worker.status.begin(c)
	if !c.worker.rt.Go("command "+c.name, func() { out.post(jobEnded{runJob(background, c.job, out, c.log)}) }) {
		out.post(jobEnded{errAbandoned})
	}
}

// panicText returns the text of a panic's value.
func panicText(p any) string {
	if err, ok := p.(error); ok {
		return err.Error()
	}
	return jelly.Format(p)
}

// runJob turns a panic into an error, so that one command cannot harm the others.
func runJob(ctx context.Context, j job, out *report, log *zerolog.Logger) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error().Str("panic", panicText(p)).Bytes("stack", debug.Stack()).Msg("the command failed within the worker")
			err = flavors.RuntimeError.New("the command failed within the worker; its log says where")
		}
	}()
	return j.run(ctx, out)
}

// take queues an update. It lets the job go on if the queue has room.
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

// giveUp completes a command whose job does not end. The job's goroutine stays until the system releases it.
func (c *command) giveUp(ctx protoactor.Context) {
	if c.ended {
		return
	}
	c.log.Error().Msg("the interrupted command does not end; it is blocked in the system")
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

// mute stops reporting, because the connection has ended. The command stops with its job.
func (c *command) mute(ctx protoactor.Context) {
	if !c.silent {
		c.silent = true
		close(c.gone)
	}
	c.cancel(errAbandoned)
	c.out.drop()
	if c.ended {
		ctx.Stop(ctx.Self())
	}
}

// send sends what the window allows, so a slow master slows the job down and fills no memory.
func (c *command) send(ctx protoactor.Context) {
	for !c.silent && !c.blocked && !c.completed && c.out.canSend() {
		if !c.call(ctx, c.answered, "update", c.out.first()) {
			return
		}
		c.out.sent()
	}
	c.out.release()
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

// call reports false if the connection accepts no calls at the moment.
func (c *command) call(ctx protoactor.Context, then func(protoactor.Context, error), method string, arg any) bool {
	d := c.remote.CallRemote(method, arg)
	if _, err, ok := d.Result(); ok && errors.Is(err, broker.ErrBackedUp) {
		c.blocked = true
		conn, root, self := c.remote.Conn(), c.worker.rt.Root(), ctx.Self()
		c.worker.rt.Go("waiting for the master to read", func() {
			// If this fails, the connection has ended, and Terminated reports that.
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

// answered handles the master's answer to an update. An error is only logged.
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

// outcome is how the command ended, for the status.
func (c *command) outcome() string {
	switch {
	case c.interrupted:
		return "interrupted"
	case c.failure != nil:
		return "failed"
	case !c.ended || c.silent:
		return "lost"
	}
	return "done"
}

// stopping ends the job and completes the command if the master may still wait for it: this actor may stop because it
// failed, or because its builder stops.
func (c *command) stopping() {
	if c.flush != nil {
		c.flush.Stop()
	}
	if c.overdue != nil {
		c.overdue.Stop()
	}
	if c.cancel == nil {
		return // not started
	}
	c.worker.status.end(c, c.outcome())
	c.cancel(errAbandoned)
	if c.silent {
		return
	}
	c.silent = true
	close(c.gone)
	if !c.completed {
		c.completed = true
		if err := c.remote.CallRemoteNoAnswer("complete",
			flavors.RuntimeError.New("the worker gave up this command")); err != nil {
			c.log.Warn().Err(err).Msg("the master does not know that the command was given up")
		}
	}
}

var _ actor.DeadLetterHandler = (*command)(nil)

// Undelivered releases a job that reports to a stopped command.
func (c *command) Undelivered(message any) {
	if msg, ok := message.(reported); ok {
		close(msg.taken)
	}
}

// newJob makes a job of a command's arguments. It reports invalid arguments before the command begins.
type newJob func(at place, args arguments) (job, error)

// jobs returns the commands by the stock worker's names.
func jobs() map[string]newJob {
	return map[string]newJob{
		"shell":            newShell,
		"uploadFile":       newUploadFile,
		"upload_file":      newUploadFile,
		"uploadDirectory":  newUploadDirectory,
		"upload_directory": newUploadDirectory,
		"downloadFile":     newDownloadFile,
		"download_file":    newDownloadFile,
		"mkdir":            fileCommand("mkdir", "dir", makeDirectory),
		"rmdir":            newRemoveDirectory,
		"cpdir":            newCopyDirectory,
		"stat":             fileCommand("stat", "file", statFile),
		"glob":             fileCommand("glob", "path", globPath),
		"listdir":          fileCommand("listdir", "dir", listDir),
		"rmfile":           fileCommand("rmfile", "path", removeFile),
	}
}
