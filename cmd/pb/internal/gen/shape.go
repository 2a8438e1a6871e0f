package gen

import (
	"fmt"
	"go/token"
	"go/types"
	"strings"
)

// role says where a type stands, which decides what an object becomes.
type role uint8

const (
	forParam   role = iota // a parameter, or a field of the options
	forElement             // of a variadic parameter
	forResult
)

// objectKind is how a value that is no plain data travels.
type objectKind uint8

const (
	plain     objectKind = iota
	aCopy                // *T of a Copyable
	copyValue            // T of a Copyable
	reference            // *flavors.RemoteReference: an object of the peer
	callee               // flavors.Callee: an object of the peer, or a placed one
	placed               // a type that can be called besides, such as *cluster.Ref
	relayed              // *flavors.Relayed: any value, undecoded
	local                // a pointer to an object of this program, which peers hold by reference
	original             // a pointer to a Cacheable of this program
	cached               // *flavors.Cached[T]: a copy of a peer's Cacheable
	object               // a marked interface
)

// container is what objects may stand in.
type container uint8

const (
	noContainer container = iota
	aSlice
	aMap
)

// shape is how a type travels.
type shape struct {
	Notation string
	typ      types.Type // in the interface
	kind     objectKind
	elem     types.Type // of the container: the object's type
	in       container
	key      types.Type // of a map
	iface    *marked    // of an object
}

// marked is a marked interface, perhaps of another package.
type marked struct {
	name  string
	class string
	pkg   *types.Package
	made  *Interface // nil in another package
}

// same reports whether the type is the same on both sides.
func (s *shape) same() bool {
	return s.kind.isSame()
}

// isSame reports whether such a type is the same on both sides.
func (k objectKind) isSame() bool {
	switch k {
	case reference, callee, placed, relayed, local, original, cached:
		return false
	}
	return true
}

// sameOnBothSides reports whether a client has the method with the same types.
func sameOnBothSides(sig *types.Signature) bool {
	for _, tuple := range []*types.Tuple{sig.Params(), sig.Results()} {
		for v := range tuple.Variables() {
			t := types.Unalias(v.Type())
			if s, ok := t.(*types.Slice); ok {
				t = s.Elem()
			} else if m, ok := t.(*types.Map); ok {
				t = m.Elem()
			}
			if k, _ := objectOf(t); !k.isSame() {
				return false
			}
		}
	}
	return true
}

// shapeOf is shape for a parameter or a result.
func (r *reader) shapeOf(pos token.Pos, place string, v *types.Var, t types.Type, as role) *shape {
	if as != forResult {
		name := v.Name()
		if name == "" {
			name = "a parameter"
		}
		place += ", " + name
	}
	return r.shape(pos, place, t, as)
}

// shape finds out how a type travels. If it cannot, it reports that and returns any.
func (r *reader) shape(pos token.Pos, place string, t types.Type, as role) *shape {
	s := &shape{typ: t, elem: t}
	inner := types.Unalias(t)
	if as != forElement {
		switch c := inner.(type) {
		case *types.Slice:
			s.in, s.elem = aSlice, c.Elem()
		case *types.Map:
			s.in, s.elem, s.key = aMap, c.Elem(), c.Key()
		}
	}
	s.kind, s.iface = objectOf(s.elem)
	if s.kind == object {
		s.iface = r.markedInterface(s.elem)
		s.kind = plain
		if s.iface != nil {
			s.kind = object
		}
	}
	if s.kind == plain {
		s.in, s.elem = noContainer, t
	}
	r.at = pos
	notation, problem := r.notation(t, nil)
	if problem == "" && s.kind == object {
		problem = r.checkObject(s)
	}
	if problem != "" {
		r.fail(pos, "%s: %s", place, problem)
		s.kind, s.in, notation = plain, noContainer, "any"
	}
	s.Notation = notation
	return s
}

func (r *reader) checkObject(s *shape) string {
	if s.in == aMap {
		return typeText(s.typ) + " cannot travel: an interface that is passed as an object can be a parameter, a result, " +
			"or an element of a slice"
	}
	t := s.elem.Underlying().(*types.Interface)
	if !isTransparent(t) {
		return typeText(s.elem) + " cannot be passed as an object: each of its methods must take a context.Context first " +
			"and return an error last, and have the same types on both sides"
	}
	return ""
}

