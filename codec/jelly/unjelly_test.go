package jelly

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

// bin encodes an expression.
func bin(t testing.TB, e banana.Expr) []byte {
	t.Helper()
	b, err := banana.AppendExpr(nil, banana.ProfilePB, e, banana.Limits{Depth: 1 << 20})
	require.NoError(t, err)
	return b
}

// x returns an expression.
func x(elems ...any) []banana.Expr {
	list := make([]banana.Expr, len(elems))
	for i, e := range elems {
		switch v := e.(type) {
		case string:
			list[i] = []byte(v)
		case int:
			list[i] = int64(v)
		default:
			list[i] = v
		}
	}
	return list
}

func str(s string) []banana.Expr { return x("unicode", s) }

// point has fields with tags.
type point struct {
	X    int    `pb:"x"`
	Y    int    `pb:"y"`
	Next *point `pb:"next"`
	Ref  any    `pb:"ref"`
}

// witness records the calls of its methods.
type witness struct {
	diary *[]string
	name  string
	state any
	fail  string
}

func (w *witness) SetCopyableState(state any) error {
	w.state = state
	if d, ok := state.(*Dict); ok {
		if name, ok := d.GetName("name"); ok {
			w.name = name.(string)
		}
	}
	*w.diary = append(*w.diary, "state of "+w.name)
	switch w.fail {
	case "error":
		return errors.New("bad state")
	case "panic":
		panic("bad code")
	}
	return nil
}

func (w *witness) PostUnjelly() {
	*w.diary = append(*w.diary, "post "+w.name)
	if w.fail == "post" {
		panic("bad post")
	}
}

func testRegistry(t testing.TB, diary *[]string, fail string) *Registry {
	r := NewRegistry()
	require.NoError(t, r.RegisterTree("m", map[string]ClassEntry{
		"Point":   {New: func() any { return new(point) }},
		"Witness": {New: func() any { return &witness{diary: diary, fail: fail} }},
		"Cache":   {Kind: RemoteCache, New: func() any { return &witness{diary: diary} }},
		"Nil":     {New: func() any { return nil }},
		"Panics":  {New: func() any { panic("bad factory") }},
	}))
	return r
}

func decodeWith(t testing.TB, r *Registry, e banana.Expr, dst *any) *Decoder {
	t.Helper()
	d := &Decoder{Registry: r}
	var reader banana.Reader
	reader.Reset(bin(t, e), banana.ProfilePB)
	require.NoError(t, d.Decode(&reader, dst))
	return d
}

func TestReferencesAreUnbound(t *testing.T) {
	var v any
	d := decodeWith(
		t,
		nil,
		x("list", x("remote", 5), x("local", "root"), x("reference", 1, x("cached", 7)), x("dereference", 1),
			x("dictionary", x(x("lcache", 8), x("remote", -1)), x(x("tuple", x("remote", 9)), 1))),
		&v,
	)
	var seen []string
	for i, u := range d.Unbound() {
		seen = append(seen, fmt.Sprintf("%s %d %q", u.Tag, u.ID, u.Name))
		assert.False(t, u.Bound())
		assert.False(t, u.IsInstance())
		u.Bind(fmt.Sprint("bound ", i))
		assert.True(t, u.Bound())
		assert.Equal(t, fmt.Sprint("bound ", i), u.Value())
	}
	assert.Equal(
		t,
		[]string{`remote 5 ""`, `local 0 "root"`, `cached 7 ""`, `lcache 8 ""`, `remote -1 ""`, `remote 9 ""`},
		seen,
	)
	assert.Equal(t, []any{"bound 0", "bound 1", "bound 2", "bound 2",
		NewDict(Entry{"bound 3", "bound 4"}, Entry{Tuple{"bound 5"}, int64(1)})}, v)
}

func TestWholeValueUnbound(t *testing.T) {
	var v any
	d := decodeWith(t, nil, x("remote", 5), &v)
	require.Len(t, d.Unbound(), 1)
	d.Unbound()[0].Bind("it")
	assert.Equal(t, "it", v)
	d.Reset()
	assert.Empty(t, d.Unbound())
}

