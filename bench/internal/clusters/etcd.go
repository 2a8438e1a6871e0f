package clusters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// etcdTime is how long etcd may take until it answers.
const etcdTime = 30 * time.Second

// etcd is a process of etcd with one server.
type etcd struct {
	url string
	cmd *exec.Cmd
}

func startEtcd(ctx context.Context, log io.Writer, dir string) (*etcd, error) {
	program, err := exec.LookPath("etcd")
	if err != nil {
		return nil, fmt.Errorf("a cluster needs etcd, such as Debian's package etcd-server: %w", err)
	}
	client, err := freeURL()
	if err != nil {
		return nil, err
	}
	peer, err := freeURL()
	if err != nil {
		return nil, err
	}
	e := &etcd{url: client, cmd: exec.CommandContext(ctx, program,
		"--name", "e0", "--data-dir", filepath.Join(dir, "etcd"), "--initial-cluster", "e0="+peer,
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--unsafe-no-fsync", "--log-level", "error",
	)}
	e.cmd.Stderr = log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that Ctrl-C ends it after the nodes
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	if err := e.awaitHealth(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("etcd does not answer: %w", err), e.end())
	}
	return e, nil
}

func (e *etcd) awaitHealth(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, etcdTime)
	defer cancel()
	for {
		err := e.health(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (e *etcd) health(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+"/health", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

func (e *etcd) end() error {
	if err := e.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = e.cmd.Wait() // It was killed, and the error says so.
	return nil
}

// freeURL returns a URL with a port that was free a moment ago.
func freeURL() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return "http://" + l.Addr().String(), l.Close()
}
