package gen

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/cmd/pb/internal/gentest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const imports = `import (
	"context"
	"io"
	"time"
	"unsafe"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

var (
	_ context.Context
	_ io.Reader
	_ time.Time
	_ unsafe.Pointer
	_ actor.Deferred
	_ jelly.Tuple
	_ flavors.Kw
)

`

// refused are methods that cannot be called from afar, each of an interface of its own, and the reason.
var refused = []struct{ types, method, want string }{
	{"", "M(c chan int) error", "M, c: chan int cannot travel"},
	{"", "M() (func(), error)", "M, result 1: func() cannot travel"},
	{"", "M(m map[string][]chan int) error", "(in [key][])"},
	{"", "M(unsafe.Pointer) error", "unsafe.Pointer cannot travel"},
	{"", "M(complex128) error", "complex128 cannot travel"},
	{"", "M() uintptr", "uintptr cannot travel"},
	{"", "M(io.Reader) error", "io.Reader cannot travel: take any"},
	{"", "M(e error) error", "an error cannot travel as a value"},
	{"type Untagged struct{ A int }", "M(t Untagged) error", "no field with a pb tag"},
	{"type Channel struct{ A chan int `pb:\"a\"` }", "M([]Channel) error", "(in []Channel.A)"},
	{"type Copy struct{\n flavors.Copyable\n A func() `pb:\"a\"` }", "M(*Copy) error", "func() cannot travel"},
	{"type Twice struct{\n A, B int `pb:\"a\"` }", "M(x []Twice) error", "two fields have the name"},
	{"type Secret struct{\n a int `pb:\"a\"` }", "M(x []Secret) error", "is not exported"},
	{"", "M(map[*int]int) error", "cannot be the key"},
	{"type Object struct{ flavors.Referenceable }", "M() Object", "use a pointer"},
	{"type User struct{ flavors.Avatar }", "M() *User", "answer to a login only"},
	{"type Cache struct{ flavors.RemoteCache }", "M(*Cache)", "what arrives is a *flavors.Cached[s.Cache]"},
	{"type Holder struct{ R *flavors.RemoteReference `pb:\"r\"` }", "M(a []Holder) error",
		"a reference is another type at the other end"},
	{"", "M(x map[string][]flavors.Callee) error", "a reference is another type at the other end"},
	{"type Placed struct{ flavors.Indirect }", "M(x [][]*Placed) error", "a reference is another type at the other end"},
	{"", "M(x []*flavors.Relayed) error", "a *flavors.Relayed is a parameter"},
	{"", "M(a int, ctx context.Context) error", "must come before the arguments"},
	{"", "M(a, b context.Context) error", "must come before the arguments"},
	{"", "M(a int, i *flavors.Invocation) error", "must come before the arguments"},
	{"", "M(k flavors.Kw, a int) error", "flavors.Kw must be the last parameter"},
	{"", "M() (*actor.Deferred, error)", "return the Deferred alone"},
	{"", "M() (*actor.Deferred, int)", "the only result"},
	{"", "M(a int, o struct{ A int `pb:\"a\"` }) error", "both a parameter and a keyword"},
	{"", "M(o struct{ A int `pb:\"a,default=x\"` }) error", `cannot have the default "x"`},
	{"type Inner struct { A int `pb:\"a\"` }", "M(o struct{ *Inner }) error", "behind an embedded pointer"},
	{"//pb:remote\ntype Plain interface { N() int }", "M(o Plain) error", "Plain cannot be passed as an object"},
	{"//pb:remote\ntype Fit interface { N(context.Context) error }", "M(o map[string]Fit) error",
		"an interface that is passed as an object"},
	{"", "M(a Nothing) error", "M, a: the type is unknown, because the package has errors: undefined: Nothing"},
	{"", "m() error", "m is not exported"},
	{"", "", "has no methods"},
	{"", "M() error\n\tRemoteM() error", "same name on the wire"},
	{"", "Client() error", "Client: the generated client has a field"},
}

