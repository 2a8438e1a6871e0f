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

// python is the interpreter that Debian's python3-twisted installs into.
const python = "/usr/bin/python3"

// controller starts the server and its peers, kills some of them, and adds everything up.
type controller struct {
	seed   uint64
	length time.Duration
	log    io.Writer
	env    []string // of the processes, beside this one's

	address string
	stock   string // the script; "" without stock Twisted
	total   *tally

	mu sync.Mutex
	// Guarded by mu.
	samples []sample
	peers   [2]int // processes that were started: Go, stock
	killed  int
	garbage int
}

// soak runs it all, prints the figures and says whether everything held.
func (c *controller) soak(ctx context.Context, out io.Writer) (held bool, err error) {
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
		fmt.Fprintln(c.log, "SOAK WITHOUT STOCK PEERS:", python, "cannot import twisted.spread.pb; apt-get install python3-twisted")
	}
	fmt.Fprintf(c.log, "soak: seed %d, %v\n", c.seed, c.length)
	server := c.self(ctx, "-role", roleServer, "-seed", fmt.Sprint(c.seed))
	finish, err := server.StdinPipe()
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
		return false, fmt.Errorf("the server said no address: %w", err)
	}
	c.address = address[:len(address)-1]
	watched := make(chan error, 1)
	go func() { watched <- c.watch(reader) }()

	c.load(ctx)
	_ = finish.Close()
	if err := <-watched; err != nil {
		return false, fmt.Errorf("what the server says is not to be understood: %w", err)
	}
	if err := server.Wait(); err != nil {
		return false, fmt.Errorf("the server ended: %w", err)
	}
	return c.report(out), nil
}

// self is this program in another role.
func (c *controller) self(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), c.env...)
	return cmd
}

// watch reads the server's samples until the last.
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

// load has peers come and go until the time is over, and returns when the last has gone.
func (c *controller) load(ctx context.Context) {
	over := time.Now().Add(c.length)
	var peers sync.WaitGroup
	for slot := range uint64(4) {
		peers.Go(func() {
			r := rand.New(rand.NewPCG(c.seed, 100+slot)) //nolint:gosec // it is to be repeatable, not secret
			for n := uint64(0); time.Now().Before(over); n++ {
				switch slot {
				case 3:
					c.throwGarbage(r)
				default:
					life := min(time.Duration(2+r.IntN(8))*time.Second, time.Until(over)+time.Second)
					c.peer(ctx, r, slot == 2 && c.stock != "", life)
				}
			}
		})
	}
	peers.Wait()
}

// peer runs one process of peers, and kills one in three before its time.
func (c *controller) peer(ctx context.Context, r *rand.Rand, stock bool, life time.Duration) {
	seed, kill := r.Uint64()>>40, r.IntN(3) == 0
	var cmd *exec.Cmd
	kind := 0
	if stock {
		host, port, _ := net.SplitHostPort(c.address)
		cmd = exec.CommandContext(ctx, python, "-u", c.stock, host, port, fmt.Sprint(seed), fmt.Sprint(life.Seconds()))
		kind = 1
	} else {
		cmd = c.self(ctx, "-role", rolePeer, "-address", c.address, "-seed", fmt.Sprint(seed), "-life", life.String())
	}
	var printed, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &complaints
	if err := cmd.Start(); err != nil {
		c.total.wrong("a peer cannot be started: %v", err)
		return
	}
	c.count(&c.peers[kind])
	if kill {
		timer := time.AfterFunc(time.Duration(r.Int64N(int64(life))), func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		if timer.Stop() || !killedBy(cmd) {
			c.merge(printed.Bytes()) // It was faster.
			return
		}
		c.count(&c.killed)
		return
	}
	// Twice its life, and the patience of its parts, is when it hangs.
	timer := time.AfterFunc(life+2*patience, func() {
		c.total.wrong("a peer with seed %d did not end", seed)
		_ = cmd.Process.Kill()
	})
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		c.total.wrong("a peer with seed %d ended with %v: %s", seed, err, last(complaints.Bytes()))
		return
	}
	c.merge(printed.Bytes())
}

func killedBy(cmd *exec.Cmd) bool { return cmd.ProcessState != nil && cmd.ProcessState.ExitCode() < 0 }

// last is the end of what a process complained of.
func last(b []byte) []byte {
	const most = 2000
	return b[max(0, len(b)-most):]
}

func (c *controller) count(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

func (c *controller) merge(printed []byte) {
	t := newTally()
	if err := json.Unmarshal(printed, t); err != nil {
		c.total.wrong("a peer's figures cannot be read: %v: %q", err, last(printed))
		return
	}
	c.total.merge(t)
}
