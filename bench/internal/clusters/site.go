package clusters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// Site is an etcd with the certificates for nodes.
type Site struct {
	log  io.Writer
	args []string // for each process
	dir  string
	ca   *authority
	etcd *etcd
}

// NewSite starts an etcd. Processes of the cluster get the arguments extraArgs in addition to their roles. The standard
// error of all processes goes to log, which must allow concurrent writes.
func NewSite(ctx context.Context, log io.Writer, extraArgs ...string) (s *Site, err error) {
	s = &Site{log: log, args: extraArgs}
	if s.dir, err = os.MkdirTemp("", "compare"); err != nil {
		return nil, err
	}
	if s.ca, err = newAuthority(s.dir); err == nil {
		s.etcd, err = startEtcd(ctx, log, s.dir)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, systems.EtcdFile), []byte(s.etcd.url), 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, s.End())
	}
	return s, nil
}

// End ends etcd and removes the files. The nodes must have ended before.
func (s *Site) End() error {
	var err error
	if s.etcd != nil {
		err = s.etcd.end()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// Gateway starts a node without objects and returns the address for clients.
func (s *Site) Gateway(ctx context.Context, name string) (*child.Process, string, error) {
	return s.start(ctx, RoleGateway, name)
}

// Owner starts a process with nodes that have objects.
func (s *Site) Owner(ctx context.Context, names ...string) (*child.Process, error) {
	p, _, err := s.start(ctx, RoleOwner, names...)
	return p, err
}

func (s *Site) start(ctx context.Context, role string, names ...string) (*child.Process, string, error) {
	for _, name := range names {
		if err := s.ca.node(name); err != nil {
			return nil, "", err
		}
	}
	args := append([]string{"-addr", s.dir, "-nodes", strings.Join(names, ",")}, s.args...)
	return child.Start(ctx, s.log, systems.System{Name: systems.RelayedMTLS}, role, args...)
}

// StartMTLS starts a client that calls an object of the node b through the node a.
func (s *Site) StartMTLS(ctx context.Context, system systems.System) (*child.Pair, error) {
	owner, err := s.Owner(ctx, systems.Owner)
	if err != nil {
		return nil, err
	}
	gateway, addr, err := s.Gateway(ctx, "a")
	if err != nil {
		return nil, errors.Join(err, owner.End())
	}
	return child.NewPair(ctx, s.log, system, addr, []*child.Process{gateway, owner}, s.args...)
}

// StartPlaced starts a client that is in a node itself, and calls an object of another node.
func (s *Site) StartPlaced(ctx context.Context, system systems.System) (*child.Pair, error) {
	if err := s.ca.node(systems.Caller); err != nil {
		return nil, err
	}
	owner, err := s.Owner(ctx, systems.Remote)
	if err != nil {
		return nil, err
	}
	return child.NewPair(ctx, s.log, system, s.dir, []*child.Process{owner}, s.args...)
}

// StartClear starts a client that calls the object of a server through a gateway, over clear connections.
func StartClear(ctx context.Context, log io.Writer, system systems.System, extraArgs ...string) (*child.Pair, error) {
	direct, _ := systems.ByName("ours")
	owner, at, err := child.Start(ctx, log, direct, child.RoleServer, extraArgs...)
	if err != nil {
		return nil, err
	}
	gateway, addr, err := child.Start(ctx, log, system, RoleRelay, append([]string{"-addr", at}, extraArgs...)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the gateway: %w", err), owner.End())
	}
	return child.NewPair(ctx, log, system, addr, []*child.Process{gateway, owner}, extraArgs...)
}