func TestRefuses(t *testing.T) {
	text, places := "package s\n\n"+imports, make([]string, len(refused))
	for i, c := range refused {
		text += fmt.Sprintf("%s\n\n//pb:remote\ntype I%d interface {\n", c.types, i)
		line := strings.Count(text, "\n") + 1
		if c.method == "" {
			line--
		}
		places[i] = fmt.Sprintf("s.go:%d:", line)
		text += "\t" + c.method + "\n}\n\n"
	}
	errors := refusedText(t, text)
	for i, c := range refused {
		found := false
		for _, line := range strings.Split(errors, "\n") {
			found = found || strings.Contains(line, c.want) && strings.Contains(line, fmt.Sprintf("I%d", i))
		}
		assert.True(t, found, "%s: %s", c.method, c.want)
		if !strings.Contains(c.want, "same name") {
			assert.Contains(t, errors, places[i], c.method)
		}
	}
}

// refusedText reads a package of one file, wants that refused, and returns the errors.
func refusedText(t *testing.T, text string) (errors string) {
	t.Helper()
	_, err := Load(t.Context(), gentest.Source(t, "../../../..", map[string]string{"s.go": text}), LoadOptions{})
	require.Error(t, err)
	return err.Error()
}

func TestMarks(t *testing.T) {
	errors := refusedText(t, "package s\n"+`
//pb:remote
type Generic[T any] interface { M(T) error }

//pb:remote
type Constraint interface { ~int }

//pb:remote
type Struct struct{}

type other interface{ M() }

//pb:remote
type Alias = other

//pb:remote
func f() {}

// pb:remote
type Space interface { M() error }

//pb:local
type Unknown interface { M() error }

//pb:remote a b
type Class interface { M() error }
`)
	for _, want := range []string{
		"s.go:4:6: Generic has type parameters", "s.go:7:6: Constraint is a constraint", "s.go:10:6: Struct is no interface",
		"s.go:15:6: Alias is no interface", "s.go:17:1: //pb:remote stands at no interface type",
		"s.go:20:1: write //pb:remote",
		"s.go:23:1: //pb:local stands at no interface type", `s.go:26:1: "a b" is no name of a class`,
	} {
		assert.Contains(t, errors, want)
	}
	errors = refusedText(t, "package s\n"+`
//pb:remote
type S interface {
	//pb:name
	M([]a) error
}

type SClient int

type a struct { A int `+"`pb:\"a\"`"+` }
`)
	assert.Contains(t, errors, "s.go:5:2: \"\" is no name of a method")
	assert.Contains(t, errors, "s.go:9:6: SClient stands in the way")
	assert.Contains(t, errors, "s.go:11:6: the generated code has variables that are called a")
	assert.Contains(t, refusedText(t, "package s\n\ntype S interface {\n\tM(\n"), "s.go:4:")
	assert.Contains(t, refusedText(t, "package s\n\ntype S interface { M() }\n"), "no interface that is marked")
}

