package jelly

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"sync"
	"time"
)

// AssignError reports a decoded value that cannot be converted to a Go type.
type AssignError struct {
	// Path is the path from the whole value to the part that cannot be converted, as in "[2].name". It is empty for
	// the whole value.
	Path string
	// Source is the Python name of the part's type, Target the Go type.
	Source, Target string
	// Why gives a reason, if there is more to say.
	Why string
	// Err is the cause, if any, such as an error of UnmarshalText.
	Err error
}

func (e *AssignError) Error() string {
	s := "cannot use " + e.Source + " as " + e.Target
	if e.Path != "" {
		s += " at " + e.Path
	}
	if e.Why != "" {
		s += ": " + e.Why
	}
	if e.Err != nil {
		s += ": " + shortened(e.Err.Error())
	}
	return s
}

// Unwrap returns the cause.
func (e *AssignError) Unwrap() error { return e.Err }

// Assign stores a decoded value in the variable that dst points to and converts it as the package documentation
// describes. A value that already has the type is stored unchanged. Shared parts of src are converted once and shared
// in the result, so the work is bounded by the size of the encoded value. After an error dst may be partly set.
func Assign(dst, src any) error {
	switch p := dst.(type) {
	case *any:
		*p = src
		return nil
	case *string:
		if s, ok := src.(string); ok {
			*p = s
			return nil
		}
	case *int:
		if n, ok := src.(int64); ok && int64(int(n)) == n {
			*p = int(n)
			return nil
		}
	case *int64:
		if n, ok := src.(int64); ok {
			*p = n
			return nil
		}
	case *bool:
		if b, ok := src.(bool); ok {
			*p = b
			return nil
		}
	case *float64:
		if f, ok := src.(float64); ok {
			*p = f
			return nil
		}
	case *[]byte:
		if b, ok := src.([]byte); ok {
			*p = b
			return nil
		}
	case *[]any:
		if l, ok := src.([]any); ok {
			*p = l
			return nil
		}
	case *[]int:
		if plainSlice(p, src, fillInts) || intsOf(p, src) {
			return nil
		}
	case *[]string:
		if plainSlice(p, src, fillPlain) {
			return nil
		}
	case **Dict:
		if d, ok := src.(*Dict); ok {
			*p = d
			return nil
		}
	}
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("jelly: Assign needs a pointer to store to, not %T", dst)
	}
	return AssignerFor(v.Type().Elem()).Assign(v.Elem(), src)
}

// AssignInstances is [Assign], but takes nothing else than instances for structs that have a class: where hasClass
// returns true for the type of a struct, src must have a pointer to one, and a dictionary or list is an error. It must
// not be nil.
func AssignInstances(dst, src any, hasClass func(reflect.Type) bool) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("jelly: AssignInstances needs a pointer to store to, not %T", dst)
	}
	if hasClass == nil {
		return errors.New("jelly: AssignInstances needs a function that tells which structs have a class")
	}
	c := assignment{hasClass: hasClass}
	return AssignerFor(v.Type().Elem()).into(&c, v.Elem(), src)
}

// Assigner stores decoded values in variables of one type. It is safe for concurrent use.
type Assigner struct {
	typ  reflect.Type
	into assignFunc
}

// assignFunc converts src for dst, which is settable.
type assignFunc func(c *assignment, dst reflect.Value, src any) error

// assigners caches the Assigner of each type.
var assigners sync.Map // reflect.Type -> *Assigner

// AssignerFor returns the Assigner for a type. Assigners are cached.
func AssignerFor(t reflect.Type) *Assigner {
	if t == nil {
		return &Assigner{}
	}
	if a, ok := assigners.Load(t); ok {
		return a.(*Assigner)
	}
	a, _ := assigners.LoadOrStore(t, &Assigner{typ: t, into: chooseAssign(t)})
	return a.(*Assigner)
}

// Type returns the type of the variables.
func (a *Assigner) Type() reflect.Type { return a.typ }

var errNoAssigner = errors.New(
	"jelly: this Assigner is for no type: make it with AssignerFor and a type that is not nil",
)

// Assign stores src in dst, which must be settable and of this type.
func (a *Assigner) Assign(dst reflect.Value, src any) error {
	if a == nil || a.typ == nil {
		return errNoAssigner
	}
	var c assignment
	return a.into(&c, dst, src)
}

// Value returns src converted to this type.
func (a *Assigner) Value(src any) (reflect.Value, error) {
	if a == nil || a.typ == nil {
		return reflect.Value{}, errNoAssigner
	}
	if src != nil && reflect.TypeOf(src) == a.typ {
		return reflect.ValueOf(src), nil
	}
	v := reflect.New(a.typ).Elem()
	return v, a.Assign(v, src)
}