// markedInterface returns the marked interface that t is, or nil.
func (r *reader) markedInterface(t types.Type) *marked {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return nil
	}
	if iface := r.marked[n.Obj()]; iface != nil {
		return &marked{name: iface.Name, class: iface.Class, pkg: n.Obj().Pkg(), made: iface}
	}
	if n.Obj().Pkg() == r.pkg.Types || !n.Obj().Exported() {
		return nil
	}
	// In another package, what pb gen made for it shows that it is marked.
	scope := n.Obj().Pkg().Scope()
	probe := &Interface{Name: n.Obj().Name()}
	if scope.Lookup(probe.newClient()) == nil || scope.Lookup(probe.newServer()) == nil {
		return nil
	}
	m := &marked{name: probe.Name, pkg: n.Obj().Pkg()}
	if c, ok := scope.Lookup(probe.Name + "Class").(*types.Const); ok {
		m.class = strings.Trim(c.Val().ExactString(), `"`)
	}
	return m
}

// flavor is one of package flavors.
type flavor uint8

const (
	noFlavor flavor = iota
	copyable
	referenceable
	avatar
	cacheable
	remoteCache
	ownEncoding // it has a JellyTo method of its own
)

var flavorNames = map[string]flavor{
	"Copyable": copyable, "Referenceable": referenceable, "Viewable": referenceable, "Avatar": avatar,
	"Cacheable": cacheable, "RemoteCache": remoteCache,
}

// flavorOf returns the flavor of a struct, which it embeds, or of a type that encodes itself.
func flavorOf(t types.Type) flavor {
	if f := embeddedFlavor(t, nil); f != noFlavor {
		return f
	}
	if hasMethod(t, "JellyTo") {
		return ownEncoding
	}
	return noFlavor
}

func embeddedFlavor(t types.Type, path []types.Type) flavor {
	for _, p := range path {
		if types.Identical(p, t) {
			return noFlavor
		}
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return noFlavor
	}
	for i := range s.NumFields() {
		f := s.Field(i)
		if !f.Embedded() {
			continue
		}
		ft := types.Unalias(f.Type())
		if p, ok := ft.(*types.Pointer); ok {
			ft = types.Unalias(p.Elem())
		}
		if n, ok := ft.(*types.Named); ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == flavorsPath {
			if fl, ok := flavorNames[n.Obj().Name()]; ok {
				return fl
			}
		}
		if fl := embeddedFlavor(ft, append(path, t)); fl != noFlavor {
			return fl
		}
	}
	return noFlavor
}

// hasMethod reports whether t or a pointer to it has a method.
func hasMethod(t types.Type, name string) bool {
	if _, ok := t.Underlying().(*types.Interface); !ok {
		if _, ok := types.Unalias(t).(*types.Pointer); !ok {
			t = types.NewPointer(t)
		}
	}
	obj, _, _ := types.LookupFieldOrMethod(t, false, nil, name)
	_, ok := obj.(*types.Func)
	return ok
}

// objectOf returns how a type travels if it is no plain data. For an interface with methods it returns object, whether
// it is marked or not.
func objectOf(t types.Type) (objectKind, *marked) {
	t = types.Unalias(t)
	switch {
	case isPointerTo(t, flavorsPath, "RemoteReference"):
		return reference, nil
	case isPointerTo(t, flavorsPath, "Relayed"):
		return relayed, nil
	case isType(t, flavorsPath, "Callee"):
		return callee, nil
	case isCallee(t) && !isPointerTo(t, flavorsPath, "Promise"):
		return placed, nil
	}
	if i, ok := t.Underlying().(*types.Interface); ok {
		if i.NumMethods() > 0 {
			return object, nil
		}
		return plain, nil
	}
	p, isPointer := t.(*types.Pointer)
	if !isPointer {
		if n, ok := t.(*types.Named); ok && flavorOf(n) == copyable {
			return copyValue, nil
		}
		return plain, nil
	}
	elem := types.Unalias(p.Elem())
	if isType(elem, flavorsPath, "Cached") {
		return cached, nil
	}
	if isType(elem, flavorsPath, "ViewPoint") {
		return local, nil
	}
	if _, ok := elem.(*types.Named); !ok {
		return plain, nil
	}
	switch flavorOf(elem) {
	case copyable:
		return aCopy, nil
	case referenceable:
		return local, nil
	case cacheable:
		return original, nil
	}
	return plain, nil
}