// hostile are interfaces whose code must compile.
const hostile = `
type Named struct {
	A int               ` + "`pb:\"a\"`" + `
	Next *Named         ` + "`pb:\"next\"`" + `
}

type List []List

type Page[T any] struct {
	Items []T ` + "`pb:\"items\"`" + `
}

type Copied struct {
	flavors.Copyable
	Self *Copied ` + "`pb:\"self\"`" + `
}

type Object struct{ flavors.Referenceable }

type Place struct{ flavors.Indirect }

type Original struct{ flavors.Cacheable }

type Seen struct{ flavors.RemoteCache }

type Base interface {
	// Ping is embedded.
	Ping(ctx context.Context) error
}

type Options struct {
	Class string        ` + "`pb:\"class,default=a,b\"`" + `
	From  any           ` + "`pb:\"from,default=1.5\"`" + `
	Lambda float32      ` + "`pb:\"lambda,omitempty\"`" + `
	Copy  *Copied       ` + "`pb:\"copy\"`" + `
	Must  time.Duration ` + "`pb:\"must\"`" + `
	Kw    map[string]struct{} ` + "`pb:\"kw,omitempty\"`" + `
	hidden int
}

// All "has" every\ kind.
//
//pb:remote
type All interface {
	Base
	Plain(int, string, _ []byte, _ bool, u uint8, f float64, a any, t time.Time, n *Named, l List, p Page[int])
	Types(ctx context.Context, r jelly.Tuple, d *jelly.Dict, flavors [3]string, context *string, m map[int]bool) error
	Names(ctx context.Context, c, err, args, kw, v, parts, r0, string, len, nil, stub, jelly, self, lambda int) int
	Import(ctx context.Context, from, class, d, ref, _ref, self int) error
	Variadic(ctx context.Context, a any, rest ...any) (any, error)
	VariadicCopies(rest ...*Copied)
	Keywords(ctx context.Context, inv *flavors.Invocation, a any, o Options) error
	Pointer(o *Options, rest ...int) (int, string, *Copied, error)
	Rest(ctx context.Context, a int, kw flavors.Kw) error
	Anonymous(o struct{ A int ` + "`pb:\"a,default=3\"`" + ` }) int
	Later(ctx context.Context, a any) *actor.Deferred
	Copies(c *Copied, v Copied, l []*Copied, w []Copied, m map[string]*Copied) (*Copied, Copied, []*Copied, error)
	Nested(p *Box, b Box, l [][]*Deep, m map[string][2]Copied) ([][]*Deep, *Box, error)
	Objects(o *Object, l []*Object, m map[string]*Object) (*Object, []*Object, map[string]*Object, error)
	References(r *flavors.RemoteReference, l []*flavors.RemoteReference) []*flavors.RemoteReference
	Callees(c flavors.Callee, m map[string]flavors.Callee, more ...flavors.Callee) ([]flavors.Callee, error)
	Placed(p *Place, l []*Place) (*Place, []*Place)
	Kept(x *flavors.Relayed, more ...*flavors.Relayed) (*flavors.Relayed, error)
	KeptKeyword(n int, o struct{ X *flavors.Relayed ` + "`pb:\"x\"`" + ` }) error
	Originals(o *Original) *Original
	Cached(o *flavors.Cached[Seen]) (*flavors.Cached[Seen], error)
	Others(ctx context.Context, o Other, l []Other) (Other, error)
	OthersBack(ctx context.Context) ([]Other, error)
	OtherAlone(ctx context.Context, os ...Other) Other
	Nothing()
	Error() error
	String() string
	Reference() string
	JellyTo() int
	RemotePrefixed() int
	Remotely() int
	//pb:name get_it
	Get() int
	//pb:name __init__
	Init() int
	//pb:name class
	Klass(o struct{ Self int ` + "`pb:\"self\"`" + ` }) int
	Prêt() int
}

// Box has copies, and is none.
type Box struct {
	C []*Copied         ` + "`pb:\"c\"`" + `
	B map[string]*Box   ` + "`pb:\"b\"`" + `
	unseen *Never
}

// Deep is a copy with another copy in it.
type Deep struct {
	flavors.Copyable
	Inner *Inner ` + "`pb:\"inner\"`" + `
}

type Inner struct {
	flavors.Copyable
	Up *Deep ` + "`pb:\"up\"`" + `
}

type Never struct { flavors.Copyable }

//pb:remote mod.Other
type Other interface {
	Call(ctx context.Context, more Other) (Other, error)
}

//pb:remote
type lower interface{ Do() int }

func (c *AllClient) Extra() { var x int = "the bodies of functions do not matter" }

var use = NewAllClient(nil)
`