// AssignFields stores the values of a dictionary in the fields with pb tags of the struct that dst points to. Keys
// may be str or bytes. Keys without a field are ignored; fields without a key are not changed.
func AssignFields(dst any, src *Dict) error {
	var c assignment
	return assignFields(&c, dst, src)
}

func assignFields(c *assignment, dst any, src *Dict) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("jelly: AssignFields needs a pointer to a struct, not %T", dst)
	}
	return c.fields(v.Elem(), src)
}

// assignment is the state of one call of Assign.
type assignment struct {
	// made maps parts of the source that may be mentioned again, by type, to their conversions. The first is kept
	// separately because there is usually only one.
	first struct {
		key madeKey
		v   reflect.Value
	}
	made  map[madeKey]reflect.Value
	depth int
	text  int // bytes passed to UnmarshalText
	bytes int // bytes allocated
	// The states of all copies in a frame are converted by one assignment.
	copies   bool
	states   *states // set while the objects of a frame get their states
	repeated int     // bytes of long texts that were parsed for an earlier copy

	hasClass func(reflect.Type) bool // of [AssignInstances]
}

type madeKey struct {
	id  identity
	typ reflect.Type
}

const (
	// maxAssignDepth bounds recursion. A value nested DefaultNesting deep takes at most three per level.
	maxAssignDepth = 4096
	// maxUnmarshalText bounds the text parsed for one value: one long string can be mentioned many times.
	maxUnmarshalText = 4 << 20
	// maxAssignBytes bounds the memory allocated by one conversion, by all copies of a frame together, and by all its
	// caches together: a few bytes can mention one dictionary that becomes a large struct each time.
	maxAssignBytes = 128 << 20
	// Conversions smaller than this are not cached.
	cheapBytes, cheapElements = 64, 8
)

// makeRoom counts n values of a size before they are allocated. Each counts as at least eight bytes, for the work of
// converting it.
func (c *assignment) makeRoom(src any, t reflect.Type, n int, size uintptr) error {
	size = max(size, 8)
	if size > maxAssignBytes || n > (maxAssignBytes-c.bytes)/int(size) {
		return mismatchBecause(src, t, fmt.Sprintf("more than %d bytes would have to be made room for", maxAssignBytes))
	}
	c.bytes += n * int(size)
	return nil
}

// remembered returns the earlier conversion of a part, if any.
func (c *assignment) remembered(k madeKey) (reflect.Value, bool) {
	if k.id.at == nil {
		return reflect.Value{}, false
	}
	if c.first.key == k {
		return c.first.v, true
	}
	v, ok := c.made[k]
	return v, ok
}

func (c *assignment) remember(k madeKey, v reflect.Value) {
	switch {
	case k.id.at == nil:
	case c.first.key.typ == nil:
		c.first.key, c.first.v = k, v
	default:
		if c.made == nil {
			c.made = map[madeKey]reflect.Value{}
		}
		c.made[k] = v
	}
}

// mismatch returns the error for a source of the wrong type.
func mismatch(src any, t reflect.Type) error {
	if src == nil && takesPointer(t) {
		return mismatchBecause(nil, t, "if None is allowed, use *"+t.String()+", which is nil then")
	}
	return &AssignError{Source: TypeName(src), Target: t.String()}
}

// takesPointer reports whether a pointer to t takes what t takes, and None.
func takesPointer(t reflect.Type) bool {
	return isScalar(t) || t.Kind() == reflect.Struct || t.Kind() == reflect.Array
}

func mismatchBecause(src any, t reflect.Type, why string) error {
	return &AssignError{Source: TypeName(src), Target: t.String(), Why: why}
}

// at prepends a step to the path of an error.
func at(step string, err error) error {
	if e, ok := err.(*AssignError); ok { //nolint:errorlint // a wrapped one is another call's
		if len(e.Path) > 0 && e.Path[0] != '[' && e.Path[0] != '.' {
			step += "."
		}
		e.Path = joinPath(step, e.Path)
	}
	return err
}

// TypeName returns the Python name of a decoded value's type, for errors that are sent to a peer. For other values it
// returns the Go type.
func TypeName(v any) string {
	switch x := v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int64, int, *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case []byte:
		return "bytes"
	case []any:
		return "list"
	case Tuple:
		return "tuple"
	case *Dict:
		return "dict"
	case *Set:
		return "set"
	case *FrozenSet:
		return "frozenset"
	case time.Time:
		return "datetime"
	case time.Duration, Timedelta:
		return "timedelta"
	case Date:
		return "date"
	case TimeOfDay:
		return "time"
	case *Decimal:
		return "Decimal"
	case *Instance:
		return printable(x.Class)
	case *Unbound:
		return printable(x.Tag)
	}
	if _, ok := numbersOf(v); ok {
		return arrayName
	}
	return fmt.Sprintf("%T", v)
}
