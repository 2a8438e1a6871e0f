package docscheck

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// formatted is the index of a function's format argument, or -1 if the function prints its arguments without one.
var formatted = map[string]int{
	"fmt.Sprintf": 0, "fmt.Errorf": 0, "fmt.Printf": 0, "fmt.Fprintf": 1, "fmt.Appendf": 1,
	"fmt.Sprint": -1, "fmt.Sprintln": -1, "fmt.Print": -1, "fmt.Println": -1, "fmt.Fprint": -1, "fmt.Fprintln": -1,
	"fmt.Append": -1,
	"Errorf":     0, "Msgf": 0, "Refuse": 1, // ours and zerolog's
	"Interface": -1, "Any": -1, // zerolog's, which encode a value as JSON
	"encoding/json.Marshal": -1, "reflect.DeepEqual": -1,
}

// TestNoVerbsOnDecodedValues finds values of an unknown type, or containers of such, that are passed to the verbs of
// package fmt, to zerolog's Interface or to encoding/json, in every module that ships. A decoded value may contain
// itself: print it with jelly.Format.
func TestNoVerbsOnDecodedValues(t *testing.T) {
	checked := 0
	for _, module := range []string{".", "cmd"} {
		checked += checkVerbs(t, module)
	}
	assert.Greater(t, checked, 300, "too few printed values were found")
}

// checkVerbs checks a module and returns the number of printed values.
func checkVerbs(t *testing.T, module string) (checked int) {
	t.Helper()
	packages, exports := listPackages(t, module)
	require.NotEmpty(t, packages, module)
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for path, files := range packages {
		var parsed []*ast.File
		for _, name := range files {
			f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			parsed = append(parsed, f)
		}
		info := &types.Info{
			Types:      map[ast.Expr]types.TypeAndValue{},
			Uses:       map[*ast.Ident]types.Object{},
			Selections: map[*ast.SelectorExpr]*types.Selection{},
		}
		config := types.Config{Importer: imports}
		_, err := config.Check(path, fset, parsed, info)
		require.NoError(t, err, path)
		for _, f := range parsed {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				for _, arg := range printedBy(info, call) {
					checked++
					if typ := info.TypeOf(arg); mayBeDecoded(typ, 0) {
						assert.Fail(t, "a value of an unknown type is printed", "%s: %s: use jelly.Format or jelly.TypeName",
							fset.Position(arg.Pos()), typ)
					}
				}
				return true
			})
		}
	}
	return checked
}

// listPackages returns the files of a module's packages that ship, and the export data of all packages.
func listPackages(t *testing.T, module string) (files map[string][]string, exports map[string]string) {
	t.Helper()
	const format = `{{.ImportPath}}|{{.Export}}|{{if .Module}}{{.Module.Main}}{{end}}|` +
		`{{range .GoFiles}}{{$.Dir}}/{{.}} {{end}}`
	dir, err := filepath.Abs(filepath.Join(root, module))
	require.NoError(t, err)
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", format, "./...")
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	files, exports = map[string][]string{}, map[string]string{}
	for line := range bytes.Lines(out) {
		parts := strings.Split(strings.TrimSpace(string(line)), "|")
		exports[parts[0]] = parts[1]
		if parts[2] == "true" && !strings.Contains(parts[0], "/internal/") {
			files[parts[0]] = strings.Fields(parts[3])
		}
	}
	return files, exports
}

// printedBy returns the arguments of a call that are printed with a verb other than %T and %p.
func printedBy(info *types.Info, call *ast.CallExpr) []ast.Expr {
	at, known := formatted[calledName(info, call)]
	switch {
	case !known || call.Ellipsis.IsValid():
		return nil
	case at < 0:
		return call.Args
	case at >= len(call.Args):
		return nil
	}
	format := info.Types[call.Args[at]].Value
	if format == nil || format.Kind() != constant.String {
		return call.Args[at+1:]
	}
	var printed []ast.Expr
	for i, verb := range verbsOf(constant.StringVal(format)) {
		if verb != 'T' && verb != 'p' && at+1+i < len(call.Args) {
			printed = append(printed, call.Args[at+1+i])
		}
	}
	return printed
}

// calledName returns a function's name: with its package path, or alone for methods and functions of this module.
func calledName(info *types.Info, call *ast.CallExpr) string {
	var id *ast.Ident
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		id = f.Sel
	case *ast.Ident:
		id = f
	default:
		return ""
	}
	f, ok := info.Uses[id].(*types.Func)
	if !ok || f.Pkg() == nil {
		return ""
	}
	if f.Signature().Recv() == nil && !strings.HasPrefix(f.Pkg().Path(), "github.com/perspectivebroker/") {
		return f.Pkg().Path() + "." + f.Name()
	}
	if f.Signature().Recv() != nil && f.Pkg().Path() == "reflect" {
		return ""
	}
	return f.Name()
}

// verbsOf returns a verb for each operand of a format.
func verbsOf(format string) (verbs []rune) {
	within := false
	for _, r := range format {
		switch {
		case !within:
			within = r == '%'
		case r == '%':
			within = false
		case r == '*':
			verbs = append(verbs, 'd')
		case strings.ContainsRune("+-# 0123456789.[]", r):
		default:
			verbs, within = append(verbs, r), false
		}
	}
	return verbs
}

// mayBeDecoded reports whether a static type can hold what a peer sent: any, and containers and structs of it that do
// not format themselves.
func mayBeDecoded(typ types.Type, depth int) bool {
	if depth > 3 || typ == nil || formatsItself(typ) {
		return false
	}
	switch u := typ.Underlying().(type) {
	case *types.Interface:
		return u.Empty()
	case *types.Slice:
		return mayBeDecoded(u.Elem(), depth+1)
	case *types.Array:
		return mayBeDecoded(u.Elem(), depth+1)
	case *types.Map:
		return mayBeDecoded(u.Key(), depth+1) || mayBeDecoded(u.Elem(), depth+1)
	case *types.Pointer:
		return depth == 0 && mayBeDecoded(u.Elem(), depth+1)
	case *types.Struct:
		for i := range u.NumFields() {
			if mayBeDecoded(u.Field(i).Type(), depth+1) {
				return true
			}
		}
	}
	return false
}

// formatsItself reports whether package fmt asks the type for its text.
func formatsItself(typ types.Type) bool {
	for _, t := range []types.Type{typ, types.NewPointer(typ)} {
		methods := types.NewMethodSet(t)
		for i := range methods.Len() {
			switch methods.At(i).Obj().Name() {
			case "Format", "Error", "String":
				return true
			}
		}
	}
	return false
}

func TestVerbsOf(t *testing.T) {
	assert.Equal(t, "vsdTq", string(verbsOf("%v %% %s %+d %T %.3q")))
	assert.Equal(t, fmt.Sprint([]rune("dv")), fmt.Sprint(verbsOf("%*v")))
}