// A forward reference is bound in all its places.
func TestForwardReferences(t *testing.T) {
	var v any
	d := decodeWith(
		t,
		nil,
		x(
			"list",
			x("dereference", 3),
			x("tuple", x("dereference", 3)),
			x("reference", 3, x("remote", 5)),
			x("dereference", 3),
		),
		&v,
	)
	require.Len(t, d.Unbound(), 1)
	d.Unbound()[0].Bind("it")
	assert.Equal(t, []any{"it", Tuple{"it"}, "it", "it"}, v)
}

func TestUnjellyCreatesObjects(t *testing.T) {
	var diary []string
	var v any
	// Two points in a cycle, one of them twice, and a reference in a state.
	d := decodeWith(t, testRegistry(t, &diary, ""), x("list",
		x("reference", 1, x("m.Point", x("dictionary", x(str("x"), 1), x("y", 2),
			x(str("next"), x("m.Point", x("dictionary", x(str("next"), x("dereference", 1)), x(str("other"), 9)))),
			x(str("ref"), x("remote", 5))))),
		x("dereference", 1)), &v)
	tags := []string{}
	for _, u := range d.Unbound() {
		tags = append(tags, u.Tag)
		if u.Tag == "remote" {
			u.Bind("ref")
		}
	}
	assert.Equal(t, []string{"m.Point", "remote", "m.Point"}, tags, "what is inside comes first")
	require.NoError(t, Unjelly(d.Unbound(), nil, nil))
	list := v.([]any)
	p := list[0].(*point)
	assert.Same(t, p, list[1])
	assert.Equal(t, []any{1, 2, "ref"}, []any{p.X, p.Y, p.Ref})
	assert.Same(t, p, p.Next.Next)
}

// An object may be a key in its own state. (Stock sends such a value but cannot decode it.)
func TestObjectAsKeyInItsOwnState(t *testing.T) {
	var (
		diary []string
		v     any
	)
	d := decodeWith(
		t,
		testRegistry(t, &diary, ""),
		x("reference", 1, x("m.Witness", x("dictionary", x(x("dereference", 1), 1)))),
		&v,
	)
	require.NoError(t, Unjelly(d.Unbound(), nil, nil))
	w := v.(*witness)
	got, ok := w.state.(*Dict).Get(w)
	assert.True(t, ok)
	assert.Equal(t, int64(1), got)
}

func TestUnjellyKeepsOrder(t *testing.T) {
	var diary []string
	var v any
	w := func(name string, more ...any) []banana.Expr {
		return x("m.Witness", x(append([]any{"dictionary", x(str("name"), str(name))}, more...)...))
	}
	d := decodeWith(t, testRegistry(t, &diary, ""), x("list", w("a", x(1, w("b")), x(2, w("c"))), w("d")), &v)
	require.NoError(t, Unjelly(d.Unbound(), nil, nil))
	assert.Equal(
		t,
		[]string{"state of b", "state of c", "state of a", "state of d", "post b", "post c", "post a", "post d"},
		diary,
	)
}

// A cache is known by its luid before any state is set. Its stand-in does not get the state.
func TestUnjellyOfCaches(t *testing.T) {
	var (
		diary  []string
		v      any
		byLUID = map[int64]any{}
	)
	d := decodeWith(
		t,
		testRegistry(t, &diary, ""),
		x("tuple", x("m.Cache", 3, x("dictionary", x(str("me"), x("cached", 3)))), x("cached", 3)),
		&v,
	)
	require.Equal(t, RemoteCache, d.Unbound()[1].Entry().Kind)
	require.NoError(t, Unjelly(d.Unbound(), func(u *Unbound, blank any) (any, error) {
		handle := fmt.Sprint("handle ", u.ID)
		byLUID[u.ID] = handle
		return handle, nil
	}, func(u *Unbound) (any, error) { return byLUID[u.ID], nil }))
	assert.Equal(t, Tuple{"handle 3", "handle 3"}, v)
	assert.Len(t, diary, 2)
}

