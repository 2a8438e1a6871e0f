//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
)

// loginTime is how long a login may take. The master asks for our information meanwhile, and waits for its database.
const loginTime = 2 * time.Minute

// maxBuilders is how many builders the master may hold at a time. Stock workers stop at 1,024 objects of all kinds;
// large installations have more builders than that.
const maxBuilders = 16 << 10

const (
	// pauseLength is what makes a wait that ended late a pause of this process.
	pauseLength = 100 * time.Millisecond
	// maxPauses is how many of them in a row there may be: a machine may be so busy that all waits end late.
	maxPauses = 10
)

// worker is the program: one name at one master, over as many connections as it takes.
type worker struct {
	config
	rt   *actor.Runtime
	log  *zerolog.Logger
	bot  *bot
	done chan struct{} // closed when the master has told us to end
	once sync.Once
}

func newWorker(rt *actor.Runtime, c config) (*worker, error) {
	w := &worker{config: c, rt: rt, log: rt.Logger(), done: make(chan struct{})}
	w.bot = &bot{worker: w, builders: map[string]*desk{}}
	// The bot outlives every connection, and so do its builders.
	_, err := flavors.Spawn(rt, w.bot)
	return w, err
}

// work keeps the worker attached until ctx ends or the master tells it to shut down.
func (w *worker) work(ctx context.Context) error {
	options := []broker.Option{broker.WithLimits(broker.Limits{Exports: maxBuilders})}
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
				logVitals(w.log)
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

// shutdown has work return.
func (w *worker) shutdown() { w.once.Do(func() { close(w.done) }) }

// session logs in. While it waits for the answer the master calls the bot, several times.
func (w *worker) session(ctx context.Context, conn *broker.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	credentials := cred.UsernamePassword{Username: w.name, Password: cred.Secret(w.password)}
	avatar, err := conn.Login(ctx, credentials, w.bot)
	if err != nil {
		// A stock master refuses the second worker of a name with a RuntimeError: the first may be a connection that is dead
		// and that it has not noticed yet. A wrong password may be mended in its configuration. So nothing is refused for
		// good.
		w.log.Warn().
			Err(err).
			Bool("refused", errors.Is(err, flavors.UnauthorizedLogin)).
			Msg("the master did not let us in; trying again")
		return err
	}
	w.bot.attached(avatar)
	w.log.Info().Str("master", w.master).Msg("attached")
	if w.keepalive > 0 {
		w.rt.Go("keepalive", func() { w.keepAlive(conn, avatar) })
	}
	return nil
}

// keepAlive shows a sign of life from time to time, so that no gateway in between forgets the connection, and ends a
// connection whose master does not answer.
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

// isAlive asks the master for a sign of life. When the time is over much too late this process was paused, and the
// master's answer may not have been read: it is asked again.
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

// askForShutdown asks the master to let us go when the running builds are done: it answers by calling shutdown on the
// bot.
func (w *worker) askForShutdown(ctx context.Context, client *broker.ReconnectingClient) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := client.Conn(ctx)
	if err != nil {
		w.log.Info().Msg("not attached, so nobody has to be asked whether we may end")
		w.shutdown()
		return
	}
	w.log.Info().Msg("asking the master for a shutdown after the running builds")
	if err := w.bot.askForShutdown(conn); err != nil {
		w.log.Warn().Err(err).Msg("the master cannot be asked")
	}
}
