package tac

import (
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings are what a tac file says about a worker.
type Settings struct {
	Host       string // empty if there is a connection string
	Port       int
	Connection string // a client string of Twisted's endpoints; empty if there is a host
	Proxy      string // the same for an HTTP proxy; empty for none
	UseTLS     bool

	Name, Password string
	Basedir        string // absolute

	Keepalive          time.Duration // 0 for none
	MaxDelay           time.Duration // 0 if not given
	MaxRetries         int           // 0 for no limit
	Umask              *int          // nil: unchanged
	NumCPUs            int           // 0: count them
	AllowShutdown      string        // "", "signal" or "file"
	DeleteLeftoverDirs bool

	Log     Log
	Notes   []Note            // in the order of the lines
	Environ map[string]string // variables to set
	Unset   []string          // variables to remove, in order
	DropEnv []string          // shell patterns of variables to remove

	umask *int // from os.umask
}

// Log are the settings of the log file. Path is empty if there is none.
type Log struct {
	Line         int
	Path         string
	RotateLength int64 // bytes; 0 if not given
	MaxRotated   int   // 0 for all
}

// Dropped reports whether a pattern of DropEnv matches a variable.
func (s *Settings) Dropped(name string) bool {
	return slices.ContainsFunc(s.DropEnv, func(pattern string) bool {
		matched, err := path.Match(pattern, name)
		return err == nil && matched
	})
}

func (s *Settings) environment(changes map[string]*string) {
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		if v := changes[name]; v == nil {
			s.Unset = append(s.Unset, name)
		} else {
			if s.Environ == nil {
				s.Environ = map[string]string{}
			}
			s.Environ[name] = *v
		}
	}
}

// Parameters of the classes, in the order of their positions.
var parameters = map[string][]string{
	"Worker": {
		"buildmaster_host", "port", "name", "passwd", "basedir", "keepalive", "usePTY", "keepaliveTimeout", "umask",
		"maxdelay", "numcpus", "unicode_encoding", "protocol", "useTls", "allow_shutdown", "maxRetries", "connection_string",
		"delete_leftover_dirs", "proxy_connection_string",
	},
	"BuildSlave": {
		"buildmaster_host", "port", "name", "passwd", "basedir", "keepalive", "usePTY", "keepaliveTimeout", "umask",
		"maxdelay", "numcpus", "unicode_encoding", "allow_shutdown", "debugOpts",
	},
}

// required is the number of parameters without a default.
const required = 6

// bind turns the arguments of a worker's call into settings.
func (in *interpreter) bind(c *call) {
	names := parameters[c.class]
	given := map[string]value{}
	for i, v := range c.args {
		name := c.names[i]
		if name == "" {
			if i >= len(names) {
				in.refuse(c.line, "%s has %d arguments; at most %d are known", c.class, len(c.args), len(names))
				return
			}
			name = names[i]
		}
		_, twice := given[name]
		switch {
		case !slices.Contains(names, name):
			in.refuse(c.line, "%s has the argument %.60q, which is not known", c.class, name)
			continue
		case twice:
			in.refuse(c.line, "%s has the argument %s twice", c.class, name)
		}
		given[name] = v
	}
	b := &binding{interpreter: in, call: c, given: given}
	for _, name := range names[:required] {
		if _, ok := given[name]; !ok && !b.isGiven(name) {
			in.refuse(c.line, "%s needs the argument %s", c.class, name)
		}
	}
	b.all()
}

type binding struct {
	*interpreter
	call  *call
	given map[string]value
}

// isGiven reports whether the caller has the argument from elsewhere.
func (b *binding) isGiven(name string) bool { return slices.Contains(b.around.Given, name) }

// get returns an argument. It reports false if there is none, or None, and reports a problem if it is not known.
func (b *binding) get(name string) (value, bool) {
	v, ok := b.given[name]
	switch {
	case !ok || b.isGiven(name) || v.kind == noneValue:
		return v, false
	case v.kind == unknownValue:
		b.refuse(b.call.line, "the argument %s of %s is not known: %s", name, b.call.class, v.cause)
		return v, false
	}
	return v, true
}

func (b *binding) wrong(name string, v value, want string) {
	b.refuse(v.line, "the argument %s of %s is %s; it must be %s", name, b.call.class, v.describe(), want)
}

func (b *binding) text(name string) string {
	v, ok := b.get(name)
	if ok && v.kind != textValue {
		b.wrong(name, v, "a string")
		return ""
	}
	if ok && strings.ContainsRune(v.text, 0) {
		b.refuse(v.line, "the argument %s of %s contains a NUL character", name, b.call.class)
	}
	if !ok {
		return ""
	}
	return v.text
}