// isCallee reports whether a type that is no interface implements flavors.Callee.
func isCallee(t types.Type) bool {
	if types.IsInterface(t) {
		return false
	}
	obj, _, _ := types.LookupFieldOrMethod(t, false, types.NewPackage(flavorsPath, "flavors"), "isCallee")
	_, ok := obj.(*types.Func)
	return ok
}

func typeText(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string { return p.Name() })
}

// isKnown reports whether package jelly has an encoding for the type.
func isKnown(t types.Type) bool { return knownNotation(t) != "" }

// copiesIn returns the types of the Copyables that a value of a type may have in it, however deep.
func copiesIn(t types.Type) (copies []*types.Named) {
	seen := map[types.Type]bool{}
	var visit func(t types.Type)
	visit = func(t types.Type) {
		t = types.Unalias(t)
		if seen[t] || isKnown(t) {
			return
		}
		seen[t] = true
		if n, ok := t.(*types.Named); ok {
			switch flavorOf(n) {
			case copyable:
				copies = append(copies, n)
			case noFlavor:
			default:
				return // It travels otherwise.
			}
		}
		switch u := t.Underlying().(type) {
		case *types.Pointer:
			visit(u.Elem())
		case *types.Slice:
			visit(u.Elem())
		case *types.Array:
			visit(u.Elem())
		case *types.Map:
			visit(u.Key())
			visit(u.Elem())
		case *types.Struct:
			fields, _ := fieldsOf(u, "", nil)
			for _, f := range fields {
				visit(f.typ)
			}
		}
	}
	visit(t)
	return copies
}

// knownNotation returns the notation of types that package jelly encodes by name.
func knownNotation(t types.Type) string {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		switch s := knownNotation(p.Elem()); s {
		case "int", "Decimal", "dict", "set", "frozenset", "instance":
			return s // The usual form is a pointer.
		}
		return ""
	}
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return ""
	}
	switch n.Obj().Pkg().Path() + "." + n.Obj().Name() {
	case "time.Time":
		return "datetime"
	case "time.Duration", jellyPath + ".Timedelta":
		return "timedelta"
	case "math/big.Int":
		return "int"
	case "net/url.URL":
		return "str"
	case jellyPath + ".Date":
		return "date"
	case jellyPath + ".TimeOfDay":
		return "time"
	case jellyPath + ".Decimal":
		return "Decimal"
	case jellyPath + ".Tuple":
		return "tuple"
	case jellyPath + ".Dict":
		return "dict"
	case jellyPath + ".Set":
		return "set"
	case jellyPath + ".FrozenSet":
		return "frozenset"
	case jellyPath + ".Instance":
		return "instance"
	case jellyPath + ".Class", jellyPath + ".Module", jellyPath + ".Function", jellyPath + ".Method",
		jellyPath + ".Persistent", jellyPath + ".Unpersistable":
		return "any"
	}
	return ""
}

// notation returns what is on the wire for a type, or why nothing can be. within are the steps to the type.
func (r *reader) notation(t types.Type, within []string) (notation, problem string) {
	refuse := func(format string, args ...any) (string, string) {
		at := ""
		if len(within) > 0 {
			at = " (in " + strings.Join(within, "") + ")"
		}
		return "", fmt.Sprintf(format, args...) + at
	}
	t = types.Unalias(t)
	if s := knownNotation(t); s != "" {
		return s, ""
	}
	switch {
	case isType(t, "context", "Context"), isPointerTo(t, flavorsPath, "Invocation"):
		return refuse("%s must come before the arguments, and once", typeText(t))
	case isType(t, flavorsPath, "Kw"):
		return refuse("flavors.Kw must be the last parameter, or the last before a variadic one")
	case isError(t):
		return refuse("an error cannot travel as a value: return it last")
	case isDeferred(t):
		return refuse("a Deferred cannot travel: return it as the only result")
	case isPointerTo(t, jellyPath, "Unbound"), isType(t, jellyPath, "Unbound"):
		return refuse("%s cannot travel", typeText(t))
	}
	nested := len(within) > 0
	switch kind, _ := objectOf(t); kind {
	case aCopy, copyValue:
		return r.copyNotation(t, refuse)
	case reference, callee, placed:
		if nested && !oneContainer(within) {
			return refuse("a reference is another type at the other end: pass it as a parameter, or in a slice or map")
		}
		return "ref", ""
	case relayed:
		if nested {
			return refuse("a *flavors.Relayed is a parameter, a keyword or a result of its own")
		}
		return "any", ""
	case local, original, cached:
		if nested && !oneContainer(within) {
			return refuse("%s is another type at the other end: pass it as a parameter, or in a slice or map", typeText(t))
		}
		name := "object"
		if p, ok := t.(*types.Pointer); ok {
			name = shortName(p.Elem())
			if n, ok := types.Unalias(p.Elem()).(*types.Named); ok && kind == cached && n.TypeArgs().Len() == 1 {
				name = shortName(n.TypeArgs().At(0))
			}
		}
		if kind == local {
			return "ref[" + name + "]", ""
		}
		return "cache[" + name + "]", ""
	case object:
		if m := r.markedInterface(t); m != nil {
			if nested && !oneContainer(within) {
				return refuse("%s can be a parameter, a result, or an element of a slice", typeText(t))
			}
			return "ref[" + m.name + "]", ""
		}
		if hasMethod(t, "JellyTo") {
			return "any", ""
		}
		return refuse("%s cannot travel: take any, a class of copies, or an interface that is marked //pb:remote",
			typeText(t))
	}
	return r.plainNotation(t, within, refuse)
}

