package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/perspectivebroker/pb/cmd/pb/internal/gen"
	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
)

var genCommand = command{
	name: "gen", usage: "[-o FILE] [-python FILE] PACKAGE, or -check OLD PACKAGE",
	summary: "makes typed stubs from Go interfaces",
	detail: `PACKAGE is a directory or an import path. Its interfaces with a line //pb:remote directly above them get, in
the Go file, a client type with one typed method for each method, and a server whose arguments are checked against the
signature; in the Python file, a class for Twisted. The Go file belongs into the package. Without -o and -python the Go
file goes to standard output.

A method's name on the wire is its name with a lower-case first letter, or NAME after //pb:name NAME above it. A last
parameter that is a struct with pb tags takes keywords.

With -check nothing is written. OLD is an earlier output of -o, or a directory with an earlier version of the package.
Each change that breaks clients of OLD is named, and the status is 1 if there is one. New methods and new optional
keywords break nothing.`,
	prepare: prepareGen,
}

func prepareGen(f *flags) func(context.Context, *env, []string) error {
	goFile := f.set.String("o", "", "write the Go code to `FILE`")
	pythonFile := f.set.String("python", "", "write the Python code to `FILE`")
	old := f.set.String("check", "", "compare with `OLD`, a generated file or a package's directory, and write nothing")
	tags := f.set.String("tags", "", "a comma-separated `LIST` of build tags")
	return func(ctx context.Context, e *env, args []string) error {
		switch {
		case len(args) != 1 || args[0] == "":
			return usage("one package is required")
		case *old != "" && (*goFile != "" || *pythonFile != ""):
			return usage("-check writes nothing: leave out -o and -python")
		case f.given("check") && *old == "":
			return usage("-check needs a file or a directory")
		}
		options := gen.LoadOptions{Tags: *tags, Output: *goFile}
		p, err := gen.Load(ctx, args[0], options)
		if err != nil {
			return e.genError(err)
		}
		if *old != "" {
			return e.genCheck(ctx, *old, options, p)
		}
		code, err := p.Go()
		if err != nil {
			return err
		}
		if *goFile == "" && *pythonFile == "" {
			_, err := e.stdout.Write(code)
			return err
		}
		var files []output
		if *goFile != "" {
			files = append(files, output{*goFile, code})
		}
		if *pythonFile != "" {
			files = append(files, output{*pythonFile, p.Python()})
		}
		return writeAll(files)
	}
}

// genError prints the faults of the input, one line each.
func (e *env) genError(err error) error {
	var faults gen.Errors
	if errors.As(err, &faults) {
		for _, fault := range faults {
			e.note("%s", value.Lines(fault.Error()))
		}
		return quietError{statusFailed}
	}
	return err
}

// maxGenerated is the most bytes of a generated file that is read.
const maxGenerated = 16 << 20

// genCheck compares with an older version.
func (e *env) genCheck(ctx context.Context, old string, options gen.LoadOptions, now *gen.Package) error {
	var contract *gen.Contract
	info, err := os.Stat(old)
	switch {
	case err != nil:
		return usageError{err}
	case info.IsDir():
		p, err := gen.Load(ctx, old, options)
		if err != nil {
			return e.genError(err)
		}
		contract = p.Contract()
	default:
		file, err := os.Open(old)
		if err != nil {
			return usageError{err}
		}
		defer file.Close()
		source, err := io.ReadAll(io.LimitReader(file, maxGenerated))
		if err != nil {
			return usageError{err}
		}
		if contract, err = gen.ParseContract(string(source)); err != nil {
			return usage("%s: %w", old, err)
		}
	}
	broken := gen.Check(contract, now.Contract())
	for _, line := range broken {
		e.line(value.Lines(line))
	}
	if len(broken) > 0 {
		return quietError{statusFailed}
	}
	return nil
}

func isDevice(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// output is a file to be written.
type output struct {
	path    string
	content []byte
}

// writeAll writes files so that each has either its old or its new content, and none is changed if one cannot be
// written.
func writeAll(files []output) error {
	temporary := make([]string, len(files))
	defer func() {
		for _, name := range temporary {
			if name != "" {
				_ = os.Remove(name)
			}
		}
	}()
	for i := range files {
		f := &files[i]
		if isDevice(f.path) {
			continue
		}
		if target, err := filepath.EvalSymlinks(f.path); err == nil {
			f.path = target // A link stays one.
		}
		if old, err := os.ReadFile(f.path); err == nil && bytes.Equal(old, f.content) {
			continue // Its time stays, so that nothing is built again.
		}
		name, err := writeBeside(*f)
		if err != nil {
			return fmt.Errorf("writing %s: %w", f.path, err)
		}
		temporary[i] = name
	}
	for i, f := range files {
		switch {
		case temporary[i] != "":
			if err := os.Rename(temporary[i], f.path); err != nil {
				return err
			}
			temporary[i] = ""
		case isDevice(f.path):
			if err := os.WriteFile(f.path, f.content, 0o666); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeBeside writes a temporary file in the directory of the output, with its mode.
func writeBeside(f output) (name string, err error) {
	mode := os.FileMode(0o644)
	if info, err := os.Stat(f.path); err == nil {
		if info.IsDir() {
			return "", errors.New("it is a directory")
		}
		mode = info.Mode().Perm()
	}
	// The name begins with a dot, so that no Go command takes it for a part of the package.
	file, err := os.CreateTemp(filepath.Dir(f.path), ".pb-gen-*")
	if err != nil {
		return "", err
	}
	defer file.Close()
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	if _, err = file.Write(f.content); err != nil {
		return "", err
	}
	if err = file.Chmod(mode); err != nil {
		return "", err
	}
	return file.Name(), file.Close()
}
