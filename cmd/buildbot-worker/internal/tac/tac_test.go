package tac

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// here are surroundings without an environment.
func here(env ...string) Surroundings {
	return Surroundings{
		Dir:  "/var/lib/worker",
		Home: "/home/w",
		Getenv: func(name string) (string, bool) {
			for _, entry := range env {
				if value, ok := strings.CutPrefix(entry, name+"="); ok {
					return value, true
				}
			}
			return "", false
		},
		Hostname: func() (string, error) { return "build7", nil },
	}
}

// with returns a tac file with some lines before the call of Worker, and further arguments of it.
func with(lines, args string) []byte {
	return fmt.Appendf(nil, `import os
from buildbot_worker.bot import Worker
host, port, name, passwd, basedir, keepalive = 'm', 9989, 'w', 'sesame', '.', 600
%s
s = Worker(host, port, name, passwd, basedir, keepalive%s)
`, lines, args)
}

func TestReadValues(t *testing.T) {
	for name, c := range map[string]struct {
		lines, args string
		check       func(*testing.T, *Settings)
	}{
		"single quotes": {`name = 'a"b\'c\\d'`, "", named(`a"b'c\d`)},
		"escapes":       {`name = "\x41\101\u00fc\U0001F600\t\q"`, "", named("AAü😀\t\\q")},
		"raw":           {`name = r'a\n\'b'`, "", named(`a\n\'b`)},
		"bytes":         {`name = b'a\x62\u0063'`, "", named(`ab\u0063`)},
		"unicode":       {`name = u'ü'`, "", named("ü")},
		"triple":        {"name = '''a\n'b'\\\nc'''", "", named("a\n'b'c")},
		"side by side":  {"name = ('a' \"b\"\n  r'c')", "", named("abc")},
		"sum":           {"name = 'a' + \\\n  'b'", "", named("ab")},
		"semicolons":    {"name = 'a'; name += 'b';", "", named("ab")},
		"several":       {"x = name = 'a'", "", named("a")},
		"annotated":     {"name: str = 'a'", "", named("a")},
		"plain format":  {"name = f'a'", "", named("a")},
		"host name":     {"import socket\nname = socket.gethostname().upper()", "", named("BUILD7")},
		"environment":   {"name = os.environ['N'] + os.environ.get('M', 'y') + os.getenv('N')", "", named("xyx")},
		"own changes":   {"os.environ['N'] = 'z'\nname = os.environ['N']", "", named("z")},
		"if":            {"if name == 'w':\n\tname = 'a'\nelse:\n\tname = foo()", "", named("a")},
		"elif":          {"if name != 'w': name = 'b'\nelif not 1 > 2:\n  name = 'a'", "", named("a")},
		"ternary":       {"name = 'a' if port is not None and name in ('v', 'w') else 'b'", "", named("a")},
		"try":           {"try:\n name = 'a'\nexcept Exception as e:\n name = 'b'\nfinally:\n name += 'c'", "", named("ac")},
		"main":          {"if __name__ == '__main__':\n  raise SystemExit\nname = 'a'", "", named("a")},
		"octal":         {"", ", umask=0o27", func(t *testing.T, s *Settings) { assert.Equal(t, 0o27, *s.Umask) }},
		"old octal":     {"", ", umask=022", func(t *testing.T, s *Settings) { assert.Equal(t, 0o22, *s.Umask) }},
		"hexadecimal":   {"", ", umask=0x12", func(t *testing.T, s *Settings) { assert.Equal(t, 0x12, *s.Umask) }},
		"no umask":      {"", ", umask=None", func(t *testing.T, s *Settings) { assert.Nil(t, s.Umask) }},
		"umask call":    {"os.umask(0o77)", "", func(t *testing.T, s *Settings) { assert.Equal(t, 0o77, *s.Umask) }},
		"port text":     {"port = '77'", "", func(t *testing.T, s *Settings) { assert.Equal(t, 77, s.Port) }},
		"port":          {"port = int('7') * 10 + 7", "", func(t *testing.T, s *Settings) { assert.Equal(t, 77, s.Port) }},
		"keepalive": {"keepalive = 1.5", "", func(t *testing.T, s *Settings) {
			assert.Equal(t, 1500*time.Millisecond, s.Keepalive)
		}},
		"no keepalive": {"keepalive = None", "", func(t *testing.T, s *Settings) { assert.Zero(t, s.Keepalive) }},
		"all": {"", ", None, None, 63, 60, 3, 'UTF-8', 'pb', True, 'file', 7, None, True, 'tcp:proxy:3128'",
			func(t *testing.T, s *Settings) {
				umask := 63
				assert.Equal(t, &Settings{Host: "m", Port: 9989, Name: "w", Password: "sesame", Basedir: "/var/lib/worker",
					Keepalive: 10 * time.Minute, Umask: &umask, MaxDelay: time.Minute, NumCPUs: 3, UseTLS: true, AllowShutdown: "file",
					MaxRetries: 7, DeleteLeftoverDirs: true, Proxy: "tcp:proxy:3128"}, s)
			}},
		"connection": {"host = port = None", ", connection_string='tls:m:9989'", func(t *testing.T, s *Settings) {
			assert.Equal(t, "tls:m:9989", s.Connection)
			assert.Empty(t, s.Host)
		}},
		"basedir": {"basedir = os.path.join(os.path.expanduser('~'), 'a', '../b')", "", func(t *testing.T, s *Settings) {
			assert.Equal(t, "/home/w/b", s.Basedir)
		}},
		"environ": {"os.environ['A'] = 'x'\nos.environ.pop('B', None)\ndel os.environ['C']", "",
			func(t *testing.T, s *Settings) {
				assert.Equal(t, map[string]string{"A": "x"}, s.Environ)
				assert.Equal(t, []string{"B", "C"}, s.Unset)
			}},
		"notes": {"import socket\ndef f(x):\n  return 1\nprint 'hello'\nprint('x')\nfqdn = socket.getfqdn()\ny = lambda: 0",
			", usePTY=1", func(t *testing.T, s *Settings) {
				require.Len(t, s.Notes, 4)
				assert.Equal(t, "line 5: f is defined; definitions are not run", s.Notes[0].String())
				assert.Contains(t, s.Notes[3].Text, "usePTY is not used")
			}},
		"form feed": {"\f\nname = 'a' # \xc3\xbc", "", named("a")},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Read(with(c.lines, c.args), here("N=x"))
			require.NoError(t, err)
			c.check(t, s)
		})
	}
}

