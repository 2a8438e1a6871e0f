package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// fileJob is a command that makes a system call or a few for a path.
type fileJob struct {
	name, path string
	do         func(ctx context.Context, path string) (key string, value any, err error)
}

func (j *fileJob) run(ctx context.Context, out *report) error {
	key, value, err := j.do(ctx, j.path)
	if errors.Is(err, errInterrupted) {
		out.header(err.Error() + "\n")
		out.rc(-1)
		return nil
	}
	if err != nil {
		// The text has no newline, so it follows the exit code, as with the stock worker.
		out.header(fmt.Sprintf("%s: %s: %s", j.name, reason(err), j.path))
		out.rc(errno(err))
		return nil
	}
	if key != "" {
		out.status(key, value)
	}
	out.rc(0)
	return nil
}

// fileCommand returns a constructor for a command whose path is in the named argument.
func fileCommand(name, argument string, do func(context.Context, string) (string, any, error)) newJob {
	return func(at place, args arguments) (job, error) {
		if err := args.need(argument); err != nil {
			return nil, err
		}
		var workdir, path string
		into := map[string]any{argument: &path}
		if name == "stat" { // only stat has it
			into["workdir"] = &workdir
		}
		if err := args.fill(into); err != nil {
			return nil, err
		}
		if name == "rmfile" { // as stock does since 3.10
			path = home(path)
		}
		return &fileJob{name: name, path: join(at.builder, workdir, path), do: do}, nil
	}
}

func statFile(_ context.Context, path string) (string, any, error) {
	about, err := os.Stat(path)
	if err != nil {
		return "", nil, err
	}
	return "stat", statTuple(about), nil
}

// statWithoutSystem returns what Go knows about a file on every system.
func statWithoutSystem(about fs.FileInfo) jelly.Tuple {
	mode := uint32(about.Mode().Perm())
	switch {
	case about.IsDir():
		mode |= 0o040000
	case about.Mode().IsRegular():
		mode |= 0o100000
	}
	at := about.ModTime().Unix()
	return jelly.Tuple{mode, 0, 0, 1, 0, 0, about.Size(), at, at, at}
}

func listDir(_ context.Context, path string) (string, any, error) {
	entries, err := os.ReadDir(path)
	if len(entries) > maxPaths {
		return "", nil, errTooManyPaths
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, clean(e.Name()))
	}
	return "files", names, err
}

func globPath(ctx context.Context, pattern string) (string, any, error) {
	paths, err := glob(ctx, pattern)
	if err != nil {
		return "", nil, err
	}
	for i := range paths {
		paths[i] = clean(paths[i])
	}
	return "files", paths, nil
}

// removeFile removes a file, but no directory, not even an empty one.
func removeFile(_ context.Context, path string) (string, any, error) {
	if err := syscall.Unlink(path); err != nil {
		return "", nil, os.NewSyscallError("unlink", err)
	}
	return "", nil, nil
}

func makeDirectory(_ context.Context, path string) (string, any, error) {
	err := os.MkdirAll(path, 0o777)
	if _, missing := os.Lstat(path); err != nil && missing == nil {
		err = os.NewSyscallError("mkdir", syscall.EEXIST) // path exists and is no directory
	}
	return "", nil, err
}

// makeParent creates the directory of a file. It ignores errors: creating the file will fail, and the master is told
// that.
func makeParent(path string) error {
	dir := parent(path)
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	return failure(os.MkdirAll(dir, 0o777))
}

// directoryTask copies or removes directories with a program, which may take long, can be interrupted, and reports what
// it does.
type directoryTask struct {
	timeout, maxTime seconds
	logEnviron       bool
	base             string
}

// directoryPatience is the default timeout without output, in seconds.
const directoryPatience = 120

func newDirectoryTask(at place, args arguments) (d directoryTask, err error) {
	d.base, d.logEnviron = at.base, args.truth("logEnviron", true)
	if d.timeout, err = args.seconds("timeout"); err != nil {
		return d, err
	}
	if _, given := args.dict.GetName("timeout"); !given {
		d.timeout = seconds{int64(directoryPatience)}
	}
	d.maxTime, err = args.seconds("maxTime")
	return d, err
}

