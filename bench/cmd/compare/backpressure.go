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

// rude is a kind of peer that takes no regard of the others of its server.
type rude struct {
	name string
	// It calls this method of the root, again and again until nothing more is taken unless it is for once.
	method string
	args   []any
	once   bool
	// reads is how much it reads every ten milliseconds; nothing if zero.
	reads int
}

// rudePeers is how many of a kind there are at a time.
const rudePeers = 4

var rudes = []rude{
	{name: "reads-nothing", method: "echo", args: []any{make([]byte, 64<<10)}},
	{name: "reads-slowly", method: "echo", args: []any{make([]byte, 4<<10)}, reads: 64 << 10},
	{name: "slow-object", method: "never", reads: 64 << 10},
	{name: "stalled-collector", method: "pages", args: []any{[]any{[]byte("remote"), int64(1)}}, once: true},
}

// call is what it writes, in Banana.
func (k rude) call() ([]byte, error) {
	return banana.EncodeExpr(banana.ProfilePB, []any{
		[]byte("message"), int64(1), []byte("root"), []byte(k.method), int64(1), append([]any{[]byte("tuple")}, k.args...), []any{[]byte("dictionary")},
	})
}

// besideAll measures what calls of a well-behaved client take while others take no regard, and what they take alone, in turns. Only ours is
// measured.
func (c comparison) besideAll(ctx context.Context, _ []systems.System) ([]report.Row, error) {
	ours, _ := systems.ByName("ours")
	var rows []report.Row
	for _, kind := range c.scale.rudes {
		fmt.Fprintln(c.log, "backpressure:", kind.name)
		measured, err := c.beside(ctx, ours, kind)
		rows = append(rows, measured...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// beside measures with a server of its own: what one kind leaves behind must not be blamed on the next.
func (c comparison) beside(ctx context.Context, s systems.System, kind rude) (rows []report.Row, err error) {
	pair, err := child.StartPair(ctx, c.log, s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pair.End()) }()
	if _, err := pair.Client.Ask(child.Request{Op: child.OpOpen, Conns: 1, Callers: 1}); err != nil {
		return nil, err
	}
	alone, under, rss := &series{pair: pair}, &series{pair: pair}, 0.0
	for range c.scale.pace.rounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := alone.round(c.scale.pace); err != nil {
			return nil, err
		}
		leave, err := attack(ctx, pair.Addr, kind)
		if err != nil {
			return nil, err
		}
		err = under.round(c.scale.pace)
		usage, usageErr := pair.Server.Ask(child.Request{Op: child.OpUsage})
		leave()
		if err := errors.Join(err, usageErr); err != nil {
			return nil, err
		}
		rss = max(rss, float64(usage.RSS))
	}
	name := "backpressure-" + kind.name
	before, row := alone.row(workload{name: name}), under.row(workload{name: name})
	before.Name = "alone"
	row.RSS, row.P50VsAlone = rss, row.P50/before.P50
	return []report.Row{row, before}, nil
}

// attack has peers of a kind at the server until they are told to leave. It returns when each has written a good part of what is taken of it.
func attack(ctx context.Context, addr string, kind rude) (leave func(), err error) {
	call, err := kind.call()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	begun := make(chan error, rudePeers)
	for range rudePeers {
		go func() {
			defer func() { ended <- struct{}{} }()
			kind.play(ctx, addr, call, begun)
		}()
	}
	for range rudePeers {
		err = errors.Join(err, <-begun)
	}
	leave = func() {
		cancel()
		for range rudePeers {
			<-ended
		}
	}
	if err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// goodPart is how much a rude peer has written when it is said to have begun: more than sockets keep.
const goodPart = 1 << 20

// play is the life of a rude peer. It sends one error or nil to begun.
func (k rude) play(ctx context.Context, addr string, call []byte, begun chan<- error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(addr, "pb://"))
	if err != nil {
		begun <- err
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
	many := append(banana.AppendChoice(nil, banana.ProfilePB), call...)
	written := 0
	for tell := true; ; many = call {
		_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := conn.Write(many)
		written += n
		stuck := errors.Is(err, os.ErrDeadlineExceeded)
		if tell && (written > goodPart || err != nil || k.once) {
			tell = false
			if stuck {
				begun <- nil
			} else {
				begun <- err
			}
		}
		switch {
		case k.once && err == nil:
			<-ctx.Done()
			return
		case stuck:
			// Half a call has been written, and the server takes no more: from here on it is the stalled peer that was wanted, or goes on when
			// it has read some.
			_ = conn.SetWriteDeadline(time.Time{})
			if _, err := conn.Write(many[n:]); err != nil {
				return
			}
		case err != nil:
			return
		}
	}
}

// read reads a little now and then.
func (k rude) read(ctx context.Context, conn net.Conn) {
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