func named(want string) func(*testing.T, *Settings) {
	return func(t *testing.T, s *Settings) { assert.Equal(t, want, s.Name) }
}

func TestReadProblems(t *testing.T) {
	deep := strings.Repeat("(", 5000)
	for name, c := range map[string]struct {
		lines, args, want string
	}{
		"loop": {"for x in (1, 2):\n  name = x\nelse:\n  pass", "",
			`line 4: the statement that begins with "for"`},
		"exec":          {"exec 'rm -rf /'", "", `line 4: the statement that begins with "exec"`},
		"raise":         {"raise SystemExit", "", `line 4: the statement that begins with "raise"`},
		"all names":     {"from secrets import *", "", "line 4: an import of all names"},
		"effect":        {"os.system('reboot')", "", `line 4: the call of "os.system" is not understood`},
		"attribute":     {"", ")\ns.bot.max_line_length = 5\nos.getcwd(", "line 6: an assignment to an attribute"},
		"method":        {"", ")\ns.startService(", `the call of "worker.startService" is not understood`},
		"unknown value": {"passwd = open('/etc/passwd').read()", "", "line 5: the argument passwd of Worker is not known"},
		"from a module": {"from secrets import passwd", "", "the argument passwd of Worker is secrets.passwd"},
		"no variable":   {"name = os.environ['NONE']", "", `the environment has no variable "NONE", which line 4 needs`},
		"unset":         {"name = nothing", "", `line 4: the name "nothing" has no value`},
		"cycle":         {"a = b\nb = a", "", `line 4: the name "b" has no value`},
		"undecided":     {"import x\nif x.y():\n  name = 'a'", "", "name depends on the condition in line 5"},
		"undecided effect": {"import x\nif x.y():\n  os.umask(0)", "",
			"line 6: the umask depends on the condition in line 5"},
		"two workers":      {"a = Worker(host, port, name, passwd, basedir, keepalive)", "", "line 5: a second worker"},
		"unknown argument": {"", ", colour='red'", `has the argument "colour", which is not known`},
		"twice":            {"", ", port=5", "has the argument port twice"},
		"too many":         {"", strings.Repeat(", None", 20), "has 26 arguments; at most 19 are known"},
		"port": {"port = 70000", "",
			"line 4: the argument port of Worker is an integer; it must be a number from 1"},
		"no port": {"port = None", "", "line 5: buildmaster_host or port is missing"},
		"both":    {"", ", connection_string='tcp:m:1'", "buildmaster_host and port must then be None"},
		"proxied": {"host = port = None", ", connection_string='tcp:m:1', proxy_connection_string='tcp:p:1'",
			"the master is given by buildmaster_host and port"},
		"keepalive":      {"keepalive = 'long'", "", "the argument keepalive of Worker is a string"},
		"no name":        {"name = ''", "", "line 4: the argument name of Worker is empty"},
		"no password":    {"passwd = None", "", "line 4: the argument passwd of Worker is empty"},
		"umask":          {"", ", umask=0o1000", "the argument umask of Worker is an integer; it must be None, or a number"},
		"umask text":     {"", ", umask='022'", "the argument umask of Worker is a string"},
		"protocol":       {"", ", protocol='msgpack_experimental_v7'", "this worker has 'pb' only"},
		"encoding":       {"", ", unicode_encoding='latin-1'", "decodes output as UTF-8 only"},
		"shutdown":       {"", ", allow_shutdown='never'", "it must be None, 'signal' or 'file'"},
		"formatted":      {"name = f'{port}'", "", "a formatted string in line 4 is not understood"},
		"number":         {"", ", maxdelay=99999999999999999999", "a number of seconds"},
		"large":          {"", ", numcpus=" + strings.Repeat("9", 400), "the number is too large"},
		"open string":    {"name = 'a", "", "line 4: a string that begins here has no end"},
		"open text":      {"name = '''a", "", "line 4: a string that begins here has no end"},
		"open bracket":   {"name = (", "", "line 4: the bracket ( is never closed"},
		"closed bracket": {"name = (]", "", "line 4: the bracket ] was not opened"},
		"deep brackets":  {"name = " + deep, "", "line 4: brackets are nested more than 50 deep"},
		"deep operators": {"name = " + strings.Repeat("not ", 5000) + "1", "", "the argument name of Worker is not known"},
		"deep blocks":    {blocks(60), "", "blocks are nested more than 50 deep"},
		"deep one-liner": {strings.Repeat("if 1: ", 1000) + "pass", "", "line 4: conditions are nested more than 50 deep"},
		"deep try":       {strings.Repeat("try: ", 1000) + "pass", "", "line 4: blocks are nested more than 50 deep"},
		"doubling": {"name = 'aaaaaaaa'\n" + strings.Repeat("name = name + name\n", 200), "",
			"has more than 16384 bytes"},
		"doubled lists": {"a = [1]\n" + strings.Repeat("a = [a, a]\n", 200) + "name = a", "",
			"the argument name of Worker is a list"},
		"indentation":  {"  x = 1", "", "line 4: the indentation is not expected"},
		"dedent":       {"if 1:\n    x = 1\n  y = 2", "", "line 6: the indentation matches no line above"},
		"no block":     {"if 1:\nx = 1", "", "line 5: an indented block is missing"},
		"character":    {"name = 5 $ 6", "", "line 4: the character '$' has no meaning here"},
		"surrogate":    {`name = "\ud800"`, "", "line 4: the escape is no character"},
		"short escape": {`name = "\x4"`, "", `line 4: the escape \x needs 2`},
		"NUL":          {"name = 'a\x00'", "", "line 4: there is a NUL byte"},
		"escaped NUL":  {`name = 'a\0'`, "", "line 4: the argument name of Worker contains a NUL"},
		"Latin-1":      {"# gr\xfcn", "", "line 4: not UTF-8, and no encoding is declared"},
		"NUL variable": {`os.environ['a'] = '\0'`, "", "line 4: this is not a name or value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(with(c.lines, c.args), here())
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.want)
			assert.NotContains(t, err.Error(), "sesame")
			assert.Less(t, len(err.Error()), 20<<10)
			var problems *Errors
			assert.ErrorAs(t, err, &problems)
		})
	}
}

