package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// shell runs a program, or a line in a shell.
type shell struct {
	task
}

func newShell(at place, args arguments) (job, error) {
	if err := args.need("workdir", "command"); err != nil {
		return nil, err
	}
	t := task{wantStdout: true, wantStderr: true, sendRC: true}
	var workdir, stdin, signal string
	err := args.fill(
		map[string]any{"max_lines": &t.maxLines, "workdir": &workdir, "initial_stdin": &stdin, "interruptSignal": &signal},
	)
	if err != nil {
		return nil, err
	}
	_, t.limitLines = args.get("max_lines")
	t.dir = join(at.builder, workdir)
	t.wantStdout, t.wantStderr = args.truth("want_stdout", true), args.truth("want_stderr", true)
	t.logEnviron, t.pty = args.truth("logEnviron", true), args.truth("usePTY", false)
	if _, given := args.get("initial_stdin"); given {
		t.stdin = &stdin
	}
	if t.signal, err = signalOf(signal); err != nil {
		return nil, err
	}
	for name, dst := range map[string]*seconds{"timeout": &t.timeout, "maxTime": &t.maxTime,
		"sigtermTime": &t.sigtermTime} {
		if *dst, err = args.seconds(name); err != nil {
			return nil, err
		}
	}
	command, _ := args.get("command")
	if err = t.setCommand(command); err != nil {
		return nil, err
	}
	env, _ := args.get("env")
	if t.env, err = environment(os.Environ(), env); err != nil {
		return nil, err
	}
	logs, _ := args.get("logfiles")
	if t.logfiles, err = logfilesOf(t.dir, logs); err != nil {
		return nil, err
	}
	t.logsShown = "{}"
	if logs != nil {
		t.logsShown = pythonShown(logs)
	}
	return &shell{t}, nil
}

func (s *shell) run(ctx context.Context, out *report) error {
	_, err := s.task.run(ctx, out)
	return err
}

// obfuscated recognises a secret: a triple ("obfuscated", real, shown) with a tag of text or bytes. Masters send a
// tuple; a list counts too, because a secret that was shown cannot be taken back.
func obfuscated(v any) (secret, shown any, ok bool) {
	triple, isTuple := v.(jelly.Tuple)
	if list, isList := v.([]any); isList {
		triple, isTuple = list, true
	}
	if !isTuple || len(triple) != 3 {
		return nil, nil, false
	}
	switch tag := triple[0].(type) {
	case string:
		ok = tag == "obfuscated"
	case []byte:
		ok = string(tag) == "obfuscated"
	}
	return triple[1], triple[2], ok
}

// setCommand sets the program from a line for the shell or a list of arguments. An argument may be or contain a secret;
// see obfuscated.
func (t *task) setCommand(command any) error {
	list, isList := command.([]any)
	shownLine := command
	if tuple, isTuple := command.(jelly.Tuple); isTuple {
		list, isList = tuple, true
		if secret, shown, ok := obfuscated(tuple); ok {
			command, shownLine, isList = secret, shown, false
		}
	}
	if !isList {
		var line string
		if err := jelly.Assign(&line, command); err != nil {
			return flavors.TypeError.Errorf("argument command: %w", err)
		}
		t.argv, t.display = shellArgv(line), printed(shownLine)
		t.program, t.shown = t.argv[0], python([]byte(t.display))
		return nil
	}
	var display []string
	var shown []any
	size := 0
	for _, arg := range list {
		fake := arg
		if secret, shown, ok := obfuscated(arg); ok {
			arg, fake = secret, shown
		}
		whole, err := argumentText(arg)
		if err != nil {
			return err
		}
		seen := printed(fake)
		// A short message can refer to one long argument many times.
		if size += len(whole) + len(seen); size > maxCommand {
			return tooLarge("command")
		}
		t.argv = append(t.argv, whole)
		display = append(display, shellQuote(seen))
		shown = append(shown, []byte(seen))
	}
	if len(t.argv) == 0 {
		return flavors.ValueError.New("argument command: the list is empty; it must name a program")
	}
	t.display, t.shown, t.program = strings.Join(display, " "), python(shown), display[0]
	t.argv = programArgv(t.argv)
	return nil
}

