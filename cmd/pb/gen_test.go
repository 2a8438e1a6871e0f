package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/cmd/pb/internal/gentest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGenExample makes the code of examples/shop again.
func TestGenExample(t *testing.T) {
	const dir = "../../examples/shop"
	out := t.TempDir()
	goFile, pythonFile := filepath.Join(out, "shop_pb.go"), filepath.Join(out, "shop_pb.py")
	r := pb(t, "gen", "-o", goFile, "-python", pythonFile, dir)
	require.Equal(t, result{}, r)
	checkMade(t, dir, goFile, pythonFile)
	assert.Equal(t, result{}, pb(t, "gen", "-check", filepath.Join(dir, "shop_pb.go"), dir))
	assert.Equal(t, result{}, pb(t, "gen", "-check", dir, dir))
}

// TestGenPlaced makes the code of cluster/internal/typed again.
func TestGenPlaced(t *testing.T) {
	const dir = "../../cluster/internal/typed"
	goFile := filepath.Join(t.TempDir(), "typed_pb.go")
	require.Equal(t, result{}, pb(t, "gen", "-o", goFile, dir))
	checkMade(t, dir, goFile)
}

// checkMade requires generated files to be those in a package.
func checkMade(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, made := range files {
		got, err := os.ReadFile(made)
		require.NoError(t, err)
		want, err := os.ReadFile(filepath.Join(dir, filepath.Base(made)))
		require.NoError(t, err)
		assert.Empty(t, difference(string(want), string(got)), "run go generate in %s", dir)
	}
}

// difference returns the first line that differs.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return "more: " + b[i]
		case i >= len(b):
			return "missing: " + a[i]
		case a[i] != b[i]:
			return "want " + a[i] + "\ngot  " + b[i]
		}
	}
	return ""
}

const oldShop = `package s

import (
	"context"

	"github.com/perspectivebroker/pb/flavors"
)

type Article struct {
	flavors.Copyable
	Name  string ` + "`pb:\"name\"`" + `
	Cents int32  ` + "`pb:\"cents\"`" + `
}

type Address struct {
	City string ` + "`pb:\"city\"`" + `
	Next *Address ` + "`pb:\"next\"`" + `
}

//pb:remote
type Shop interface {
	Find(ctx context.Context, name string, max int) (*Article, error)
	Put(ctx context.Context, a *Article) error
	Send(ctx context.Context, name string, to []Address) (int, error)
	Order(ctx context.Context, name string, o struct {
		N    int    ` + "`pb:\"n\"`" + `
		Note string ` + "`pb:\"note,omitempty\"`" + `
	}) error
	Names(ctx context.Context, names ...string) ([]string, error)
	More(ctx context.Context, kw flavors.Kw) error
	Keep(ctx context.Context, k Keeper) (int, string, error)
}

//pb:remote
type Keeper interface {
	Told(ctx context.Context) error
}
`

func TestGenCheck(t *testing.T) {
	old := gentest.Source(t, "../..", map[string]string{"s.go": oldShop})
	goFile := filepath.Join(old, "s_pb.go")
	require.Equal(t, result{}, pb(t, "gen", "-o", goFile, old))
	now := gentest.Source(t, "../..", map[string]string{"s.go": strings.NewReplacer(
		"\tPut(ctx context.Context, a *Article) error\n", "\tGet(int8) string\n",
		"name string, max int)", "name string, max string)",
		"Cents int32", "Cents int64",
		"note,omitempty", "note",
		"City string", "City bool",
	).Replace(oldShop)})
	const broken = `Shop.find: parameter max was int and is str
Shop.find: the result was Article and is Article, but field cents of Article is int in one and int32 in the other
Shop.put was removed
Shop.send: parameter to was list[Address] and is list[Address], ` +
		`but field city of Address is str in one and bool in the other
Shop.order: keyword note is required now
`
	for _, from := range []string{goFile, old} {
		assert.Equal(t, result{statusFailed, broken, ""}, pb(t, "gen", "-check", from, now))
	}
	assert.Equal(t, result{}, pb(t, "gen", "-check", goFile, old))
}