func blocks(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "if 1:\n")
	}
	return b.String() + strings.Repeat(" ", n) + "pass"
}

func TestReadFile(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":         {"", "there is no call of Worker(…)"},
		"huge":          {strings.Repeat("#", MaxSize+1), "the file has more than 262144 bytes"},
		"opaque call":   {"from buildbot_worker.bot import Worker\ns = Worker(*args)", "line 2: there is no call of Worker"},
		"encoding":      {"# coding: koi8-r\n", `line 1: the encoding "koi8-r" is not supported`},
		"many problems": {strings.Repeat("raise\n", 1000), "and 980 more"},
		"missing": {"from buildbot_worker.bot import Worker\ns = Worker('h', 1)",
			"line 2: Worker needs the argument name"},
		"another Worker": {"from mine import Worker\ns = Worker('h', 1, 'n', 'p', '.', 0)", "there is no call of Worker"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read([]byte(c.text), here())
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.want)
		})
	}
	t.Run("Latin-1", func(t *testing.T) {
		s, err := Read(append([]byte("# -*- coding: latin-1 -*-\r\n"), with("name = 'gr\xfcn'", "")...), here())
		require.NoError(t, err)
		assert.Equal(t, "grün", s.Name)
	})
	t.Run("byte order mark", func(t *testing.T) {
		_, err := Read(append([]byte("\xef\xbb\xbf"), with("", "")...), here())
		assert.NoError(t, err)
	})
	t.Run("line ends", func(t *testing.T) {
		_, err := Read([]byte(strings.ReplaceAll(string(with("raise", "")), "\n", "\r\n")), here())
		assert.ErrorContains(t, err, "line 4: ")
	})
}