// maxCommand limits a command's arguments, and its environment, in bytes. Linux accepts 2 MiB for both together.
const maxCommand = 4 << 20

func tooLarge(argument string) error {
	return flavors.ValueError.Errorf("argument %s has more than %d bytes", argument, maxCommand)
}

// argumentText returns an argument as the program gets it. Numbers and other values, for example from a property, are
// written as Python does, as in the stock worker. It refuses a value that contains itself or is too long or too deep.
func argumentText(arg any) (string, error) {
	switch arg.(type) {
	case string, []byte:
		var text string
		if err := jelly.Assign(&text, arg); err != nil {
			return "", flavors.TypeError.Errorf("argument command: %w", err)
		}
		return text, nil
	}
	text, whole := pythonWhole(arg)
	if !whole {
		return "", flavors.ValueError.Errorf(
			"argument command: %s that contains itself, or is too large or too deep to be an argument",
			jelly.TypeName(arg),
		)
	}
	return text, nil
}

var shellSafe = regexp.MustCompile(`^[0-9A-Za-z_@%+=:,./-]+$`)

// shellQuote quotes an argument for a shell.
func shellQuote(arg string) string {
	switch {
	case arg == "":
		return `""`
	case shellSafe.MatchString(arg):
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'"'"'`) + "'"
}

var reference = regexp.MustCompile(`\$\{([0-9a-zA-Z_]*)\}`)

// environment returns the worker's environment changed by the master's: a text may refer to the worker's variables as
// ${NAME}, a list is joined as a PATH is, None deletes a variable, and PYTHONPATH is put in front of the worker's.
func environment(own []string, wanted any) (map[string]string, error) {
	env := map[string]string{}
	for _, entry := range own {
		if key, value, ok := strings.Cut(entry, "="); ok && key != "" {
			env[key] = value
		}
	}
	dict, ok := wanted.(*jelly.Dict)
	if wanted == nil || ok && dict.Len() == 0 {
		return env, nil
	}
	if !ok {
		return nil, flavors.TypeError.Errorf("argument env is a dictionary, not %s", jelly.TypeName(wanted))
	}
	worker := make(map[string]string, len(env))
	for key, value := range env {
		worker[key] = value
	}
	size := 0
	for k, v := range dict.All() {
		var key, value string
		if err := jelly.Assign(&key, k); err != nil {
			return nil, flavors.TypeError.Errorf("argument env: %w", err)
		}
		if v == nil {
			delete(env, key)
			continue
		}
		value, err := oneValue(v)
		if err != nil {
			return nil, flavors.RuntimeError.Errorf("'env' values must be strings or lists; key '%s' is incorrect", key)
		}
		if key == "PYTHONPATH" {
			value += string(filepath.ListSeparator) + "${PYTHONPATH}"
		}
		if size += len(key) + expandedSize(value, worker); size > maxCommand {
			return nil, tooLarge("env")
		}
		env[key] = reference.ReplaceAllStringFunc(value, func(ref string) string { return worker[ref[2:len(ref)-1]] })
	}
	return env, nil
}

// expandedSize returns the length of a value after expansion.
func expandedSize(value string, worker map[string]string) int {
	size := len(value)
	for _, at := range reference.FindAllStringSubmatchIndex(value, -1) {
		size += len(worker[value[at[2]:at[3]]]) - (at[1] - at[0])
	}
	return size
}

func oneValue(v any) (string, error) {
	if list, ok := v.([]any); ok {
		var parts []string
		if err := jelly.Assign(&parts, list); err != nil {
			return "", err
		}
		size := 0
		for _, part := range parts {
			if size += len(part) + 1; size > maxCommand {
				return "", tooLarge("env")
			}
		}
		return strings.Join(parts, string(filepath.ListSeparator)), nil
	}
	var text string
	err := jelly.Assign(&text, v)
	return text, err
}
