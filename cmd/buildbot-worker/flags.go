package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// options are the flags. The buildbot.tac has some of them too; a flag that is given wins.
type options struct {
	*flag.FlagSet
	secret  secretFlags
	master  string
	name    string
	basedir string
	umask   string

	patience              time.Duration
	oldest                string
	identity              identity
	proxy                 string
	inspect, logFile      string
	logSize, logCount     number
	maxRetries, cpus      number
	relocatable, quiet    bool
	keepalive, maxDelay   time.Duration
	allowShutdown         string
	deleteLeftoverDirs    bool
	useTLS                bool
	proxyConnectionString string
}

// number is a flag with a number that is not negative, or None.
type number int64

func (n *number) String() string { return strconv.FormatInt(int64(*n), 10) }

// Set implements flag.Value.
func (n *number) Set(text string) error {
	if text == "None" {
		*n = 0
		return nil
	}
	v, err := strconv.ParseInt(text, 10, 32)
	if err != nil || v < 0 {
		return errors.New("it must be a number from 0 to 2147483647, or None")
	}
	*n = number(v)
	return nil
}

// span is a flag with a duration. A number alone is in seconds, as in the stock program.
type span struct{ to *time.Duration }

func (s span) String() string {
	if s.to == nil {
		return ""
	}
	return s.to.String()
}

// Set implements flag.Value.
func (s span) Set(text string) error {
	if _, err := strconv.ParseUint(text, 10, 31); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("it must be a duration such as 90s or 10m, or a number of seconds")
	}
	*s.to = d
	return nil
}

// newOptions defines the flags that all commands have.
func newOptions(command string) *options {
	o := &options{FlagSet: flag.NewFlagSet(strings.TrimSpace("buildbot-worker "+command), flag.ContinueOnError)}
	o.keepalive, o.maxDelay, o.patience = 600*time.Second, 300*time.Second, 2*time.Minute
	o.Var(span{&o.keepalive}, "keepalive", "the `interval` between keepalive calls; 0 for none")
	o.Var(span{&o.maxDelay}, "maxdelay", "the longest `wait` between attempts to connect; more than 30s counts as 30s")
	o.Var(&o.maxRetries, "maxretries", "end after this `number` of failed attempts in a row; 0 for never")
	o.Var(&o.cpus, "numcpus", "the `number` of processors that the master is told; 0 to count them")
	o.StringVar(&o.umask, "umask", "None", "the umask of the worker and its commands, such as `0o22`; None to leave it")
	o.StringVar(&o.allowShutdown, "allow-shutdown", "",
		"the `way` to ask for an end after the running builds: signal (SIGHUP) or file (BASEDIR/shutdown.stamp)")
	o.BoolVar(&o.deleteLeftoverDirs, "delete-leftover-dirs", false,
		"delete directories in the base directory that no builder uses")
	o.Var(&o.logSize, "log-size", "rotate the log file at this `size`, in bytes")
	o.Var(&o.logCount, "log-count", "keep this `number` of old log files; 0 for all")
	o.logSize, o.logCount = 10_000_000, 10
	o.StringVar(&o.secret.file, "password-file", "", "the `file` with the worker's password in its first line; - is "+
		"standard input")
	return o
}

// connection defines the flags of a worker that connects.
func (o *options) connection() {
	o.StringVar(&o.master, "master", "", "the master's `URL`: pb://host[:port], pbs://host[:port] for TLS, or "+
		"pb+unix:///path; the default port is 9989")
	o.StringVar(&o.name, "name", "", "the worker's `name`, as in the master's configuration")
	o.StringVar(
		&o.secret.flag,
		"password",
		"",
		"the worker's `password`; safer in a file or in the environment variable "+
			passwordVariable,
	)
	// A master that reloads its configuration answers nothing for a while.
	o.Var(span{&o.patience}, "patience", "how `long` the master may take to answer a keepalive before the worker drops "+
		"the connection")
	o.StringVar(&o.oldest, "tls-min", "1.2", "the minimum `version` of TLS for a pbs:// URL, 1.2 or 1.3")
	o.StringVar(&o.identity.roots, "ca", "", "the `file` with the certificates of authorities to trust instead of the "+
		"system's, or a directory with files *.pem")
	o.StringVar(&o.identity.cert, "cert", "", "the `file` with the client's certificate")
	o.StringVar(&o.identity.key, "key", "", "the `file` with the client's key, if it is not in that of -cert")
	o.StringVar(
		&o.identity.serverName,
		"server-name",
		"",
		"the `name` in the master's certificate, if it is not the host",
	)
	o.StringVar(&o.proxy, "proxy", "", "connect through an HTTP proxy: its `URL` http://[user:password@]host:port, or "+
		"environment for HTTPS_PROXY and NO_PROXY")
	o.StringVar(&o.inspect, "inspect", "", "serve status pages at this `address`: /, /metrics and /healthz")
	o.StringVar(&o.logFile, "log-file", "", "the `file` to log to instead of standard error; it is rotated")
}

