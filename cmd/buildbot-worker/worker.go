//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
)

// loginTime limits a login. During the login the master asks for the worker's information and waits for its database.
const loginTime = 2 * time.Minute

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
	rt   *actor.Runtime
	log  *zerolog.Logger
	bot  *bot
	done chan struct{} // closed by shutdown
	once sync.Once
}

func newWorker(rt *actor.Runtime, c config) (*worker, error) {
	w := &worker{config: c, rt: rt, log: rt.Logger(), done: make(chan struct{})}
	w.bot = &bot{worker: w, builders: map[string]*builderEntry{}}
	// The bot and its builders outlive every connection.
	_, err := flavors.Spawn(rt, w.bot)
	return w, err
}

// work keeps the worker attached until ctx ends or the master shuts it down.
func (w *worker) work(ctx context.Context) error {
	options := []broker.ReconnectOption{broker.WithLimits(broker.Limits{Exports: maxBuilders})}
	if w.tls != nil {
		options = append(options, broker.WithTLS(w.tls))
	}
	client, err := broker.Reconnect(w.rt, w.master, w.session, options...)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	for working := true; working; {
		select {
		case <-ctx.Done():
			working = false
		case <-w.done:
			working = false
		case s := <-signals:
			if s == syscall.SIGUSR1 {
				logMemory(w.log)
				continue
			}
			w.askForShutdown(ctx, client)
		}
	}
	w.log.Info().Msg("shutting down")
	end, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	return client.Close(end)
}

// shutdown makes work return.
func (w *worker) shutdown() { w.once.Do(func() { close(w.done) }) }

// session logs in. The master calls the bot several times before it answers.
func (w *worker) session(ctx context.Context, conn *broker.Conn) (*flavors.RemoteReference, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	credentials := cred.UsernamePassword{Username: w.name, Password: cred.Secret(w.password)}
	avatar, err := conn.Login(ctx, credentials, w.bot)
	if err != nil {
		// No refusal is final. A stock master refuses a second worker of the same name with RuntimeError, but the first may
		// be a dead connection that it has not noticed. A wrong password may be corrected in the master's configuration.
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
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := client.Conn(ctx)
	if err != nil {
		w.log.Info().Msg("not attached; shutting down without asking the master")
		w.shutdown()
		return
	}
	w.log.Info().Msg("asking the master for a shutdown after the running builds")
	if err := w.bot.askForShutdown(conn); err != nil {
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
