package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/endpoint"
	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/tac"
)

// create writes the base directory of a worker, for this program and the stock one.
func create(args []string, out io.Writer) error {
	o := newOptions("create")
	o.BoolVar(&o.useTLS, "use-tls", false, "connect with TLS")
	o.BoolVar(&o.relocatable, "relocatable", false, "write a buildbot.tac that may be moved with its directory")
	o.BoolVar(&o.quiet, "quiet", false, "do not say what is done")
	o.StringVar(&o.proxyConnectionString, "proxy-connection-string", "", "the HTTP `proxy` to connect through: "+
		"tcp:host:port")
	o.Usage = func() {
		fmt.Fprint(o.Output(), "Usage: buildbot-worker create [flags] BASEDIR MASTER NAME [PASSWORD]\n\n"+
			"MASTER is host[:port], or a connection string such as tls:host:port or unix:/path. Without PASSWORD, and if\n"+
			"it is -, the password comes from -password-file, from "+passwordVariable+", or from the terminal.\n\n")
		o.PrintDefaults()
	}
	words, err := o.words(args, os.Stderr)
	if err != nil {
		return err
	}
	if len(words) == 4 && words[3] != "-" {
		o.secret.flag = words[3]
	} else if len(words) < 3 || len(words) > 4 {
		return errors.New("create takes BASEDIR MASTER NAME [PASSWORD]; see create -help")
	}
	s := tac.Settings{Name: words[2], Proxy: o.proxyConnectionString, UseTLS: o.useTLS, Keepalive: o.keepalive,
		MaxDelay: o.maxDelay, MaxRetries: int(o.maxRetries), NumCPUs: int(o.cpus), AllowShutdown: o.allowShutdown,
		DeleteLeftoverDirs: o.deleteLeftoverDirs,
		Log:                tac.Log{RotateLength: int64(o.logSize), MaxRotated: int(o.logCount)}}
	if s.Password, err = o.secret.password(""); err != nil {
		return err
	}
	if err = o.check(&s, words[1]); err != nil {
		return err
	}
	if s.Password == "" {
		if s.Password, err = askPassword(os.Stderr); err != nil {
			return err
		}
	}
	dir, err := filepath.Abs(words[0])
	if err != nil {
		return err
	}
	if !o.relocatable {
		s.Basedir = dir
	}
	if o.quiet {
		out = io.Discard
	}
	return writeWorker(dir, s, out)
}

// check takes the master's address, and refuses what neither worker can use.
func (o *options) check(s *tac.Settings, master string) (err error) {
	if s.Umask, err = o.umaskValue(); err != nil {
		return err
	}
	if err = o.shutdownValue(); err != nil {
		return err
	}
	if s.Name == "" || strings.ContainsRune(s.Name, 0) {
		return errors.New("the worker's name is empty or contains a NUL character")
	}
	if o.proxyConnectionString != "" {
		if _, err = endpoint.Parse(o.proxyConnectionString); err != nil {
			return fmt.Errorf("-proxy-connection-string: %w", err)
		}
	}
	kind, _, _ := strings.Cut(strings.ToLower(master), ":")
	switch kind {
	case "http", "https", "pb", "pbs":
		return errors.New("MASTER is not a URL; write host:port")
	case "tcp", "tls", "ssl", "unix":
		if strings.Count(master, ":") > 1 || kind == "unix" {
			if s.Proxy != "" {
				return errors.New("with a proxy, MASTER must be host:port")
			}
			s.Connection = master
			_, err = endpoint.Parse(master)
			return err
		}
	}
	s.Host, s.Port, err = hostPort(master)
	return err
}

// hostPort reads host, host:port, [address] or [address]:port.
func hostPort(master string) (host string, port int, err error) {
	host, text := master, strconv.Itoa(defaultPort)
	if after, ok := strings.CutPrefix(master, "["); ok {
		var found bool
		if host, after, found = strings.Cut(after, "]"); !found {
			return "", 0, fmt.Errorf("MASTER is %.100q; the bracket is not closed", master)
		}
		if after != "" {
			if text, ok = strings.CutPrefix(after, ":"); !ok {
				return "", 0, fmt.Errorf("MASTER is %.100q; write [address]:port", master)
			}
		}
	} else if before, after, found := strings.Cut(master, ":"); found {
		host, text = before, after
		if strings.Contains(after, ":") {
			return "", 0, fmt.Errorf("MASTER is %.100q; an IPv6 address must stand in brackets", master)
		}
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 || host == "" {
		return "", 0, fmt.Errorf("MASTER is %.100q; it must be host:port with a port from 1 to 65535", master)
	}
	return host, port, nil
}

// writeWorker creates what is missing in a base directory. It changes no file that is there.
func writeWorker(dir string, s tac.Settings, out io.Writer) error {
	info := filepath.Join(dir, infoDir)
	if err := os.MkdirAll(info, 0o777); err != nil {
		return err
	}
	path, text := filepath.Join(dir, tacName), tac.Write(s)
	switch old, err := os.ReadFile(path); {
	case err == nil && bytes.Equal(old, text):
		fmt.Fprintln(out, tacName, "is there and is right")
	case err == nil:
		fmt.Fprintln(out, tacName, "is there and is different; writing", tacName+".new instead")
		path += ".new"
		fallthrough
	default:
		if err := writeSecret(path, text); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"admin": "Your Name Here <admin@youraddress.invalid>\n",
		"host":  "Please put a description of this build host here\n",
	} {
		file := filepath.Join(info, name)
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err == nil {
			_, err = f.WriteString(text)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "edit", file+", which the master shows")
	}
	fmt.Fprintln(out, "the worker is configured in", dir)
	return nil
}

// writeSecret writes a file that only its owner can read. It replaces the file as a whole, so that a full disk leaves
// no half of it.
func writeSecret(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".buildbot.tac-") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