// given reports whether a flag is on the command line.
func (o *options) given(name string) (found bool) {
	o.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// words parses flags before, between and after the other arguments, and returns those.
func (o *options) words(args []string, out io.Writer) (words []string, err error) {
	o.SetOutput(out)
	for {
		if err = o.Parse(args); err != nil {
			return nil, err
		}
		rest := o.Args()
		if len(rest) == 0 {
			return words, nil
		}
		if dashes := len(args) - len(rest); dashes > 0 && args[dashes-1] == "--" {
			return append(words, rest...), nil
		}
		words, args = append(words, rest[0]), rest[1:]
	}
}

func (o *options) umaskValue() (*int, error) {
	if o.umask == "None" || o.umask == "" {
		return nil, nil
	}
	// Without a zero in front the stock program takes it as decimal, which nobody means.
	n, err := strconv.ParseUint(o.umask, 0, 32)
	if err != nil || n > 0o777 || o.umask[0] != '0' {
		return nil, fmt.Errorf("-umask is %q; it must be octal, from 0o0 to 0o777, or None", o.umask)
	}
	umask := int(n)
	return &umask, nil
}

func (o *options) shutdownValue() error {
	switch o.allowShutdown {
	case "", "signal", "file":
		return nil
	}
	return fmt.Errorf("-allow-shutdown is %q; it must be signal or file", o.allowShutdown)
}

// parse reads the command line of a worker without a buildbot.tac.
func parse(args []string) (c config, err error) {
	o := newOptions("")
	o.connection()
	o.StringVar(&o.basedir, "basedir", "", "the `directory` of the builders; the master shows the files info/admin and "+
		"info/host in it")
	o.allowShutdown = "signal"
	o.Lookup("allow-shutdown").DefValue = "signal"
	o.Usage = func() {
		fmt.Fprint(o.Output(), "Usage: buildbot-worker run [flags] BASEDIR\n"+
			"       buildbot-worker create [flags] BASEDIR MASTER NAME [PASSWORD]\n"+
			"       buildbot-worker -master URL -name NAME -basedir BASEDIR [flags]\n\nFlags of the last form:\n")
		o.PrintDefaults()
	}
	words, err := o.words(args, os.Stderr)
	if err != nil {
		return c, err
	}
	if len(words) > 0 {
		return c, fmt.Errorf("%.60q is no command; see -help", words[0])
	}
	for _, need := range []struct{ flag, value string }{
		{"master", o.master}, {"name", o.name}, {"basedir", o.basedir},
	} {
		if need.value == "" {
			return c, fmt.Errorf("-%s is missing; see -help", need.flag)
		}
	}
	c = config{master: withPort(o.master), name: o.name}
	if c.basedir, err = filepath.Abs(o.basedir); err != nil {
		return c, err
	}
	if err = o.fill(&c); err != nil {
		return c, err
	}
	if c.password, err = o.secret.password(o.proxy); err != nil {
		return c, err
	}
	if c.password == "" {
		return c, errors.New("the password is missing: give -password-file, the environment variable " + passwordVariable +
			", or -password; see -help")
	}
	// The stock create-worker also creates the directory.
	return c, os.MkdirAll(filepath.Join(c.basedir, infoDir), 0o777)
}

// fill takes what the flags say, without the master's address and the name.
func (o *options) fill(c *config) (err error) {
	c.keepalive, c.patience, c.maxDelay = o.keepalive, o.patience, o.maxDelay
	c.maxRetries, c.numCPUs, c.allowShutdown = int(o.maxRetries), int(o.cpus), o.allowShutdown
	c.deleteLeftovers = o.deleteLeftoverDirs
	if c.umask, err = o.umaskValue(); err != nil {
		return err
	}
	if err = o.shutdownValue(); err != nil {
		return err
	}
	return o.finish(c)
}

// finish takes the flags that a buildbot.tac does not have: files, TLS, the proxy.
func (o *options) finish(c *config) error {
	c.patience, c.inspect, c.logFile = o.patience, o.inspect, o.logFile
	c.logSize, c.logCount = int64(o.logSize), int(o.logCount)
	var err error
	if c.logFile != "" {
		if c.logFile, err = filepath.Abs(c.logFile); err != nil {
			return err
		}
	}
	secure, err := o.identity.tlsConfig(o.oldest)
	if err != nil {
		return err
	}
	if u, err := url.Parse(c.master); err == nil && u.Scheme == "pbs" {
		c.tls = secure
	} else if o.identity != (identity{}) {
		return errors.New("-ca, -cert, -key and -server-name are for a pbs:// URL; this master is reached without TLS")
	}
	if o.proxy != "" {
		return c.useProxy(o.proxy, secure)
	}
	return nil
}
