package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/perspectivebroker/pb/codec/banana"
)

// attacker is a kind of peer that overloads its server.
type attacker struct {
	name string
	// It calls this method of the root, repeatedly unless once is set.
	method string
	args   []any
	once   bool
	// reads is the maximum number of bytes that it reads every ten milliseconds.
	reads int
}

// attackerCount is the number of concurrent attackers.
const attackerCount = 4

var attackers = []attacker{
	{name: "reads-nothing", method: "echo", args: []any{make([]byte, 64<<10)}},
	{name: "reads-slowly", method: "echo", args: []any{make([]byte, 4<<10)}, reads: 64 << 10},
	{name: "slow-object", method: "never", reads: 64 << 10},
	{name: "stalled-collector", method: "pages", args: []any{[]any{[]byte("remote"), int64(1)}}, once: true},
}

// workload returns the name of the workload that it attacks.
func (k attacker) workload() string { return "backpressure-" + k.name }

// call returns the encoded call that it sends.
func (k attacker) call() ([]byte, error) {
	return banana.EncodeExpr(banana.ProfilePB, []any{
		[]byte("message"), int64(1), []byte("root"), []byte(k.method), int64(1),
		append([]any{[]byte("tuple")}, k.args...), []any{[]byte("dictionary")},
	})
}

// measureBackpressure measures the calls of a well-behaved client with and without attackers, in alternating rounds. It
// measures only ours.
func (c comparison) measureBackpressure(ctx context.Context, _ []systems.System) ([]report.Row, error) {
	ours, _ := systems.ByName("ours")
	var rows []report.Row
	for _, kind := range c.scale.attackers {
		fmt.Fprintln(c.log, "backpressure:", kind.name)
		measured, err := c.measureAttack(ctx, ours, kind)
		switch {
		case ctx.Err() != nil:
			return rows, ctx.Err()
		case err != nil:
			measured = []report.Row{report.FailedRow(ours.Name, kind.workload(), 0, err)}
		}
		rows = append(rows, measured...)
	}
	return rows, nil
}

// measureAttack measures one kind of attacker. It starts a new server, so that kinds do not affect each other.
func (c comparison) measureAttack(
	ctx context.Context, s systems.System, kind attacker,
) (rows []report.Row, err error) {
	pair, err := child.StartPair(ctx, c.log, s, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pair.End()) }()
	if _, err := pair.Client.Ask(child.Request{Op: child.OpOpen, Conns: 1, Callers: 1}); err != nil {
		return nil, err
	}
	alone, loaded, rss := &series{pair: pair}, &series{pair: pair}, 0.0
	for range c.scale.schedule.rounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if alone.round(c.scale.schedule); alone.failed != nil {
			return nil, alone.failed
		}
		stop, err := startAttack(ctx, pair.Addr, kind)
		if err != nil {
			return nil, err
		}
		loaded.round(c.scale.schedule)
		usage := loaded.usage()
		stop()
		if loaded.failed != nil {
			return nil, loaded.failed
		}
		rss = max(rss, float64(usage.RSS))
	}
	w := workload{name: kind.workload()}
	before, row := alone.row(w), loaded.row(w)
	before.Name = "alone"
	row.RSS, row.P50VsAlone = rss, row.P50/before.P50
	return []report.Row{row, before}, nil
}

// startAttack connects attackers to the server. It returns when each of them has started; see [startedBytes]. stop
// disconnects them.
func startAttack(ctx context.Context, addr string, kind attacker) (stop func(), err error) {
	call, err := kind.call()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	started := make(chan error, attackerCount)
	for range attackerCount {
		go func() {
			defer func() { ended <- struct{}{} }()
			kind.run(ctx, addr, call, started)
		}()
	}
	for range attackerCount {
		err = errors.Join(err, <-started)
	}
	stop = func() {
		cancel()
		for range attackerCount {
			<-ended
		}
	}
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// startedBytes is the number of bytes after which an attacker counts as started: more than socket buffers hold.
const startedBytes = 1 << 20

// run is one attacker. It sends one error or nil to started.
func (k attacker) run(ctx context.Context, addr string, call []byte, started chan<- error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(addr, "pb://"))
	if err != nil {
		started <- err
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if stop() {
			_ = conn.Close()
		}
	}()
	if k.reads > 0 {
		go k.read(ctx, conn)
	}
	data := append(banana.AppendChoice(nil, banana.ProfilePB), call...)
	written := 0
	for isStarted := false; ; data = call {
		_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := conn.Write(data)
		written += n
		blocked := errors.Is(err, os.ErrDeadlineExceeded)
		if !isStarted && (written > startedBytes || err != nil || k.once) {
			isStarted = true
			if blocked {
				started <- nil
			} else {
				started <- err
			}
		}
		switch {
		case k.once && err == nil:
			<-ctx.Done()
			return
		case blocked:
			// The server does not read any more, and part of a call has been written. Block until it reads the rest.
			_ = conn.SetWriteDeadline(time.Time{})
			if _, err := conn.Write(data[n:]); err != nil {
				return
			}
		case err != nil:
			return
		}
	}
}

// read reads up to k.reads bytes every ten milliseconds.
func (k attacker) read(ctx context.Context, conn net.Conn) {
	buf := make([]byte, k.reads)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}
