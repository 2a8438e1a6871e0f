package tac

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// head and the parts below are the template of stock create-worker 3.7, so that the stock worker runs the file as well.
const head = `
import os

from buildbot_worker.bot import Worker
from twisted.application import service

basedir = %s
rotateLength = %d
maxRotatedFiles = %s

# if this is a relocatable tac file, get the directory containing the TAC
if basedir == '.':
    import os.path
    basedir = os.path.abspath(os.path.dirname(__file__))

# note: this line is matched against to check that this is a worker
# directory; do not edit it.
application = service.Application('buildbot-worker')

from twisted.python.logfile import LogFile
from twisted.python.log import ILogObserver, FileLogObserver
logfile = LogFile.fromFullPath(
    os.path.join(basedir, "twistd.log"), rotateLength=rotateLength,
    maxRotatedFiles=maxRotatedFiles)
application.setComponent(ILogObserver, FileLogObserver(logfile).emit)

buildmaster_host = %s
port = %s
workername = %s
passwd = %s
keepalive = %d
umask = %s
maxdelay = %d
numcpus = %s
allow_shutdown = %s
maxretries = %s
use_tls = %s
delete_leftover_dirs = %s
%sproxy_connection_string = %s
protocol = 'pb'

s = Worker(buildmaster_host, port, workername, passwd, basedir,
           keepalive, umask=umask, maxdelay=maxdelay,
           numcpus=numcpus, allow_shutdown=allow_shutdown,
           maxRetries=maxretries, protocol=protocol, useTls=use_tls,
           delete_leftover_dirs=delete_leftover_dirs,
%s           proxy_connection_string=proxy_connection_string)
s.setServiceParent(application)
`

// Write returns a tac file with the settings, in the form that the stock create-worker writes, for either worker. An
// empty Basedir makes it relocatable.
func Write(s Settings) []byte {
	basedir := s.Basedir
	if basedir == "" {
		basedir = "."
	}
	length := s.Log.RotateLength
	if length == 0 {
		length = 10_000_000
	}
	umask := "None"
	if s.Umask != nil {
		umask = fmt.Sprintf("0o%o", *s.Umask)
	}
	assigned, passed := "", "" // the stock template does not have it
	if s.Connection != "" {
		assigned = "connection_string = " + quote(s.Connection) + "\n"
		passed = "           connection_string=connection_string,\n"
	}
	return fmt.Appendf(nil, head, quote(basedir), length, orNone(s.Log.MaxRotated), stringOrNone(s.Host),
		orNone(s.Port), quote(s.Name), quote(s.Password), s.Keepalive/time.Second, umask, s.MaxDelay/time.Second,
		orNone(s.NumCPUs), stringOrNone(s.AllowShutdown), orNone(s.MaxRetries), truthOf(s.UseTLS),
		truthOf(s.DeleteLeftoverDirs), assigned, stringOrNone(s.Proxy), passed)
}

func orNone(n int) string {
	if n == 0 {
		return "None"
	}
	return strconv.Itoa(n)
}

func stringOrNone(s string) string {
	if s == "" {
		return "None"
	}
	return quote(s)
}

func truthOf(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// quote returns a Python literal in ASCII, so that the encoding of the file does not matter.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i]) // not UTF-8: as Latin-1
		case r == '\'' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r <= '~':
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
