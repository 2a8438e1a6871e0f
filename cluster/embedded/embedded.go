package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"go.etcd.io/etcd/server/v3/embed"
)

// Defaults of Config.
const (
	// DefaultName is the server's name.
	DefaultName = "default"
	// DefaultURL is where clients and other servers connect: a free port of the loopback interface.
	DefaultURL = "http://127.0.0.1:0"
)

// Config is what [Start] needs.
type Config struct {
	// Dir is the directory for the server's data; it is created if need be. A server that starts with the data of an
	// earlier one goes on where that one ended. Start writes the URL for clients into the file url there.
	Dir string
	// Name is the server's name among several. The default is DefaultName.
	Name string
	// ClientURL is where clients connect, PeerURL where the other servers do. Port 0 picks a free port, which several
	// servers cannot use for their PeerURL. The default is DefaultURL.
	ClientURL, PeerURL string
	// Servers are the PeerURLs of all servers by name, with this one. The default is this server alone.
	Servers map[string]string
	// Log is the level of the server's log on standard error: "debug", "info", "warn", "error". The default is "error".
	Log string
}

// Server is a server of etcd in this process.
type Server struct {
	etcd      *embed.Etcd
	endpoints []string
	close     sync.Once
}

// Start starts a server and waits until it serves clients. Of several servers more than half must have been
// started. If ctx ends before, the server is stopped.
func Start(ctx context.Context, c Config) (*Server, error) {
	config, err := c.config()
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, fmt.Errorf("embedded: etcd does not start in %s: %w", c.Dir, err)
	}
	s := &Server{etcd: etcd}
	select {
	case <-etcd.Server.ReadyNotify():
	case err = <-etcd.Err():
	case <-etcd.Server.StopNotify():
		err = errors.New("it has stopped")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		etcd.Server.Stop() // Otherwise Close waits until it is ready.
	} else {
		for _, l := range etcd.Clients {
			s.endpoints = append(s.endpoints, "http://"+l.Addr().String())
		}
		err = os.WriteFile(filepath.Join(c.Dir, "url"), []byte(s.endpoints[0]+"\n"), 0o600)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("embedded: etcd does not start in %s: %w", c.Dir, err)
	}
	return s, nil
}

// Endpoints returns the URLs at which clients connect, with the port that was bound.
func (s *Server) Endpoints() []string { return s.endpoints }

// Err returns a channel with the error of a server that fails later.
func (s *Server) Err() <-chan error { return s.etcd.Err() }

// Close stops the server. It may be called more than once.
func (s *Server) Close() { s.close.Do(s.etcd.Close) }

// config returns etcd's own configuration.
func (c Config) config() (*embed.Config, error) {
	if c.Dir == "" {
		return nil, errors.New("Config.Dir is missing: the directory for the server's data")
	}
	client, err := parseURL("ClientURL", c.ClientURL)
	if err != nil {
		return nil, err
	}
	peer, err := parseURL("PeerURL", c.PeerURL)
	if err != nil {
		return nil, err
	}
	config := embed.NewConfig()
	config.Dir, config.Name, config.LogLevel = filepath.Join(c.Dir, "etcd"), c.Name, c.Log
	if config.Name == "" {
		config.Name = DefaultName
	}
	if config.LogLevel == "" {
		config.LogLevel = "error"
	}
	config.LogOutputs = []string{"stderr"}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	config.InitialCluster = config.Name + "=" + peer.String()
	if len(c.Servers) > 0 {
		if c.Servers[config.Name] != peer.String() {
			return nil, fmt.Errorf("Config.Servers has %q for this server %q, its PeerURL is %q", c.Servers[config.Name],
				config.Name, peer)
		}
		config.InitialCluster = ""
		for name, peer := range c.Servers {
			config.InitialCluster += name + "=" + peer + ","
		}
		config.InitialCluster = config.InitialCluster[:len(config.InitialCluster)-1]
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	return config, nil
}

func parseURL(field, text string) (*url.URL, error) {
	if text == "" {
		text = DefaultURL
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return nil, fmt.Errorf("the URL in Config.%s is %q; it must be like %s", field, text, DefaultURL)
	}
	return u, nil
}
