package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/service"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/rs/zerolog"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// loginTime limits a login. During the login the master asks for the worker's information and waits for its database.
var loginTime = 2 * time.Minute

// maxBuilders is the limit of exports. Stock workers allow 1,024; large installations have more builders.
const maxBuilders = 16 << 10

const (
	// pauseLength is by how much a wait must be late to count as a pause of this process.
	pauseLength = 100 * time.Millisecond
	// maxPauses limits the pauses in a row: on a very busy machine every wait ends late.
	maxPauses = 10
)

// worker is the program: one worker name at one master.
type worker struct {
	config
	rt  *actor.Runtime
	log *zerolog.Logger
	bot *bot

	status *status
	notify *service.Notifier

	once  sync.Once
	done  chan struct{} // closed by end
	cause error         // why; valid once done is closed
}

func newWorker(rt *actor.Runtime, c config, notify *service.Notifier) (*worker, error) {
	w := &worker{
		config: c, rt: rt, log: rt.Logger(), done: make(chan struct{}), notify: notify,
		status: newStatus(c.master, notify),
	}
	w.bot = &bot{worker: w, builders: map[string]*builderEntry{}}
	// The bot and its builders outlive every connection.
	_, err := flavors.Spawn(rt, w.bot)
	return w, err
}

const (
	// firstDelay is the wait after the first failed attempt.
	firstDelay = 500 * time.Millisecond
	// longestDelay is the longest wait between attempts. A larger maxdelay does not change it: every buildbot.tac has
	// one of 300 s, which the stock worker ignores. That waits for a minute at most.
	longestDelay = 30 * time.Second
)

// work keeps the worker attached until ctx ends or the master shuts it down.
func (w *worker) work(ctx context.Context) error {
	pages, err := w.serveStatus()
	if err != nil {
		return err
	}
	defer pages()
	observer := w.rt.Props(func() protoactor.Actor { return &sessionObserver{w} })
	watching, err := supervision.TreeOf(w.rt).Spawn(supervision.Objects, observer, "observer")
	if err != nil {
		return err
	}
	// From the first attachment on, no signal and no touch may be missed.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, otherSignals(w.allowShutdown)...)
	defer signal.Stop(signals)
	touched := w.shutdownFile()
	w.recordHostname()
	client, err := broker.Reconnect(w.rt, w.master, w.session, w.options()...)
	if err != nil {
		return usageError{err}
	}
	w.notify.Ready("connecting to " + w.master)
	client.Watch(watching) // What it reports comes after "connecting".
	defer w.watchdog()()
	w.untilEnd(ctx, client, signals, touched)
	w.notify.Stopping()
	w.log.Info().Msg("shutting down")
	end, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	err = client.Close(end)
	select {
	case <-w.done:
		return errors.Join(w.cause, err)
	default:
		return err
	}
}

func (w *worker) options() []broker.ReconnectOption {
	options := []broker.ReconnectOption{broker.WithLimits(broker.Limits{Exports: maxBuilders})}
	if w.tls != nil {
		options = append(options, broker.WithTLS(w.tls))
	}
	if w.dial != nil {
		options = append(options, broker.WithDialer(w.dial))
	}
	if w.maxDelay > 0 {
		longest := min(w.maxDelay, longestDelay)
		options = append(options, broker.WithBackoff(supervision.Backoff{
			Min: min(firstDelay, longest), Max: longest, Jitter: 0.5,
		}))
	}
	return options
}

// untilEnd handles signals and touches of the shutdown file until ctx ends, or until end is called.
func (w *worker) untilEnd(
	ctx context.Context, client *broker.ReconnectingClient[*flavors.RemoteReference],
	signals <-chan os.Signal, touched <-chan struct{},
) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.done:
			return
		case <-touched:
			w.log.Info().Str("file", shutdownFile).Msg("the file was touched")
			w.askForShutdown(ctx, client)
		case s := <-signals:
			switch {
			case s == memorySignal:
				logMemory(w.log)
			case w.allowShutdown == "signal":
				w.askForShutdown(ctx, client)
			default:
				w.log.Info().Msg("SIGHUP without -allow-shutdown=signal ends the worker at once")
				return
			}
		}
	}
}

// shutdownFile is the file in the base directory that asks for a shutdown when it is touched.
const shutdownFile = "shutdown.stamp"

// shutdownInterval is how often the stock worker looks at the file.
var shutdownInterval = 10 * time.Second