// oneContainer reports whether the way to an object is one slice or map.
func oneContainer(within []string) bool {
	return len(within) == 1 && (within[0] == "[]" || within[0] == "[key]")
}

func shortName(t types.Type) string {
	return types.TypeString(t, func(*types.Package) string { return "" })
}

type refusal = func(format string, args ...any) (string, string)

func (r *reader) plainNotation(t types.Type, within []string, refuse refusal) (string, string) {
	base := t
	if p, ok := t.(*types.Pointer); ok {
		base = types.Unalias(p.Elem())
	}
	switch fl := flavorOf(base); {
	case isTypeParam(t):
		return refuse("%s is a type parameter", typeText(t))
	case fl == avatar:
		return refuse("an avatar travels as the answer to a login only")
	case fl == remoteCache:
		return refuse("what arrives is a *flavors.Cached[%s]", typeText(base))
	case fl == referenceable, fl == cacheable:
		return refuse("%s cannot travel by value: use a pointer", typeText(t))
	case fl == ownEncoding:
		return shortName(base), ""
	}
	if n, ok := t.(*types.Named); ok {
		for _, outer := range r.stack {
			if outer == n {
				r.recursive[n] = true
				return r.nameOf(n), ""
			}
		}
		r.stack = append(r.stack, n)
		defer func() { r.stack = r.stack[:len(r.stack)-1] }()
	}
	if canBeText(t) {
		return "str", ""
	}
	s, problem := r.byKind(t, within, refuse)
	if n, ok := t.(*types.Named); ok && problem == "" && r.recursive[n] {
		if _, isStruct := n.Underlying().(*types.Struct); !isStruct {
			name := r.nameOf(n)
			r.model.Types[name] = &Named{Kind: "is", Is: s}
			return name, ""
		}
	}
	return s, problem
}

func isTypeParam(t types.Type) bool {
	_, ok := t.(*types.TypeParam)
	return ok
}

// canBeText reports whether the type has its own text form in both directions.
func canBeText(t types.Type) bool {
	if _, ok := t.(*types.Pointer); ok {
		return false
	}
	return hasMethod(t, "MarshalText") && hasMethod(t, "UnmarshalText")
}

// nameOf returns the name of a named type in the notation. Types of other packages that have the same name get the
// name of their package too.
func (r *reader) nameOf(n *types.Named) string {
	name := shortName(n)
	if other := r.names[name]; other != nil && other != n {
		name = typeText(n)
		if other := r.names[name]; other != nil && other != n {
			name = types.TypeString(n, nil)
		}
	}
	r.names[name] = n
	return name
}