// Arguments that the caller has from elsewhere need not be known.
func TestGivenArguments(t *testing.T) {
	around := here()
	around.Given = []string{"passwd", "buildmaster_host", "port"}
	s, err := Read(with("import vault\npasswd = vault.get('w')\nhost = None", ""), around)
	require.NoError(t, err)
	assert.Empty(t, s.Password)
	assert.Equal(t, "w", s.Name)
}

func TestOldTemplates(t *testing.T) {
	t.Run("buildslave", func(t *testing.T) {
		text, err := os.ReadFile("testdata/buildslave.tac")
		require.NoError(t, err)
		s, err := Read(text, here())
		require.NoError(t, err)
		umask := 0o22
		assert.Equal(t, &Settings{Host: "master.example.org", Port: 9989, Name: "old", Password: "sesame",
			Basedir: "/var/lib/buildbot/slaves/old", Keepalive: 10 * time.Minute, Umask: &umask, MaxDelay: 5 * time.Minute,
			Log: Log{Line: 23, Path: "/var/lib/buildbot/slaves/old/twistd.log", RotateLength: 10000000, MaxRotated: 10}}, s)
	})
	t.Run("container", func(t *testing.T) {
		text, err := os.ReadFile("testdata/container.tac")
		require.NoError(t, err)
		s, err := Read(text, here("BUILDMASTER=m", "WORKERPASS=sesame", "WORKER_ENVIRONMENT_BLACKLIST=WORKERPASS SECRET_*"))
		require.NoError(t, err)
		assert.Equal(t, "m", s.Host)
		assert.Equal(t, "docker", s.Name)
		assert.Equal(t, "sesame", s.Password)
		assert.Equal(t, 10, s.MaxRetries)
		assert.True(t, s.Dropped("SECRET_KEY"))
		assert.True(t, s.Dropped("WORKERPASS"))
		assert.False(t, s.Dropped("PATH"))
	})
}

