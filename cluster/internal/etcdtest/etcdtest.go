package etcdtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/perspectivebroker/pb/internal/freeport"
	"github.com/perspectivebroker/pb/internal/stock"
)

// startTime is how long servers may take until they answer.
const startTime = time.Minute

// Cluster is one or several etcd servers that belong together.
type Cluster struct {
	t       testing.TB
	Servers []*Server
}

// Server is a process of etcd.
type Server struct {
	// URL is where clients connect.
	URL    string
	args   []string
	remote bool // this process cannot connect to it
	log    *lockedBuffer
	cmd    *exec.Cmd
}

// Host is where a server runs that this process cannot connect to, such as a network namespace.
type Host struct {
	// Address is the host's IP address.
	Address string
	// Command is what runs a program there: arguments in front of the program.
	Command []string
}

// Start starts one server, or several that elect a leader, and waits until they answer. The test is skipped if there
// is no etcd, or fails if tests may not be skipped.
func Start(t testing.TB, servers int) *Cluster {
	t.Helper()
	path := program(t)
	var clients, peers []string
	for range servers {
		clients, peers = append(clients, freeport.Address(t)), append(peers, freeport.Address(t))
	}
	return start(t, path, clients, peers, make([]Host, servers))
}

// StartOn starts one server on each host and waits until they serve.
func StartOn(t testing.TB, hosts ...Host) *Cluster {
	t.Helper()
	path := program(t)
	var clients, peers []string
	for _, h := range hosts {
		clients = append(clients, net.JoinHostPort(h.Address, "2379"))
		peers = append(peers, net.JoinHostPort(h.Address, "2380"))
	}
	return start(t, path, clients, peers, hosts)
}

// program returns the path of etcd.
func program(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("etcd")
	if err != nil {
		if stock.Mandatory() {
			t.Fatal("etcd is missing: install Debian's etcd-server")
		}
		t.Skip("etcd is missing: install Debian's etcd-server")
	}
	return path
}

func start(t testing.TB, path string, clients, peers []string, hosts []Host) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	dir := t.TempDir()
	var initial []string
	for i, peer := range peers {
		initial = append(initial, fmt.Sprintf("e%d=http://%s", i, peer))
	}
	for i, h := range hosts {
		url, peer := "http://"+clients[i], "http://"+peers[i]
		args := append(slices.Clone(h.Command), path,
			"--name", fmt.Sprintf("e%d", i), "--data-dir", filepath.Join(dir, fmt.Sprintf("e%d", i)),
			"--listen-client-urls", url, "--advertise-client-urls", url,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(initial, ","), "--initial-cluster-token", "test",
			// A test's data need not outlive the machine.
			"--unsafe-no-fsync",
		)
		c.Servers = append(c.Servers, &Server{URL: url, args: args, remote: len(h.Command) > 0, log: &lockedBuffer{}})
	}
	t.Cleanup(func() {
		for _, s := range c.Servers {
			s.Kill()
		}
	})
	for _, s := range c.Servers {
		s.Run(t)
	}
	c.WaitReady()
	return c
}

// Endpoints returns the URLs of all servers.
func (c *Cluster) Endpoints() []string {
	var urls []string
	for _, s := range c.Servers {
		urls = append(urls, s.URL)
	}
	return urls
}

// Config returns a client's configuration for all servers.
func (c *Cluster) Config() clientv3.Config { return clientv3.Config{Endpoints: c.Endpoints()} }

// WaitReady waits until every server is healthy: it has a leader that answers.
func (c *Cluster) WaitReady() {
	c.t.Helper()
	for _, s := range c.Servers {
		require.NoError(c.t, s.waitHealthy(), "etcd does not answer:\n%s", s.log)
	}
}

// Leader returns the server that leads, and those that follow. It waits if they elect one.
func (c *Cluster) Leader() (leader *Server, followers []*Server) {
	c.t.Helper()
	leader = c.WaitLeader(c.Servers...)
	for _, s := range c.Servers {
		if s != leader {
			followers = append(followers, s)
		}
	}
	return leader, followers
}

// WaitLeader waits until one of these servers leads, and returns it. Others may be silent.
func (c *Cluster) WaitLeader(among ...*Server) *Server {
	c.t.Helper()
	var urls []string
	for _, s := range among {
		urls = append(urls, s.URL)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: urls})
	require.NoError(c.t, err)
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		for _, s := range among {
			status, err := client.Status(ctx, s.URL)
			require.NoError(c.t, err, "no etcd server leads")
			if status.Leader == status.Header.MemberId {
				return s
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Run starts the process, again if it was killed. It does not wait until the server answers.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Env = append(os.Environ(), "ETCD_UNSUPPORTED_ARCH=")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, s.cmd.Start())
}

// Kill ends the process at once and waits for its end. It has no effect if the process has ended.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	s.Signal(syscall.SIGKILL)
	_ = s.cmd.Wait() // killed: the error says so
	s.cmd = nil
}

// Signal sends a signal to the process, such as SIGSTOP or SIGCONT.
func (s *Server) Signal(signal syscall.Signal) { _ = s.cmd.Process.Signal(signal) }

// waitHealthy asks again and again, because the server may not listen yet.
func (s *Server) waitHealthy() error {
	deadline := time.Now().Add(startTime)
	for {
		err := s.healthy()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *Server) healthy() error {
	if s.remote {
		// It prints this when it has joined the others and has a leader.
		if !strings.Contains(s.log.String(), "ready to serve client requests") {
			return errors.New("it does not serve yet")
		}
		return nil
	}
	client := http.Client{Timeout: time.Second}
	answer, err := client.Get(s.URL + "/health")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s", answer.Status)
	}
	return nil
}

// lockedBuffer is what a process has printed.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
