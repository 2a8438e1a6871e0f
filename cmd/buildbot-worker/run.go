package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/endpoint"
	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/tac"
)

// tacName is the file in the base directory with the settings.
const tacName = "buildbot.tac"

// parseRun reads the command line of run or start, and the buildbot.tac.
func parseRun(command string, args []string) (c config, err error) {
	o := newOptions(command)
	o.connection()
	foreground := o.Bool("nodaemon", command == "run", "stay in the foreground, as the stock start does with this flag; "+
		"there is no other way")
	o.Usage = func() {
		fmt.Fprint(o.Output(), "Usage: buildbot-worker run [flags] [BASEDIR]\n\n"+
			"Runs the worker whose settings are in BASEDIR/buildbot.tac. A flag replaces the setting of the file.\n\n")
		o.PrintDefaults()
	}
	words, err := o.words(args, os.Stderr)
	if err != nil {
		return c, err
	}
	dir := "."
	switch {
	case !*foreground:
		return c, errors.New("this worker does not go to the background: use run, or start --nodaemon, from a service " +
			"manager such as systemd")
	case len(words) > 1:
		return c, errors.New("run takes one directory; see run -help")
	case len(words) == 1:
		dir = words[0]
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return c, err
	}
	password, err := o.secret.password(o.proxy)
	if err != nil {
		return c, err
	}
	s, err := o.readTac(dir, password)
	if err != nil {
		return c, err
	}
	o.override(s)
	c = config{name: s.Name, password: s.Password, basedir: s.Basedir, environ: s.Environ, unset: s.Unset}
	if o.given("name") {
		c.name = o.name
	}
	if password != "" {
		c.password = password
	}
	if err = o.useTac(&c, s); err != nil {
		return c, err
	}
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); s.Dropped(name) {
			c.unset = append(c.unset, name)
		}
	}
	if c.basedir != dir {
		c.notes = append(c.notes, fmt.Sprintf("%s says that the base directory is %s", filepath.Join(dir, tacName),
			c.basedir))
	}
	return c, nil
}

// readTac reads the file. Arguments of Worker that the flags replace need not be known.
func (o *options) readTac(dir, password string) (*tac.Settings, error) {
	path := filepath.Join(dir, tacName)
	file, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: is this a worker's base directory? The command create makes one", err)
		}
		return nil, err
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !about.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, tac.MaxSize+1))
	if err != nil {
		return nil, err
	}
	home, _ := os.UserHomeDir() // empty if unknown
	around := tac.Surroundings{Dir: dir, Hostname: os.Hostname, Home: home, Getenv: func(name string) (string, bool) {
		if name == passwordVariable {
			return password, password != "" // it was removed from the environment
		}
		return os.LookupEnv(name)
	}}
	for flag, arguments := range map[string][]string{
		"master": {"buildmaster_host", "port", "connection_string", "proxy_connection_string", "useTls"},
		"name":   {"name"}, "keepalive": {"keepalive"}, "umask": {"umask"}, "maxdelay": {"maxdelay"},
		"numcpus": {"numcpus"}, "maxretries": {"maxRetries"}, "allow-shutdown": {"allow_shutdown"},
		"delete-leftover-dirs": {"delete_leftover_dirs"}, "proxy": {"proxy_connection_string"},
	} {
		if o.given(flag) {
			around.Given = append(around.Given, arguments...)
		}
	}
	if password != "" {
		around.Given = append(around.Given, "passwd")
	}
	s, err := tac.Read(text, around)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used:\n%w", path, err)
	}
	return s, nil
}

// override sets the flags that are not given from the file.
func (o *options) override(s *tac.Settings) {
	for name, set := range map[string]func(){
		"keepalive":            func() { o.keepalive = s.Keepalive },
		"maxdelay":             func() { o.maxDelay = s.MaxDelay },
		"maxretries":           func() { o.maxRetries = number(s.MaxRetries) },
		"numcpus":              func() { o.cpus = number(s.NumCPUs) },
		"allow-shutdown":       func() { o.allowShutdown = s.AllowShutdown },
		"delete-leftover-dirs": func() { o.deleteLeftoverDirs = s.DeleteLeftoverDirs },
		"umask": func() {
			o.umask = "None"
			if s.Umask != nil {
				o.umask = fmt.Sprintf("0o%o", *s.Umask)
			}
		},
		"log-size": func() {
			if s.Log.RotateLength > 0 {
				o.logSize = number(s.Log.RotateLength)
			}
		},
		"log-count": func() {
			if s.Log.Path != "" {
				o.logCount = number(s.Log.MaxRotated)
			}
		},
	} {
		if !o.given(name) {
			set()
		}
	}
}

// useTac takes the settings of the file and the flags.
func (o *options) useTac(c *config, s *tac.Settings) error {
	if o.given("master") {
		c.master = withPort(o.master)
	} else {
		e := endpoint.Of(s.Host, s.Port, s.UseTLS)
		if s.Connection != "" {
			var err error
			if e, err = endpoint.Parse(s.Connection); err != nil {
				return err
			}
		}
		if err := c.useEndpoint(e); err != nil {
			return err
		}
		o.useIdentity(e, c.basedir)
		if e.Unverified {
			c.notes = append(c.notes, "the stock worker does not verify the certificate of an ssl: master; this one does, "+
				"with -ca or the authorities of the system")
		}
	}
	if s.Proxy != "" && o.proxy == "" {
		e, err := endpoint.Parse(s.Proxy)
		if err != nil {
			return fmt.Errorf("proxy_%w", err)
		}
		if e.Network != "tcp" {
			return errors.New("proxy_connection_string must be tcp:host:port, or tls:host:port")
		}
		scheme := "http://"
		if e.TLS {
			scheme = "https://"
		}
		o.proxy = scheme + e.Address()
	}
	for _, note := range s.Notes {
		c.notes = append(c.notes, tacName+": "+note.String())
	}
	if s.Log.Path != "" && o.logFile == "" {
		c.notes = append(c.notes, fmt.Sprintf("%s: line %d: the stock worker logs to %s; this one logs to standard error "+
			"without -log-file", tacName, s.Log.Line, s.Log.Path))
	}
	return o.fill(c)
}

// useIdentity takes the files of a connection string. Flags win.
func (o *options) useIdentity(e endpoint.Endpoint, basedir string) {
	for _, one := range []struct {
		flag *string
		file string
	}{{&o.identity.roots, e.Roots}, {&o.identity.cert, e.Cert}, {&o.identity.key, e.Key}} {
		if *one.flag == "" && one.file != "" {
			*one.flag = join(basedir, one.file) // the stock worker's working directory
		}
	}
	if o.identity.serverName == "" {
		o.identity.serverName = e.ServerName
	}
}
