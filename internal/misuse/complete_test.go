package misuse_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// left are the public functions and types that the tables omit, and why.
var left = map[string]string{
	"actor.With": "an option", "supervision.With": "an option", "supervision.OnDecision": "an option",
	"supervision.Decide": "an option",
	"flavors.With":       "an option", "broker.With": "an option", "cred.With": "an option",
	"flavors.New":     "it is like regexp.MustCompile",
	"flavors.Update":  "its parameter is a type of this package's alone",
	"flavors.Publish": "an entry of a table", "flavors.Hide": "an entry of a table",
	"flavors.Func": "an entry of a table",
	"flavors.Proc": "an entry of a table", "flavors.Method0": "an entry of a table",
	"flavors.Method1": "an entry of a table",
	"flavors.Method2": "an entry of a table", "flavors.Method3": "an entry of a table",
	"cred.By": "a rule", "cred.Default": "a value", "cred.ID": "a value", "cred.AnonymousID": "a value",
	"cred.Plaintext": "a value", "cred.MD5": "a value",
	"cred.Check": "it takes values", "cred.RespondMD5": "it takes values",
	"jelly.DefaultSecurity": "it takes nothing", "jelly.NewSet": "it takes values",
	"jelly.NewFrozenSet": "it takes values", "jelly.New": "it takes values",
	"jelly.DateOf": "it takes values", "jelly.Parse": "it takes values", "jelly.Time": "it takes values",
	"jelly.Duration": "it takes values",
	"banana.Decode":  "it takes values", "banana.Append": "it takes values", "banana.Parse": "it takes values",
	"banana.Lookup": "it takes values",
}

// takesNil reports whether a parameter's syntax shows that it can be nil.
func takesNil(f *ast.FuncType) bool {
	for _, p := range f.Params.List {
		switch t := p.Type.(type) {
		case *ast.StarExpr, *ast.FuncType, *ast.InterfaceType:
			return true
		case *ast.Ident:
			if t.Name == "any" || t.Name == "error" {
				return true
			}
		case *ast.SelectorExpr:
			if t.Sel.Name == "Context" {
				return true
			}
		}
	}
	return false
}

// TestTablesAreComplete finds public functions that no table has.
func TestTablesAreComplete(t *testing.T) {
	known := functions()
	have := map[string]bool{}
	for _, of := range types() {
		name, _, _ := strings.Cut(reflect.TypeOf(of).Elem().String(), "[")
		have[name] = true
	}
	leftOut := func(name string) bool {
		for prefix := range left {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		return false
	}
	dirs := []string{
		"actor", "supervision", "flavors", "flavors/paging", "broker", "broker/inspect", "cred",
		"codec/jelly", "codec/banana",
	}
	for _, dir := range dirs {
		files, err := filepath.Glob("../../" + dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range parsed.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || f.Recv != nil || !f.Name.IsExported() || !takesNil(f.Type) {
					continue
				}
				if name := path.Base(dir) + "." + f.Name.Name; known[name] == nil && !leftOut(name) {
					t.Errorf("%s is in no table", name)
				}
			}
		}
	}
	for name := range handles {
		if !have[name] {
			t.Errorf("the handle %s is not among the types", name)
		}
	}
}