func (r *reader) byKind(t types.Type, within []string, refuse refusal) (string, string) {
	step := func(s string) []string { return append(within[:len(within):len(within)], s) }
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if u.Kind() == types.Invalid {
			return refuse("the type is unknown, because the package has errors%s", r.whyUnknown())
		}
		return basicNotation(t, u, refuse)
	case *types.Pointer:
		s, problem := r.notation(u.Elem(), step("*"))
		if !strings.HasSuffix(s, "?") && s != "any" {
			s += "?"
		}
		return s, problem
	case *types.Slice:
		if b, ok := u.Elem().Underlying().(*types.Basic); ok && b.Kind() == types.Uint8 {
			return "bytes", ""
		}
		s, problem := r.notation(u.Elem(), step("[]"))
		return "list[" + s + "]", problem
	case *types.Array:
		if b, ok := u.Elem().Underlying().(*types.Basic); ok && b.Kind() == types.Uint8 {
			return fmt.Sprintf("bytes[%d]", u.Len()), ""
		}
		s, problem := r.notation(u.Elem(), step("[]"))
		return fmt.Sprintf("list[%s, %d]", s, u.Len()), problem
	case *types.Map:
		if why := notHashable(u.Key()); why != "" {
			return refuse("%s cannot be the key of a dictionary: %s", typeText(u.Key()), why)
		}
		key, problem := r.notation(u.Key(), step("[the key]"))
		if problem != "" {
			return "", problem
		}
		if s, ok := u.Elem().Underlying().(*types.Struct); ok && s.NumFields() == 0 {
			return "set[" + key + "]", ""
		}
		s, problem := r.notation(u.Elem(), step("[key]"))
		return "dict[" + key + ", " + s + "]", problem
	case *types.Interface:
		return "any", "" // Those with methods were refused.
	case *types.Struct:
		return r.structNotation(t, u, within, refuse)
	case *types.Chan:
		return refuse("%s cannot travel: nothing on the wire is a channel; pass an object whose methods are called",
			typeText(t))
	case *types.Signature:
		return refuse("%s cannot travel: nothing on the wire is a function; pass an object whose methods are called",
			typeText(t))
	}
	return refuse("%s cannot travel", typeText(t))
}

// notHashable returns why a type cannot be a key.
func notHashable(t types.Type) string {
	if isKnown(t) || canBeText(t) {
		return ""
	}
	switch u := t.Underlying().(type) {
	case *types.Basic, *types.Interface:
		return ""
	case *types.Array:
		return notHashable(u.Elem())
	case *types.Struct:
		return "it travels as a dictionary, which is none"
	}
	return "nothing on the wire that is a key becomes one"
}

func basicNotation(t types.Type, b *types.Basic, refuse refusal) (string, string) {
	switch b.Kind() {
	case types.UnsafePointer, types.Uintptr, types.Complex64, types.Complex128:
		return refuse("%s cannot travel", typeText(t))
	case types.Int, types.Int64:
		return "int", ""
	case types.Uint, types.Uint64:
		return "uint", ""
	case types.Float32, types.Float64:
		return "float", ""
	case types.String:
		return "str", ""
	}
	return b.Name(), ""
}

func (r *reader) structNotation(t types.Type, s *types.Struct, within []string, refuse refusal) (string, string) {
	fields, problem := fieldsOf(s, "", nil)
	if problem != "" {
		return refuse("%s: %s", typeText(t), problem)
	}
	if len(fields) == 0 {
		return refuse("%s cannot travel: it embeds no flavor and has no field with a pb tag, such as `pb:\"name\"`",
			typeText(t))
	}
	name := fmt.Sprintf("struct%d", len(r.model.Types)+1)
	if n, ok := t.(*types.Named); ok {
		name = r.nameOf(n)
	}
	entry := &Named{Kind: "dict"}
	r.model.Types[name] = entry
	for _, f := range fields {
		inner, problem := r.notation(f.typ, append(within[:len(within):len(within)], name+"."+f.selector))
		if problem != "" {
			return "", problem
		}
		entry.Fields = append(entry.Fields, Member{f.name, inner})
	}
	return name, ""
}

// copyNotation describes the state of a copy if that consists of its fields.
func (r *reader) copyNotation(t types.Type, refuse refusal) (string, string) {
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	n := t.(*types.Named)
	name := r.nameOf(n)
	if r.model.Types[name] != nil {
		return name, ""
	}
	entry := &Named{Kind: "copy"}
	r.model.Types[name] = entry
	for _, hook := range []string{"StateToCopy", "StateToCopyFor", "SetCopyableState"} {
		if hasMethod(n, hook) {
			return name, "" // Its state is its own affair.
		}
	}
	s, ok := n.Underlying().(*types.Struct)
	if !ok {
		return name, ""
	}
	fields, problem := fieldsOf(s, "", nil)
	if problem != "" {
		return refuse("%s: %s", typeText(n), problem)
	}
	for _, f := range fields {
		inner := "any"
		if kind, _ := objectOf(f.typ); kind == plain || kind == aCopy || kind == copyValue {
			if inner, problem = r.notation(f.typ, []string{name + "." + f.selector}); problem != "" {
				return "", problem
			}
		}
		entry.Fields = append(entry.Fields, Member{f.name, inner})
	}
	return name, ""
}
