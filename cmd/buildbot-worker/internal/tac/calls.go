package tac

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// effect runs a statement that is an expression: a call, or a text that documents something.
func (in *interpreter) effect(e *expr) {
	if e.op != "call" {
		if v := in.eval(e); v.kind == unknownValue {
			in.note(e.line, "the expression is not run")
		}
		return
	}
	function := in.eval(e.args[0])
	var args []value
	for _, one := range e.args[1:] {
		args = append(args, in.eval(one))
	}
	name := function.text
	switch {
	case workerClass(function) != "":
		in.makeWorker(e, function, args)
	case name == "os.umask" && len(args) == 1:
		if in.uncertain(e.line, "the umask") {
			return
		}
		if !isUmask(args[0]) {
			in.refuse(e.line, "os.umask needs a known number from 0 to 0o777: %s", args[0].describe())
			return
		}
		n := int(args[0].n)
		in.settings.umask = &n
	case name == "os.environ.pop" && len(args) > 0:
		in.unsetenv(e.line, args[0])
	case name == "os.environ.setdefault" && len(args) == 2:
		if _, ok := in.getenv(args[0].text); !ok || args[0].kind != textValue {
			in.setenv(e.line, args[0], args[1])
		}
	case name == "os.putenv" && len(args) == 2:
		in.setenv(e.line, args[0], args[1])
	case name == "print", strings.HasPrefix(name, "sys.path."), strings.HasPrefix(name, "twisted.python.log."),
		strings.HasPrefix(name, "logging."), strings.HasPrefix(name, "warnings."), strings.HasPrefix(name, "sys.stdout."),
		strings.HasPrefix(name, "sys.stderr."):
		in.note(e.line, "the call of "+name+" is not run")
	case function.kind == objectValue && slices.Contains(harmless, name):
	case function.kind == unknownValue:
		in.refuse(e.line, "the call is not understood: %s", function.cause)
	default:
		in.refuse(e.line, "the call of %.60q is not understood: it may have an effect, and Python is not run",
			strings.TrimPrefix(name, "."))
	}
}

// harmless are the methods of the templates, which this program does not need.
var harmless = []string{
	"application.setComponent", "worker.setServiceParent", "application.addComponent", "worker.setName",
}

// workerClass returns the name of the worker's class if v is it.
func workerClass(v value) string {
	switch {
	case v.kind != pathValue || v.self != nil:
		return ""
	case v.text == "buildbot_worker.bot.Worker":
		return "Worker"
	case v.text == "buildslave.bot.BuildSlave", v.text == "buildbot.slave.bot.BuildSlave":
		return "BuildSlave"
	}
	return ""
}

func (in *interpreter) makeWorker(e *expr, function value, args []value) value {
	worker := value{kind: objectValue, text: "worker", line: e.line}
	switch {
	case in.uncertain(e.line, "the call of "+last(function.text)):
	case in.worker != nil:
		in.refuse(e.line, "a second worker: there is one in line %d, and this program is one worker; write a file for each",
			in.worker.line)
	default:
		in.worker = &call{line: e.line, class: workerClass(function), args: args, names: e.names}
	}
	return worker
}

// call returns what a call returns. A call that is not understood is unknown; it counts only if its result is used.
func (in *interpreter) call(e *expr) value {
	function := in.eval(e.args[0])
	var args []value
	for _, one := range e.args[1:] {
		args = append(args, in.eval(one))
	}
	named := func(name string, position int) (value, bool) {
		for i, v := range args {
			if e.names[i] == name || e.names[i] == "" && i == position {
				return v, true
			}
		}
		return value{}, false
	}
	switch function.kind {
	case unknownValue:
		return function
	case objectValue:
		return value{kind: objectValue, text: function.text + "()"}
	case pathValue:
	default:
		return unknown(e.line, "the call in line %d is not understood", e.line)
	}
	path := function.text
	switch {
	case workerClass(function) != "":
		return in.makeWorker(e, function, args)
	case path == "twisted.application.service.Application":
		return value{kind: objectValue, text: "application"}
	case strings.HasPrefix(path, "twisted.python.logfile.LogFile"):
		in.logFile(e.line, path, named)
		return value{kind: objectValue, text: "logfile"}
	case strings.HasPrefix(path, "twisted."):
		return value{kind: objectValue, text: last(path)}
	}
	for _, v := range args {
		if v.kind == unknownValue {
			return v
		}
	}
	if v, ok := in.function(e, function, args); ok {
		return v
	}
	return unknown(e.line, "line %d calls %.60s, which is not understood, and Python is not run", e.line,
		strings.TrimPrefix(path, "."))
}