// shutdownFile returns a channel that receives when the file was touched, until the worker ends.
func (w *worker) shutdownFile() <-chan struct{} {
	if w.allowShutdown != "file" {
		return nil
	}
	path := filepath.Join(w.basedir, shutdownFile)
	modified := func() time.Time {
		about, err := os.Stat(path)
		if err != nil {
			return time.Time{}
		}
		return about.ModTime()
	}
	last := modified()
	asked := make(chan struct{})
	w.rt.Go("watching "+path, func() {
		ticker := time.NewTicker(shutdownInterval)
		defer ticker.Stop()
		for {
			select {
			case <-w.done:
				return
			case <-w.rt.Closing():
				return
			case <-ticker.C:
			}
			now := modified()
			touched := !now.IsZero() && !now.Equal(last) // earlier after a step of the clock
			last = now
			if touched {
				select {
				case asked <- struct{}{}:
				case <-w.done:
				case <-w.rt.Closing():
				}
			}
		}
	})
	return asked
}

// watchdog tells systemd regularly that the worker's actors work, until the returned function is called.
func (w *worker) watchdog() (stop func()) {
	interval := w.notify.Watchdog() / 2
	if interval == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.rt.Go("the watchdog", func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			if w.isWorking(ctx, interval) {
				w.notify.Alive()
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
	return cancel
}

// isWorking reports whether the bot takes its turn in time. A stuck actor system does not.
func (w *worker) isWorking(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := w.bot.Do(func() {}).Await(ctx)
	return err == nil
}

// recordHostname writes the file with which the stock worker tells its users where it runs. As there, an error is
// ignored.
func (w *worker) recordHostname() {
	name, err := os.Hostname()
	if err == nil {
		err = os.WriteFile(filepath.Join(w.basedir, "twistd.hostname"), []byte(name+"\n"), 0o666)
	}
	if err != nil {
		w.log.Info().Err(err).Msg("cannot record the host name")
	}
}

// end makes work return the cause.
func (w *worker) end(cause error) {
	w.once.Do(func() {
		w.cause = cause
		close(w.done)
	})
}

// shutdown makes work return.
func (w *worker) shutdown() { w.end(nil) }

// session logs in. The master calls the bot several times before it answers.
func (w *worker) session(ctx context.Context, conn *broker.Conn) (*flavors.RemoteReference, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	credentials := cred.UsernamePassword{Username: w.name, Password: cred.Secret(w.password)}
	avatar, err := conn.Login(ctx, credentials, w.bot)
	if err != nil {
		// No refusal is final. A stock master refuses a second worker of the same name with RuntimeError, but the first
		// may be a dead connection that it has not noticed. A wrong password may be corrected in the master's
		// configuration.
		w.log.Warn().
			Err(err).
			Bool("refused", errors.Is(err, flavors.UnauthorizedLogin)).
			Msg("login refused; trying again")
		return nil, err
	}
	w.bot.attached(avatar)
	w.log.Info().Str("master", w.master).Msg("attached")
	if w.keepalive > 0 {
		w.rt.Go("keepalive", func() { w.keepAlive(conn, avatar) })
	}
	return avatar, nil
}

// keepAlive calls the master regularly, so that no gateway drops the idle connection. It aborts the connection if the
// master does not answer.
func (w *worker) keepAlive(conn *broker.Conn, avatar *flavors.RemoteReference) {
	ticker := time.NewTicker(w.keepalive)
	defer ticker.Stop()
	for {
		select {
		case <-conn.Context().Done():
			return
		case <-ticker.C:
		}
		if !w.isAlive(conn, avatar) {
			w.log.Warn().Msg("the master does not answer")
			conn.Abort(broker.ErrSilent)
		}
	}
}

// isAlive calls keepalive on the avatar. A timeout that fires much too late means that this process was paused, and an
// answer may be unread; isAlive then asks again.
func (w *worker) isAlive(conn *broker.Conn, avatar *flavors.RemoteReference) bool {
	for range maxPauses {
		asked := time.Now()
		ctx, cancel := context.WithTimeout(conn.Context(), w.patience)
		_, err := flavors.Call[any](ctx, avatar, "keepalive")
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			return true
		}
		if time.Since(asked) < w.patience+w.patience/8+pauseLength {
			return false
		}
	}
	return false
}

// askForShutdown asks the master to shut this worker down after the running builds. The master then calls shutdown on
// the bot.
func (w *worker) askForShutdown(ctx context.Context, client *broker.ReconnectingClient[*flavors.RemoteReference]) {
	waiting, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := client.Conn(waiting)
	if err != nil {
		w.log.Info().Msg("not attached; shutting down without asking the master")
		w.shutdown()
		return
	}
	w.log.Info().Msg("asking the master for a shutdown after the running builds")
	if err := w.bot.askForShutdown(ctx, conn); err != nil {
		w.log.Warn().Err(err).Msg("cannot ask the master for a shutdown")
	}
}

// logMemory logs the size of the heap and the number of goroutines. It collects garbage first, so that two results can
// be compared.
func logMemory(log *zerolog.Logger) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	log.Info().
		Uint64("heap", m.HeapAlloc).
		Uint64("objects", m.HeapObjects).
		Int("goroutines", runtime.NumGoroutine()).
		Msg("vitals")
}