// number returns an integer of a range, or 0 if there is none.
func (b *binding) number(name string, low, high int64) int {
	v, ok := b.get(name)
	if !ok {
		return 0
	}
	if v.kind == textValue {
		if n, isInt := toInt(v); isInt {
			n.line = v.line
			v = n
		}
	}
	if !v.isNumber() || v.n < low || v.n > high {
		b.wrong(name, v, "a number from "+strconv.FormatInt(low, 10)+" to "+strconv.FormatInt(high, 10))
		return 0
	}
	return int(v.n)
}

// seconds returns a duration, or 0 if there is none.
func (b *binding) seconds(name string) time.Duration {
	v, ok := b.get(name)
	if !ok {
		return 0
	}
	n := v.f
	if v.isNumber() {
		n = float64(v.n)
	}
	if !v.isNumber() && v.kind != floatValue || n < 0 || n > 1e9 || math.IsNaN(n) {
		b.wrong(name, v, "a number of seconds from 0 to 1e9")
		return 0
	}
	return time.Duration(n * float64(time.Second))
}

func (b *binding) truth(name string) bool {
	v, ok := b.get(name)
	return ok && v.truth()
}

func isUmask(v value) bool { return v.isNumber() && v.n >= 0 && v.n <= 0o777 }

func (b *binding) all() {
	s := b.settings
	s.Host, s.Port = b.text("buildmaster_host"), b.number("port", 1, 65535)
	s.Connection, s.Proxy, s.UseTLS = b.text("connection_string"), b.text("proxy_connection_string"), b.truth("useTls")
	s.Name, s.Password = b.text("name"), b.text("passwd")
	s.Basedir = join(b.around.Dir, b.text("basedir"))
	s.Keepalive, s.MaxDelay = b.seconds("keepalive"), b.seconds("maxdelay")
	s.MaxRetries, s.NumCPUs = b.number("maxRetries", 0, maxInteger), b.number("numcpus", 0, maxInteger)
	s.DeleteLeftoverDirs = b.truth("delete_leftover_dirs")
	s.Umask = s.umask
	if v, ok := b.get("umask"); ok {
		if !isUmask(v) {
			b.wrong("umask", v, "None, or a number from 0 to 0o777")
		}
		n := int(v.n)
		s.Umask = &n
	}
	b.address()
	b.choices()
	for _, name := range []string{"name", "passwd"} {
		if v, ok := b.given[name]; ok && !b.isGiven(name) && (v.kind == noneValue || v.kind == textValue && v.text == "") {
			b.refuse(v.line, "the argument %s of %s is empty", name, b.call.class)
		}
	}
}

// address checks what says where the master is.
func (b *binding) address() {
	s, line := b.settings, b.call.line
	switch {
	case b.isGiven("buildmaster_host"):
	case s.Connection != "" && (s.Host != "" || s.Port != 0):
		b.refuse(line, "there is a connection_string: buildmaster_host and port must then be None")
	case s.Connection != "" && s.Proxy != "":
		b.refuse(line, "with proxy_connection_string the master is given by buildmaster_host and port, not by a "+
			"connection_string")
	case s.Connection == "" && (s.Host == "" || s.Port == 0) && len(b.found) == 0:
		b.refuse(line, "buildmaster_host or port is missing, and there is no connection_string")
	}
}

// choices checks the arguments that have a few values.
func (b *binding) choices() {
	line := b.call.line
	switch shutdown := b.text("allow_shutdown"); shutdown {
	case "", "signal", "file":
		b.settings.AllowShutdown = shutdown
	default:
		b.refuse(line, "allow_shutdown is %.40q; it must be None, 'signal' or 'file'", shutdown)
	}
	if protocol := b.text("protocol"); protocol != "" && protocol != "pb" {
		b.refuse(line, "the protocol is %.40q; this worker has 'pb' only, which every master accepts", protocol)
	}
	encoding := strings.ReplaceAll(strings.ToLower(b.text("unicode_encoding")), "_", "-")
	if encoding != "" && encoding != "utf-8" && encoding != "utf8" {
		b.refuse(line, "unicode_encoding is %.40q; this worker decodes output as UTF-8 only", encoding)
	}
	for _, name := range []string{"usePTY", "keepaliveTimeout", "debugOpts"} {
		if v, ok := b.given[name]; ok && v.kind != noneValue && v.truth() {
			b.note(v.line, name+" is not used: "+unused[name])
		}
	}
}

var unused = map[string]string{
	"usePTY":           "the master decides for each command",
	"keepaliveTimeout": "-patience says how long the master may take to answer",
	"debugOpts":        "it is for developers of Buildbot",
}