// What Write writes Read reads.
func TestWriteRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawSettings(t)
		got, err := Read(Write(want), here())
		if err != nil {
			t.Fatal(err)
		}
		got.Log = Log{}
		if want.Basedir == "" {
			want.Basedir = "/var/lib/worker"
		}
		if !assert.Equal(t, &want, got) {
			t.FailNow()
		}
	})
}

func drawSettings(t *rapid.T) Settings {
	text := rapid.StringMatching(`[^\x00]{1,20}`)
	s := Settings{
		Name: text.Draw(t, "name"), Password: text.Draw(t, "password"), UseTLS: rapid.Bool().Draw(t, "tls"),
		Keepalive:          time.Duration(rapid.IntRange(0, 1000).Draw(t, "keepalive")) * time.Second,
		MaxDelay:           time.Duration(rapid.IntRange(0, 1000).Draw(t, "delay")) * time.Second,
		MaxRetries:         rapid.IntRange(0, 9).Draw(t, "retries"),
		NumCPUs:            rapid.IntRange(0, 9).Draw(t, "cpus"),
		AllowShutdown:      rapid.SampledFrom([]string{"", "file", "signal"}).Draw(t, "shutdown"),
		DeleteLeftoverDirs: rapid.Bool().Draw(t, "delete"),
		Basedir:            rapid.SampledFrom([]string{"", "/a/b c", "/ü"}).Draw(t, "basedir"),
	}
	if rapid.Bool().Draw(t, "connection") {
		s.Connection = text.Draw(t, "string")
	} else {
		s.Host, s.Port = text.Draw(t, "host"), rapid.IntRange(1, 65535).Draw(t, "port")
		s.Proxy = rapid.SampledFrom([]string{"", "tcp:p:3128"}).Draw(t, "proxy")
	}
	if rapid.Bool().Draw(t, "umask") {
		n := rapid.IntRange(0, 0o777).Draw(t, "bits")
		s.Umask = &n
	}
	return s
}

// FuzzRead looks for panics, endless work and errors that repeat the password.
func FuzzRead(f *testing.F) {
	f.Add(with("", ""))
	f.Add(Write(Settings{Name: "n", Password: "sesame", Host: "h", Port: 1}))
	for _, name := range []string{"buildslave", "container"} {
		text, err := os.ReadFile("testdata/" + name + ".tac")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(with("@deco\ndef f(): return 1\nclass C:\n  x = 1\nwhile True:\n  break\nelse:\n  pass\nx = {1: [2}",
		", *a, **b"))
	f.Fuzz(func(t *testing.T, text []byte) {
		began := time.Now()
		s, err := Read(text, here("N=x"))
		if time.Since(began) > 30*time.Second {
			t.Fatal("reading takes too long")
		}
		if (s == nil) != (err != nil) {
			t.Fatalf("settings %v and error %v", s, err)
		}
		var problems *Errors
		if err != nil && (!errors.As(err, &problems) || len(problems.Problems) == 0) {
			t.Fatalf("error %T", err)
		}
		if err == nil && (s.Name == "" || s.Password == "" || s.Host == "" && s.Connection == "") {
			t.Fatalf("incomplete settings")
		}
	})
}