func (d *directoryTask) exec(ctx context.Context, out *report, argv ...any) (int, error) {
	env, err := environment(os.Environ(), nil)
	if err != nil {
		return -1, err
	}
	t := task{
		dir:        d.base,
		env:        env,
		timeout:    d.timeout,
		maxTime:    d.maxTime,
		wantStdout: true,
		wantStderr: true,
		logEnviron: d.logEnviron,
	}
	if t.signal, err = signalOf(""); err != nil {
		return -1, err
	}
	if err := t.setCommand(argv); err != nil {
		return -1, err
	}
	return t.run(ctx, out)
}

// copyDirectory copies a directory.
type copyDirectory struct {
	directoryTask
	from, to string
}

func newCopyDirectory(at place, args arguments) (job, error) {
	if err := args.need("fromdir", "todir"); err != nil {
		return nil, err
	}
	d, err := newDirectoryTask(at, args)
	c := &copyDirectory{directoryTask: d}
	if err == nil {
		err = args.fill(map[string]any{"fromdir": &c.from, "todir": &c.to})
	}
	c.from, c.to = join(at.builder, c.from), join(at.builder, c.to)
	return c, err
}

func (c *copyDirectory) run(ctx context.Context, out *report) error {
	if err := makeParent(c.to); err != nil {
		return err
	}
	rc, err := c.exec(ctx, out, "cp", "-R", "-P", "-p", "-v", c.from, c.to)
	if err == nil {
		out.rc(rc)
	}
	return err
}

// removeDirectory removes directories with their contents.
type removeDirectory struct {
	directoryTask
	paths []string
}

func newRemoveDirectory(at place, args arguments) (job, error) {
	if err := args.need("dir"); err != nil {
		return nil, err
	}
	d, err := newDirectoryTask(at, args)
	if err != nil {
		return nil, err
	}
	r := &removeDirectory{directoryTask: d}
	if r.paths, err = directories(at, args); err != nil {
		return nil, err
	}
	return r, nil
}

// directories returns an argument that is one path or a list of paths.
func directories(at place, args arguments) ([]string, error) {
	v, _ := args.get("dir")
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var paths []string
	size := 0
	for _, v := range list {
		var path string
		if err := jelly.Assign(&path, v); err != nil {
			return nil, flavors.TypeError.Errorf("argument dir: %w", err)
		}
		if size += len(at.builder) + len(path); size > maxCommand || len(path) > maxPath {
			return nil, tooLarge("dir")
		}
		paths = append(paths, join(at.builder, path))
	}
	if len(paths) == 0 {
		return nil, flavors.ValueError.New("argument dir: the list is empty")
	}
	return paths, nil
}

func (r *removeDirectory) run(ctx context.Context, out *report) error {
	result := 0
	for _, path := range r.paths {
		rc, err := r.exec(ctx, out, "rm", "-rf", path)
		if err == nil && rc != 0 && ctx.Err() == nil {
			// A directory without permissions can be emptied after chmod, if this user owns it.
			if _, err = r.exec(ctx, out, "chmod", "-Rf", "u+rwx", path); err == nil {
				rc, err = r.exec(ctx, out, "rm", "-rf", path)
			}
		}
		if err != nil {
			return err
		}
		if rc != 0 {
			result = rc
		}
	}
	out.rc(result)
	return nil
}

// Python's exceptions for errors of the system.
var (
	osError           = flavors.NewException("builtins.OSError", flavors.PlainException)
	fileNotFoundError = flavors.NewException("builtins.FileNotFoundError", osError)
	permissionError   = flavors.NewException("builtins.PermissionError", osError)
	fileExistsError   = flavors.NewException("builtins.FileExistsError", osError)
)

// failure returns err with the exception type that the master may trap. The result can be sent.
func failure(err error) error {
	var known *flavors.Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.Is(err, fs.ErrNotExist):
		return fileNotFoundError.Wrap(err)
	case errors.Is(err, fs.ErrPermission):
		return permissionError.Wrap(err)
	case errors.Is(err, fs.ErrExist):
		return fileExistsError.Wrap(err)
	case errors.As(err, new(syscall.Errno)):
		return osError.Wrap(err)
	}
	return flavors.PlainException.Wrap(err)
}

// errno returns the system's error number, which is the exit code of the file commands, or 1 if there is none.
func errno(err error) int {
	var number syscall.Errno
	if errors.As(err, &number) && number != 0 {
		return systemNumber(number)
	}
	return 1
}

// reason returns the system's error text with a capital letter, as C has it.
func reason(err error) string {
	var number syscall.Errno
	text := err.Error()
	if errors.As(err, &number) {
		text = number.Error()
	}
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
