package tac

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Surroundings are the facts outside of the file that it may ask for.
type Surroundings struct {
	Dir      string                      // the absolute directory of the file, which is also the working directory
	Getenv   func(string) (string, bool) // os.LookupEnv
	Hostname func() (string, error)      // os.Hostname
	Home     string                      // for expanduser
	Given    []string                    // arguments of Worker that the caller has from elsewhere and ignores here
}

// Read interprets a tac file. The error is of type [*Errors].
func Read(text []byte, around Surroundings) (*Settings, error) {
	in := &interpreter{
		around:    around,
		names:     map[string]value{},
		settings:  &Settings{Basedir: around.Dir},
		environ:   map[string]*string{},
		isAllowed: true,
	}
	if len(text) > MaxSize {
		in.add(0, "the file has more than %d bytes", MaxSize)
		return nil, in.err()
	}
	program, err := decode(text)
	var tokens []token
	if err == nil {
		tokens, err = tokenize(program)
	}
	var all []stmt
	if err == nil {
		all, err = parse(tokens)
	}
	if err != nil {
		in.addError(err)
		return nil, in.err()
	}
	in.run(all)
	if in.worker == nil && len(in.found) == 0 {
		in.add(in.skipped, "there is no call of Worker(…) that is understood: is this the buildbot.tac of a worker?")
	}
	if in.worker != nil {
		in.bind(in.worker)
	}
	in.settings.environment(in.environ)
	slices.SortStableFunc(in.settings.Notes, func(a, b Note) int { return cmp.Compare(a.Line, b.Line) })
	slices.SortStableFunc(in.found, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	if err := in.err(); err != nil {
		return nil, err
	}
	return in.settings, nil
}

// call is a call of Worker or BuildSlave with its evaluated arguments.
type call struct {
	line  int
	class string
	args  []value
	names []string
}

type interpreter struct {
	problems
	around   Surroundings
	names    map[string]value
	settings *Settings
	worker   *call
	environ  map[string]*string // changes; nil deletes

	// isAllowed is false in a branch that may not be taken. There assignments make values unknown, and effects are
	// problems.
	isAllowed bool
	condition int // the line of the condition

	skipped int // the line of a value that is not understood; 0 for none
}

func (in *interpreter) note(line int, text string) {
	if in.isAllowed && len(in.settings.Notes) < maxNotes {
		in.settings.Notes = append(in.settings.Notes, Note{line, text})
	}
}

// refuse reports a statement with an effect that this package does not have.
func (in *interpreter) refuse(line int, format string, args ...any) {
	in.add(line, format, args...)
}

func (in *interpreter) run(all []stmt) {
	for _, s := range all {
		in.statement(s)
	}
}

func (in *interpreter) statement(s stmt) {
	switch s.op {
	case "pass":
	case "try":
		in.run(s.body)
	case "def":
		in.names[s.what] = unknown(s.line, "%s is defined in Python, which is not run", s.what)
		in.note(s.line, s.what+" is defined; definitions are not run")
	case "decorator":
		in.note(s.line, "the decorator is not run")
	case "import":
		for _, one := range s.imports {
			in.assign(s.line, one.name, value{kind: pathValue, text: one.path, line: s.line})
		}
	case "if":
		in.branch(s)
	case "=":
		if s.value.op == "opaque" {
			in.skipped = s.line
		}
		v := in.eval(s.value)
		for _, target := range s.targets {
			in.assignTo(target, v)
		}
	case "expr":
		in.effect(s.value)
	case "del":
		in.del(s.value)
	default:
		in.opaque(s)
	}
}

// branch runs the branch that the condition selects. If the condition is not known it looks at both.
func (in *interpreter) branch(s stmt) {
	condition := in.eval(s.value)
	switch {
	case !condition.known():
		was, at := in.isAllowed, in.condition
		in.isAllowed, in.condition = false, s.line
		in.run(s.body)
		in.run(s.other)
		in.isAllowed, in.condition = was, at
	case condition.truth():
		in.run(s.body)
	default:
		in.run(s.other)
	}
}

// uncertain returns why a statement may not be run.
func (in *interpreter) uncertain(line int, what string) bool {
	if !in.isAllowed {
		in.refuse(line, "%s depends on the condition in line %d, which cannot be decided without running Python",
			what, in.condition)
	}
	return !in.isAllowed
}

func (in *interpreter) assign(line int, name string, v value) {
	if !in.isAllowed {
		v = unknown(line, "%s depends on the condition in line %d, which cannot be decided without running Python", name,
			in.condition)
	}
	if v.kind == unknownValue && v.line == 0 {
		v.line = line
	}
	in.names[name] = v
}

func (in *interpreter) assignTo(target *expr, v value) {
	switch target.op {
	case "name":
		in.assign(target.line, target.name, v)
	case "tuple", "list":
		for i, one := range target.args {
			switch {
			case v.kind == listValue && len(v.list) == len(target.args):
				in.assignTo(one, v.list[i])
			default:
				in.assignTo(one, unknown(target.line, "the values in line %d cannot be told apart", target.line))
			}
		}
	case "[]":
		key := in.eval(target.args[1])
		if of := in.eval(target.args[0]); of.kind == pathValue && of.text == "os.environ" {
			in.setenv(target.line, key, v)
			return
		}
		in.refuse(target.line, "an assignment to an element is not understood")
	default:
		in.refuse(target.line, "an assignment to an attribute is not understood: the worker would not have it")
	}
}

func (in *interpreter) setenv(line int, key, v value) {
	if in.uncertain(line, "a variable of the environment") {
		return
	}
	if key.kind != textValue || v.kind != textValue {
		in.refuse(line, "a variable of the environment needs a known name and a known string: %s",
			cmp.Or(v.cause, key.cause, "its type is different"))
		return
	}
	if key.text == "" || strings.ContainsAny(key.text, "=\x00") || strings.Contains(v.text, "\x00") {
		in.refuse(line, "this is not a name or value for the environment")
		return
	}
	in.environ[key.text] = &v.text
}

func (in *interpreter) unsetenv(line int, key value) {
	if in.uncertain(line, "a variable of the environment") {
		return
	}
	if key.kind != textValue {
		in.refuse(line, "the name of the variable is not known: %s", key.describe())
		return
	}
	in.environ[key.text] = nil
}

func (in *interpreter) getenv(name string) (string, bool) {
	if changed, ok := in.environ[name]; ok {
		if changed == nil {
			return "", false
		}
		return *changed, true
	}
	if in.around.Getenv == nil {
		return "", false
	}
	return in.around.Getenv(name)
}

func (in *interpreter) del(e *expr) {
	if e.op == "name" {
		in.assign(e.line, e.name, unknown(e.line, "%s was deleted", e.name))
		return
	}
	if e.op == "[]" {
		if of := in.eval(e.args[0]); of.kind == pathValue && of.text == "os.environ" {
			in.unsetenv(e.line, in.eval(e.args[1]))
			return
		}
	}
	in.refuse(e.line, "del is not understood here")
}

// dropList is the loop of Buildbot's container image: it removes variables from the environment by patterns.
const dropList = "for name in list ( os . environ . keys ( ) ) : for toremove in blacklist : if fnmatch . fnmatch ( " +
	"name , toremove ) : del os . environ [ name ]"

// opaque handles a statement that the parser did not understand.
func (in *interpreter) opaque(s stmt) {
	var words []string
	for _, t := range s.tokens {
		if t.text != "" {
			words = append(words, t.text)
		}
	}
	switch {
	case s.what == "print":
		in.note(s.line, "print is not run")
	case strings.Join(words, " ") == dropList:
		blacklist := in.names["blacklist"]
		if in.uncertain(s.line, "the environment") {
			return
		}
		for _, pattern := range blacklist.list {
			in.settings.DropEnv = append(in.settings.DropEnv, pattern.text)
		}
		if blacklist.kind != listValue {
			in.refuse(s.line, "the list of variables to remove is not known")
		}
	case s.what == "from":
		in.refuse(s.line, "an import of all names is not understood: it may change any value")
	case s.what == "expression" || s.what == "":
		in.refuse(s.line, "the statement is not understood")
	default:
		in.refuse(s.line, "the statement that begins with %.40q is not understood", s.what)
	}
}

// eval returns an expression's value. What cannot be known is unknown, with the reason.
func (in *interpreter) eval(e *expr) value {
	v := in.evalOp(e)
	if v.line == 0 {
		v.line = e.line
	}
	if v.weight == 0 {
		v.weight = 1 + len(v.text)
		for _, one := range v.list {
			v.weight += one.weight
			v.partial = v.partial || one.partial || !one.known()
		}
	}
	if v.weight > maxText {
		return unknown(e.line, "the value in line %d has more than %d bytes", e.line, maxText)
	}
	return v
}

func (in *interpreter) evalOp(e *expr) value {
	switch e.op {
	case "value":
		return e.value
	case "name":
		return in.name(e)
	case ".":
		return in.attribute(e)
	case "call":
		return in.call(e)
	case "[]":
		return in.index(e)
	case "list", "tuple":
		v := value{kind: listValue}
		for _, one := range e.args {
			v.list = append(v.list, in.eval(one))
		}
		return v
	case "?":
		condition := in.eval(e.args[0])
		switch {
		case !condition.known():
			return condition
		case condition.truth():
			return in.eval(e.args[1])
		}
		return in.eval(e.args[2])
	case "opaque":
		return unknown(e.line, "%s in line %d is not understood", e.name, e.line)
	case "and", "or":
		left := in.eval(e.args[0])
		if !left.known() || left.truth() == (e.op == "or") {
			return left
		}
		return in.eval(e.args[1])
	}
	return in.operation(e)
}

func (in *interpreter) name(e *expr) value {
	if v, ok := in.names[e.name]; ok {
		return v
	}
	switch e.name {
	case "__file__":
		return textOf(join(in.around.Dir, "buildbot.tac"))
	case "__name__":
		return textOf("__builtin__")
	}
	if slices.Contains(builtins, e.name) {
		return value{kind: pathValue, text: e.name}
	}
	in.refuse(e.line, "the name %.60q has no value", e.name)
	return unknown(e.line, "the name %.60q in line %d has no value", e.name, e.line)
}

// builtins are the names that Python knows without an import, as far as they matter.
var builtins = []string{
	"int", "str", "bool", "bytes", "unicode", "print", "len", "open", "float", "list", "dict", "repr", "sorted", "getattr",
	"setattr", "hasattr", "isinstance", "map", "range", "min", "max", "abs", "exec", "eval", "execfile", "input",
	"raw_input", "__import__", "globals", "locals", "vars", "type", "object", "set", "tuple", "sum", "any", "all", "zip",
	"ImportError", "Exception", "KeyError", "ValueError", "OSError",
}

func (in *interpreter) attribute(e *expr) value {
	of := in.eval(e.args[0])
	switch of.kind {
	case unknownValue:
		return of
	case pathValue:
		return value{kind: pathValue, text: of.text + "." + e.name}
	case objectValue:
		return value{kind: objectValue, text: of.text + "." + e.name, self: of.self}
	}
	return value{kind: pathValue, text: "." + e.name, self: &of}
}

func (in *interpreter) index(e *expr) value {
	of, key := in.eval(e.args[0]), in.eval(e.args[1])
	switch {
	case of.kind == unknownValue:
		return of
	case key.kind == unknownValue:
		return key
	case of.kind == pathValue && of.text == "os.environ" && key.kind == textValue:
		if text, ok := in.getenv(key.text); ok {
			return textOf(text)
		}
		return unknown(e.line, "the environment has no variable %.60q, which line %d needs", key.text, e.line)
	case of.kind == listValue && key.kind == intValue:
		n := key.n
		if n < 0 {
			n += int64(len(of.list))
		}
		if n >= 0 && n < int64(len(of.list)) {
			return of.list[n]
		}
	}
	return unknown(e.line, "the element in line %d is not known", e.line)
}

// operation evaluates a unary or binary operator.
func (in *interpreter) operation(e *expr) value {
	var args []value
	for _, one := range e.args {
		v := in.eval(one)
		switch {
		case v.kind == unknownValue:
			return v
		case v.kind == pathValue:
			return unknown(e.line, "%.60s in line %d is not known", v.text, e.line)
		case v.partial:
			return unknown(e.line, "the list in line %d is not known", e.line)
		}
		args = append(args, v)
	}
	if len(args) == 1 {
		switch v := args[0]; {
		case e.op == "unary not":
			return boolean(!v.truth())
		case e.op == "unary -" && v.isNumber() && v.n != math.MinInt64:
			return value{kind: intValue, n: -v.n}
		case e.op == "unary -" && v.kind == floatValue:
			return value{kind: floatValue, f: -v.f}
		case e.op == "unary +" && (v.isNumber() || v.kind == floatValue):
			return v
		}
		return unknown(e.line, "the operator in line %d is not understood", e.line)
	}
	a, b := args[0], args[1]
	switch e.op {
	case "==", "is":
		return boolean(a.equal(b))
	case "!=", "<>", "is not":
		return boolean(!a.equal(b))
	case "in", "not in":
		if b.kind == textValue && a.kind == textValue {
			return boolean(strings.Contains(b.text, a.text) == (e.op == "in"))
		}
		if b.kind == listValue {
			return boolean(slices.ContainsFunc(b.list, a.equal) == (e.op == "in"))
		}
	case "+":
		if a.kind == textValue && b.kind == textValue && len(a.text)+len(b.text) <= maxText {
			return textOf(a.text + b.text)
		}
	}
	if a.isNumber() && b.isNumber() {
		if v, ok := arithmetic(e.op, a.n, b.n); ok {
			return v
		}
	}
	return unknown(e.line, "the operator in line %d is not understood", e.line)
}

// maxInteger limits the operands of arithmetic, so that no result overflows.
const maxInteger = 1 << 31

func arithmetic(op string, a, b int64) (value, bool) {
	if a < -maxInteger || a > maxInteger || b < -maxInteger || b > maxInteger {
		return value{}, false
	}
	number := func(n int64) (value, bool) { return value{kind: intValue, n: n}, true }
	switch op {
	case "+":
		return number(a + b)
	case "-":
		return number(a - b)
	case "*":
		return number(a * b)
	case "<":
		return boolean(a < b), true
	case ">":
		return boolean(a > b), true
	case "<=":
		return boolean(a <= b), true
	case ">=":
		return boolean(a >= b), true
	case "|":
		return number(a | b)
	case "&":
		return number(a & b)
	}
	return value{}, false
}