func TestUnjellyFails(t *testing.T) {
	object := func(class string) banana.Expr { return x("list", x(class, x("dictionary", x(str("x"), str("no"))))) }
	for name, c := range map[string]struct {
		e    banana.Expr
		fail string
		made func(*Unbound, any) (any, error)
		want string
	}{
		"state returns an error": {object("m.Witness"), "error", nil,
			"jelly: cannot make the m.Witness at byte 4: bad state"},
		"state panics":        {object("m.Witness"), "panic", nil, "the code of this type panicked"},
		"post panics":         {object("m.Witness"), "post", nil, "the code of this type panicked"},
		"factory panics":      {object("m.Panics"), "", nil, "the code of this type panicked"},
		"factory returns nil": {object("m.Nil"), "", nil, "the New function of its class returned nil"},
		"field does not fit":  {object("m.Point"), "", nil, "cannot use str as int at .x"},
		"state is no dictionary": {
			x("m.Point", 5), "", nil,
			"its state is a int, which only a SetCopyableState method could accept",
		},
		"reference not bound": {x("remote", 5), "", nil, "cannot make the remote at byte 0: it is not bound"},
		"refused by made": {
			object("m.Witness"), "", func(*Unbound, any) (any, error) { return nil, errors.New("too many") },
			"too many",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var (
				diary []string
				v     any
			)
			d := decodeWith(t, testRegistry(t, &diary, c.fail), c.e, &v)
			err := Unjelly(d.Unbound(), c.made, nil)
			require.ErrorContains(t, err, c.want)
			var unjelly *UnjellyError
			require.ErrorAs(t, err, &unjelly)
			var p *PanicError
			if errors.As(err, &p) {
				assert.NotEmpty(t, p.Stack)
			}
		})
	}
	t.Run("reference fails", func(t *testing.T) {
		var v any
		d := decodeWith(t, nil, x("cached", 5), &v)
		err := Unjelly(d.Unbound(), nil, func(*Unbound) (any, error) { return nil, errors.New("unknown") })
		assert.ErrorContains(t, err, "unknown")
	})
}

func TestInstancesByTaster(t *testing.T) {
	state := x("dictionary", x(str("x"), 1))
	instance := &Instance{Class: "m.C", State: NewDict(Entry{"x", int64(1)})}
	old := &Instance{Class: "m.C", State: instance.State, Old: true}
	var diary []string
	registry := testRegistry(t, &diary, "")
	for name, c := range map[string]struct {
		taster *SecurityOptions
		e      banana.Expr
		want   any
		err    string
	}{
		"reference's class":        {nil, x("m.C", 7), nil, `class "m.C" is not registered: use flavors.RegisterReference`},
		"class not registered":     {nil, x("m.C", state), nil, `class "m.C" is not registered: use flavors.RegisterCopy`},
		"type without a dot":       {nil, x("nonsense", 1), nil, `class "nonsense" is not registered`},
		"the same with a taster":   {NewSecurityOptions(), x("nonsense", 1), nil, `type "nonsense" is not allowed`},
		"list without basic types": {NewSecurityOptions(), x("list"), nil, `type "list" is not allowed`},
		"set without basic types":  {NewSecurityOptions(), x("set", 1), NewSet(int64(1)), ""},
		"remote with basic types": {
			NewSecurityOptions().AllowBasicTypes(), x("remote", 1), nil, `type "remote" is not allowed`,
		},
		"instance allowed": {NewSecurityOptions().AllowInstancesOf("m.C"), x("m.C", state, 9), instance, ""},
		"instance without state": {
			NewSecurityOptions().AllowInstancesOf("m.C"), x("m.C"), nil,
			"an instance needs a state",
		},
		"another class of the module": {NewSecurityOptions().AllowInstancesOf("m.C"), x("m.D", state), nil,
			`class "m.D" is not registered`},
		"old instance": {NewSecurityOptions().AllowInstancesOf("m.C"),
			x("instance", x("class", "m.C"), state), old, ""},
		"old instance of another class": {NewSecurityOptions().AllowInstancesOf("m.C"),
			x("instance", x("class", "m.D"), state), nil, `class "m.D" is not allowed`},
		"old instance of a str": {
			NewSecurityOptions().AllowInstancesOf("m.C"), x("instance", str("m.C"), state), nil,
			"the class of an instance is not a class",
		},
		"old instance too short": {
			NewSecurityOptions().AllowInstancesOf("m.C"), x("instance", x("class", "m.C")), nil,
			"instance needs a class and a state",
		},
		"class":            {NewSecurityOptions().AllowInstancesOf("m.C"), x("class", "m.C"), Class("m.C"), ""},
		"class by default": {nil, x("class", "m.C"), nil, `type "class" is not allowed`},
		"module":           {NewSecurityOptions().AllowInstancesOf("m.C"), x("module", "m"), Module("m"), ""},
		"another module": {
			NewSecurityOptions().AllowInstancesOf("m.C"), x("module", "n"), nil, `module "n" is not allowed`,
		},
		"function": {
			NewSecurityOptions().AllowTypes("function").AllowModules("m"), x("function", "m.f"), Function("m.f"),
			"",
		},
		"function of another module": {
			NewSecurityOptions().AllowTypes("function"), x("function", "m.f"), nil,
			`function "m.f" is not allowed`,
		},
		"method": {
			NewSecurityOptions().AllowInstancesOf("m.C").AllowTypes("method"),
			x("method", "f", x("None"), x("class", "m.C")), &Method{"f", nil, Class("m.C")}, "",
		},
		"method of no class": {
			NewSecurityOptions().AllowInstancesOf("m.C").AllowTypes("method"), x("method", "f", x("None"), x("None")), nil,
			"the class of a method is not a class",
		},
		"method too short": {
			NewSecurityOptions().AllowTypes("method"), x("method", "f", x("None")), nil,
			"method needs",
		},
		"long name": {
			NewSecurityOptions().AllowTypes("module"), x("module", make([]byte, 2000)), nil,
			"is no name of a module",
		},
		"registered, with a taster": {NewSecurityOptions().AllowBasicTypes(), x("m.Point", state), "m.Point", ""},
		"cache without luid":        {nil, x("m.Cache", state), nil, "the cache m.Cache needs an id and a state"},
		"cache with a str for luid": {nil, x("m.Cache", "x", state), nil, "the id of the cache m.Cache must be an integer"},
		"copy without state":        {nil, x("m.Point"), nil, "the object m.Point needs a state"},
		"remote without id":         {nil, x("remote"), nil, "remote needs an id"},
		"remote of a float":         {nil, x("remote", 1.5), nil, "remote needs an integer"},
		"remote of a list":          {nil, x("remote", x("list")), nil, "remote needs an integer"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decoder{Registry: registry, Taster: c.taster}
			v, err := decodeAll(&d, bin(t, c.e), banana.ProfilePB)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			if u, ok := v.(*Unbound); ok {
				v = u.Tag
			}
			assert.Equal(t, c.want, v)
		})
	}
}