func TestGenUsage(t *testing.T) {
	dir := gentest.Source(t, "../..", map[string]string{"s.go": oldShop, "notes.txt": "", "empty/x": ""})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "broken"), []byte("//pb:interface A\n//pb:method ?"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "type"), []byte("//pb:interface A\n//pb:type ?"), 0o600))
	for _, c := range []struct {
		status int
		args   []string
	}{
		{statusUsage, nil}, {statusUsage, []string{""}}, {statusUsage, []string{dir, dir}},
		{statusUsage, []string{"-check", "", dir}}, {statusUsage, []string{"-check", dir, "-o", "x", dir}},
		{statusUsage, []string{"-check", filepath.Join(dir, "nothing"), dir}},
		{statusUsage, []string{"-check", filepath.Join(dir, "notes.txt"), dir}},
		{statusUsage, []string{"-check", filepath.Join(dir, "broken"), dir}},
		{statusUsage, []string{"-check", filepath.Join(dir, "type"), dir}},
		{statusFailed, []string{"-check", filepath.Join(dir, "empty"), dir}},
		{statusFailed, []string{filepath.Join(dir, "empty")}}, {statusFailed, []string{"./..."}},
		{statusFailed, []string{"example.org/no/such/package"}},
		{statusFailed, []string{"-o", filepath.Join(dir, "no", "s_pb.go"), dir}},
		{statusFailed, []string{"-o", filepath.Join(dir, "s_pb.go"), "-python", filepath.Join(dir, "empty"), dir}},
	} {
		r := pb(t, append([]string{"gen"}, c.args...)...)
		assert.Equal(t, c.status, r.status, "%q: %s", c.args, r.errors)
		assert.NotEmpty(t, r.errors, "%q", c.args)
		assert.Empty(t, r.out, "%q", c.args)
	}
	assert.NoFileExists(t, filepath.Join(dir, "s_pb.go"), "one of two outputs cannot be written")
}

// TestGenRefuses wants nothing written if a type cannot travel.
func TestGenRefuses(t *testing.T) {
	const channel = "package s\n\n//pb:remote\ntype S interface {\n\tM(c chan int) error\n}\n"
	dir := gentest.Source(t, "../..", map[string]string{"s.go": channel})
	goFile, pythonFile := filepath.Join(dir, "s_pb.go"), filepath.Join(dir, "s_pb.py")
	require.NoError(t, os.WriteFile(pythonFile, []byte("old"), 0o600))
	r := pb(t, "gen", "-o", goFile, "-python", pythonFile, dir)
	assert.Equal(t, statusFailed, r.status)
	assert.Empty(t, r.out)
	assert.Contains(t, r.errors, "s.go:5:2: S.M, c: chan int cannot travel")
	assert.NoFileExists(t, goFile)
	old, err := os.ReadFile(pythonFile)
	require.NoError(t, err)
	assert.Equal(t, "old", string(old))
	files, err := filepath.Glob(filepath.Join(dir, ".pb-gen*"))
	require.NoError(t, err)
	assert.Empty(t, files)
}

// TestGenWrites checks what happens to a file that is there.
func TestGenWrites(t *testing.T) {
	dir := gentest.Source(t, "../..", map[string]string{"s.go": oldShop})
	elsewhere := filepath.Join(t.TempDir(), "target")
	require.NoError(t, os.WriteFile(elsewhere, []byte("old"), 0o640))
	link := filepath.Join(dir, "s_pb.go")
	require.NoError(t, os.Symlink(elsewhere, link))
	require.Equal(t, result{}, pb(t, "gen", "-o", link, dir))
	to, err := os.Readlink(link)
	require.NoError(t, err)
	assert.Equal(t, elsewhere, to, "a link stays one")
	info, err := os.Stat(elsewhere)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode())
	require.Equal(t, result{}, pb(t, "gen", "-o", link, dir))
	again, err := os.Stat(elsewhere)
	require.NoError(t, err)
	assert.True(t, os.SameFile(info, again), "what is the same is not written again")
	assert.True(t, strings.HasPrefix(pb(t, "gen", "-o", "/dev/stdout", dir).out, "// Code generated by pb gen"))
}
