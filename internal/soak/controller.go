package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // for stock.py
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

//go:embed stock.py
var stockPeer []byte

// python is the interpreter for which Debian installs Twisted.
const python = "/usr/bin/python3"

// controller starts the server and the peers, kills some of the peers, and sums up the results.
type controller struct {
	seed     uint64
	duration time.Duration
	log      io.Writer
	env      []string // additional environment of the processes

	address string // of the server
	stock   string // path of the script of stock peers; empty without stock Twisted
	total   *tally // of all peers

	mu sync.Mutex
	// Guarded by mu.
	samples []sample
	peers   [2]int // processes started: Go, stock
	killed  int
	garbage int
}

// run runs the server and the load, prints the report and reports whether all checks succeeded.
func (c *controller) run(ctx context.Context, out io.Writer) (ok bool, err error) {
	c.total = newTally()
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := exec.CommandContext(ctx, python, "-c", "import twisted.spread.pb").Run(); err == nil {
		c.stock = filepath.Join(dir, "stock.py")
		if err := os.WriteFile(c.stock, stockPeer, 0o600); err != nil {
			return false, err
		}
	} else {
		fmt.Fprintln(c.log, "WITHOUT STOCK PEERS:", python,
			"cannot import twisted.spread.pb; run: apt-get install python3-twisted")
	}
	fmt.Fprintf(c.log, "soak: seed %d, %v\n", c.seed, c.duration)
	server := c.command(ctx, "-role", roleServer, "-seed", fmt.Sprint(c.seed))
	stdin, err := server.StdinPipe()
	if err != nil {
		return false, err
	}
	lines, err := server.StdoutPipe()
	if err != nil {
		return false, err
	}
	server.Stderr = c.log
	if err := server.Start(); err != nil {
		return false, err
	}
	reader := bufio.NewReader(lines)
	address, err := reader.ReadString('\n')
	if err != nil {
		return false, fmt.Errorf("cannot read the server's address: %w", err)
	}
	c.address = address[:len(address)-1]
	watched := make(chan error, 1)
	go func() { watched <- c.watch(reader) }()

	c.load(ctx)
	_ = stdin.Close()
	if err := <-watched; err != nil {
		return false, fmt.Errorf("cannot read the server's samples: %w", err)
	}
	if err := server.Wait(); err != nil {
		return false, fmt.Errorf("the server failed: %w", err)
	}
	return c.report(out), nil
}

// command returns a command that runs this program in another role.
func (c *controller) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), c.env...)
	return cmd
}

// watch reads the server's samples up to the last one.
func (c *controller) watch(r io.Reader) error {
	decoder := json.NewDecoder(r)
	for {
		var s sample
		if err := decoder.Decode(&s); err != nil {
			return err
		}
		c.mu.Lock()
		c.samples = append(c.samples, s)
		c.mu.Unlock()
		if s.Last {
			return nil
		}
	}
}

// load runs peers until the duration has passed. It returns when the last peer has exited.
func (c *controller) load(ctx context.Context) {
	end := time.Now().Add(c.duration)
	var peers sync.WaitGroup
	for slot := range uint64(4) {
		peers.Go(func() {
			r := rand.New(rand.NewPCG(c.seed, 100+slot)) //nolint:gosec // must be reproducible, not secret
			for time.Now().Before(end) {
				switch slot {
				case 3:
					c.sendGarbage(r)
				default:
					lifetime := min(time.Duration(2+r.IntN(8))*time.Second, time.Until(end)+time.Second)
					c.peer(ctx, r, slot == 2 && c.stock != "", lifetime)
				}
			}
		})
	}
	peers.Wait()
}

// peer runs one process of peers. One in three is killed before its lifetime has passed.
func (c *controller) peer(ctx context.Context, r *rand.Rand, stock bool, lifetime time.Duration) {
	seed, kill := r.Uint64()>>40, r.IntN(3) == 0
	var cmd *exec.Cmd
	kind := 0
	if stock {
		host, port, _ := net.SplitHostPort(c.address)
		cmd = exec.CommandContext(ctx, python, "-u", c.stock, host, port,
			fmt.Sprint(seed), fmt.Sprint(lifetime.Seconds()))
		kind = 1
	} else {
		cmd = c.command(ctx,
			"-role", rolePeer, "-address", c.address, "-seed", fmt.Sprint(seed), "-lifetime", lifetime.String())
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		c.total.errorf("cannot start a peer: %v", err)
		return
	}
	c.count(&c.peers[kind])
	if kill {
		timer := time.AfterFunc(time.Duration(r.Int64N(int64(lifetime))), func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		if timer.Stop() || !killedBySignal(cmd) {
			c.merge(stdout.Bytes()) // It exited before it was killed.
			return
		}
		c.count(&c.killed)
		return
	}
	// A process hangs if it does not exit within its lifetime plus the timeouts of its parts.
	timer := time.AfterFunc(lifetime+2*timeout, func() {
		c.total.errorf("the peer with seed %d did not exit", seed)
		_ = cmd.Process.Kill()
	})
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		c.total.errorf("the peer with seed %d failed: %v: %s", seed, err, tail(stderr.Bytes()))
		return
	}
	c.merge(stdout.Bytes())
}

func killedBySignal(cmd *exec.Cmd) bool {
	return cmd.ProcessState != nil && cmd.ProcessState.ExitCode() < 0
}

// tail returns at most the last 2000 bytes of b.
func tail(b []byte) []byte {
	const limit = 2000
	return b[max(0, len(b)-limit):]
}

func (c *controller) count(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

func (c *controller) merge(stdout []byte) {
	t := newTally()
	if err := json.Unmarshal(stdout, t); err != nil {
		c.total.errorf("cannot read the tally of a peer: %v: %q", err, tail(stdout))
		return
	}
	c.total.merge(t)
}