// A registered class may have the old form if the taster allows classes.
func TestOldInstanceOfARegisteredClass(t *testing.T) {
	var diary []string
	d := Decoder{Registry: testRegistry(t, &diary, ""), Taster: NewSecurityOptions().AllowInstancesOf("m.Point")}
	var (
		r banana.Reader
		v any
	)
	r.Reset(
		bin(
			t,
			x(
				"list",
				x("reference", 1, x("instance", x("class", "m.Point"), x("dictionary", x(str("next"), x("dereference", 1))))),
				x("dereference", 1),
			),
		),
		banana.ProfilePB,
	)
	require.NoError(t, d.Decode(&r, &v))
	require.NoError(t, Unjelly(d.Unbound(), nil, nil))
	p := v.([]any)[0].(*point)
	assert.Same(t, p, p.Next)
	assert.Same(t, p, v.([]any)[1])
}

func TestPersistentLoad(t *testing.T) {
	var d Decoder
	v, err := decodeAll(&d, bin(t, x("list", x("persistent", 5), x("persistent", "remote"))), banana.ProfilePB)
	require.NoError(t, err)
	assert.Equal(t, []any{Persistent{int64(5)}, Persistent{[]byte("remote")}}, v)
	d.PersistentLoad = func(id any) (any, error) {
		if id == int64(5) {
			return "five", nil
		}
		return nil, errors.New("who?")
	}
	v, err = decodeAll(&d, bin(t, x("persistent", 5, 6)), banana.ProfilePB)
	require.NoError(t, err)
	assert.Equal(t, "five", v)
	_, err = decodeAll(&d, bin(t, x("persistent", 1.5)), banana.ProfilePB)
	assert.ErrorContains(t, err, "who?")
	_, err = decodeAll(&d, bin(t, x("persistent", x("list"))), banana.ProfilePB)
	assert.ErrorContains(t, err, "must not be a list")
	v, err = decodeAll(&Decoder{}, bin(t, x("unpersistable", "because")), banana.ProfilePB)
	require.NoError(t, err)
	assert.Equal(t, Unpersistable{"because"}, v)
}