func TestHostile(t *testing.T) {
	dir := gentest.Source(t, "../../../..", map[string]string{
		"s.go":      "package s\n\n" + imports + hostile,
		"tagged.go": "//go:build never\n\npackage s\n\n//pb:remote\ntype S interface{ M(chan int) }\n",
		"s_test.go": "package s\n\n//pb:remote\ntype T interface{ M(chan int) }\n",
		"s_pb.go": "// Code generated by pb gen from package s. DO NOT EDIT.\n\npackage s\n\ntype AllClient chan " +
			"int\n\nfunc (",
		"old_name.go": "// Code generated by pb gen from package s. DO NOT EDIT.\n\npackage s\n\ntype AllServer int\n",
	})
	goFile, pythonFile := filepath.Join(dir, "s_pb.go"), filepath.Join(dir, "s_pb.py")
	p, err := Load(t.Context(), dir, LoadOptions{Output: goFile})
	require.NoError(t, err)
	code, err := p.Go()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(goFile, code, 0o600))
	require.NoError(t, os.WriteFile(pythonFile, p.Python(), 0o600))
	require.NoError(t, os.Remove(filepath.Join(dir, "old_name.go")))
	assert.Contains(t, string(code), "Code generated by pb gen from package example.org/shop. DO NOT EDIT.")
	s, err := os.ReadFile(filepath.Join(dir, "s.go"))
	require.NoError(t, err)
	body := `{ var x int = "the bodies of functions do not matter" }`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "s.go"), []byte(strings.Replace(string(s), body, "{}", 1)), 0o600))
	for _, want := range []string{
		"RegisterCopy[Copied](r)", "RegisterCopy[Deep](r)", "RegisterCopy[Inner](r)", ".Nested[[][]*Deep]", ".Nested[Box]",
		".Nested[map[string][2]Copied]", ".Nested[*Box]", ".Value[List]",
	} {
		assert.Contains(t, string(code), want)
	}
	assert.NotContains(t, string(code), "[Never]")
	vet := exec.CommandContext(t.Context(), "go", "vet", ".")
	vet.Dir = dir
	out, err := vet.CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, code)
	python, err := os.ReadFile(pythonFile)
	require.NoError(t, err)
	out, err = exec.CommandContext(t.Context(), "python3", "-c", "import sys; exec(open(sys.argv[1]).read()); "+
		"print(sorted(n for n in vars(AllClient) if n[0] != '_'))", pythonFile).CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, python)
	assert.Contains(t, string(out), "'class_'")
	assert.Contains(t, string(out), "'get_it'")
	// What describes the interfaces is read back as it was.
	contract, err := ParseContract(string(code))
	require.NoError(t, err)
	assert.Empty(t, Check(contract, p.Contract()))
	assert.Empty(t, Check(p.Contract(), contract))
	again, err := Load(t.Context(), dir, LoadOptions{})
	require.NoError(t, err)
	same, err := again.Go()
	require.NoError(t, err)
	assert.Equal(t, string(code), string(same), "what was generated before changes nothing")
	// With the build tag there is one interface more.
	_, err = Load(t.Context(), dir, LoadOptions{Tags: "never"})
	require.ErrorContains(t, err, "tagged.go:6:19: S.M")
}

func TestLoadNothing(t *testing.T) {
	dir := gentest.Source(t, "../../../..", map[string]string{"a/x.txt": "", "b/b.go": "//go:build never\n\npackage b\n",
		"c/c.go": "package c\n"})
	for pattern, want := range map[string]string{
		filepath.Join(dir, "a"): "no Go files", filepath.Join(dir, "b"): "it does not include b.go",
		filepath.Join(dir, "c"): "no interface that is marked", "example.org/no/such": "example.org/no/such",
		"../...": "packages; give one",
	} {
		_, err := Load(t.Context(), pattern, LoadOptions{})
		require.ErrorContains(t, err, want, pattern)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Load(ctx, dir, LoadOptions{})
	require.Error(t, err)
}