// logFile takes the settings of a rotated log file.
func (in *interpreter) logFile(line int, path string, named func(string, int) (value, bool)) {
	if !in.isAllowed {
		return
	}
	log := &in.settings.Log
	log.Line = line
	name, _ := named("path", 0)
	size, _ := named("rotateLength", 1)
	files, hasFiles := named("maxRotatedFiles", 3)
	if !strings.HasSuffix(path, ".fromFullPath") { // LogFile(name, directory, rotateLength, defaultMode, maxRotatedFiles)
		name, _ = named("name", 0)
		directory, _ := named("directory", 1)
		if directory.kind == textValue && name.kind == textValue {
			name.text = join(directory.text, name.text)
		}
		size, _ = named("rotateLength", 2)
		files, hasFiles = named("maxRotatedFiles", 4)
	}
	log.Path = join(in.around.Dir, name.text)
	if size.kind == intValue && size.n > 0 {
		log.RotateLength = size.n
	}
	if hasFiles && files.kind == intValue && files.n > 0 {
		log.MaxRotated = int(min(files.n, maxInteger))
	}
}

// function evaluates one of the functions that this package knows.
func (in *interpreter) function(e *expr, function value, args []value) (value, bool) {
	texts, allText := textsOf(args)
	path, count := function.text, len(args)
	switch {
	case function.self != nil:
		return method(*function.self, path, args)
	case path == "os.getcwd" && count == 0:
		return textOf(in.around.Dir), true
	case (path == "socket.gethostname" || path == "platform.node") && count == 0 && in.around.Hostname != nil:
		name, err := in.around.Hostname()
		return textOf(name), err == nil
	case path == "int" && count == 1:
		return toInt(args[0])
	case (path == "str" || path == "unicode") && count == 1 && args[0].kind == intValue:
		return textOf(strconv.FormatInt(args[0].n, 10)), true
	case path == "bool" && count == 1 && args[0].known():
		return boolean(args[0].truth()), true
	case (path == "os.environ.get" || path == "os.getenv") && (count == 1 || count == 2) && args[0].kind == textValue:
		if text, ok := in.getenv(args[0].text); ok {
			return textOf(text), true
		}
		if count == 2 {
			return args[1], true
		}
		return value{kind: noneValue}, true
	case !allText || count == 0:
		return value{}, false
	}
	one := texts[0]
	switch {
	case path == "os.path.join":
		for _, next := range texts[1:] {
			one = pythonJoin(one, next)
		}
		return textOf(one), true
	case count != 1:
		return value{}, false
	case path == "str" || path == "unicode" || path == "bytes":
		return textOf(one), true
	case path == "os.path.abspath" || path == "os.path.realpath":
		return textOf(join(in.around.Dir, one)), true
	case path == "os.path.normpath":
		return textOf(filepath.Clean(one)), true
	case path == "os.path.dirname":
		dir, _ := filepath.Split(one)
		if trimmed := strings.TrimRight(dir, "/"); trimmed != "" {
			dir = trimmed
		}
		return textOf(dir), true
	case path == "os.path.basename":
		_, base := filepath.Split(one)
		return textOf(base), true
	case path == "os.path.expanduser":
		if one == "~" || strings.HasPrefix(one, "~/") {
			return textOf(in.around.Home + one[1:]), in.around.Home != ""
		}
		return textOf(one), !strings.HasPrefix(one, "~")
	}
	return value{}, false
}

// method evaluates a method of a string.
func method(self value, name string, args []value) (value, bool) {
	if self.kind != textValue {
		return value{}, false
	}
	switch {
	case name == ".strip" && len(args) == 0:
		return textOf(strings.TrimSpace(self.text)), true
	case name == ".lower" && len(args) == 0:
		return textOf(strings.ToLower(self.text)), true
	case name == ".upper" && len(args) == 0:
		return textOf(strings.ToUpper(self.text)), true
	case name == ".encode" && len(args) <= 1, name == ".decode" && len(args) <= 1:
		return self, true
	case name == ".split" && len(args) == 0:
		v := value{kind: listValue}
		for _, word := range strings.Fields(self.text) {
			v.list = append(v.list, textOf(word))
		}
		return v, true
	case name == ".split" && len(args) == 1 && args[0].kind == textValue && args[0].text != "":
		v := value{kind: listValue}
		for _, word := range strings.Split(self.text, args[0].text) {
			v.list = append(v.list, textOf(word))
		}
		return v, true
	}
	return value{}, false
}

func toInt(v value) (value, bool) {
	switch {
	case v.isNumber():
		return value{kind: intValue, n: v.n}, true
	case v.kind == textValue:
		n, err := strconv.ParseInt(strings.TrimSpace(v.text), 10, 64)
		return value{kind: intValue, n: n}, err == nil
	}
	return value{}, false
}

func textsOf(args []value) (texts []string, all bool) {
	for _, v := range args {
		if v.kind != textValue {
			return nil, false
		}
		texts = append(texts, v.text)
	}
	return texts, true
}

// pythonJoin is os.path.join: an absolute second part wins.
func pythonJoin(a, b string) string {
	switch {
	case filepath.IsAbs(b) || a == "":
		return b
	case strings.HasSuffix(a, "/"):
		return a + b
	}
	return a + "/" + b
}

// join makes a path absolute.
func join(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
