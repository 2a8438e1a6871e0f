package jelly

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
)

// An array is [array code numbers]: numbers of one type and size as one string, little-endian.
//
//	03 80  05 82 "array"  02 82 "i4"  08 82 01 00 00 00 02 00 00 00
//
// It takes 4 bytes for an int32 where a list takes 2 to 6, and is copied rather than decoded. Only the extended profile
// has it.
const arrayName = "array"

// number are the types of the numbers of an array.
type number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// arrayForm is how the numbers of one code are sent and received.
type arrayForm struct {
	code string
	size int // of a number in bytes
	made func(numbers []byte, room int) any
}

// arrayForms are the forms by code.
var arrayForms = map[string]*arrayForm{
	"i1": {"i1", 1, unpackNumbers[int8]}, "i2": {"i2", 2, unpackNumbers[int16]},
	"i4": {"i4", 4, unpackNumbers[int32]}, "i8": {"i8", 8, unpackNumbers[int64]},
	"u1": {"u1", 1, unpackNumbers[uint8]}, "u2": {"u2", 2, unpackNumbers[uint16]},
	"u4": {"u4", 4, unpackNumbers[uint32]}, "u8": {"u8", 8, unpackNumbers[uint64]},
	"f4": {"f4", 4, unpackNumbers[float32]}, "f8": {"f8", 8, unpackNumbers[float64]},
}

// bigEndian is set on machines whose numbers must be turned round.
var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// codeOf returns the code of numbers of a kind, and "" for any other kind.
func codeOf(k reflect.Kind) string {
	size := ""
	switch k {
	case reflect.Int8, reflect.Uint8:
		size = "1"
	case reflect.Int16, reflect.Uint16:
		size = "2"
	case reflect.Int32, reflect.Uint32, reflect.Float32:
		size = "4"
	case reflect.Int64, reflect.Uint64, reflect.Float64:
		size = "8"
	case reflect.Int, reflect.Uint:
		size = strconv.Itoa(strconv.IntSize / 8)
	default:
		return ""
	}
	switch {
	case k <= reflect.Int64:
		return "i" + size
	case k <= reflect.Uint64:
		return "u" + size
	}
	return "f" + size
}

// formOf returns the form in which a slice of these elements is sent, and nil if it is no array: the elements are no
// numbers, or say themselves how they are sent. A slice of bytes is a string, as in every dialect.
func formOf(elem reflect.Type) *arrayForm {
	code := codeOf(elem.Kind())
	switch {
	case code == "", elem.Kind() == reflect.Uint8, elem == reflect.TypeFor[time.Duration]():
		return nil
	case elem.Implements(jellyableType), reflect.PointerTo(elem).Implements(jellyableType),
		elem.Implements(marshalerType), reflect.PointerTo(elem).Implements(marshalerType):
		return nil
	}
	return arrayForms[code]
}

// encode writes a slice as an array, or as a list to a peer that takes no arrays.
func (f *arrayForm) encode(e *Encoder, v reflect.Value) error {
	if !e.ctx.Profile.IsExtended() {
		return encodeSlice(e, v)
	}
	id := identity{}
	if v.Cap() > 0 {
		id = reflectIdentity(v, v.Len())
	}
	return e.array(f, id, memoryOf(v))
}

// numberArray writes a slice whose type has this number.
func numberArray[T number](e *Encoder, typ uintptr, v []T) error {
	form := arrayForms[codeOf(reflect.TypeFor[T]().Kind())]
	return e.array(form, sliceIdentity(typ, v), bytesOf(v))
}

// array writes numbers, the memory of a slice.
func (e *Encoder) array(f *arrayForm, id identity, numbers []byte) error {
	if err := e.mustHash("list"); err != nil {
		return err
	}
	if met, err := e.meet(id); met || err != nil {
		return err
	}
	if err := e.beginNamed(arrayName, 2); err != nil {
		return err
	}
	if err := e.fits(len(numbers)); err != nil {
		return err
	}
	e.buf = append(e.buf, byte(len(f.code)), byte(banana.String))
	e.buf = append(e.buf, f.code...)
	if len(numbers) >= longFrom && !bigEndian {
		err := e.longCopy(numbers)
		e.end()
		return err
	}
	// Never as a word of the vocabulary, even if the numbers spell one.
	e.buf = banana.AppendBytesHead(e.buf, len(numbers))
	at := len(e.buf)
	e.buf = append(e.buf, numbers...)
	if bigEndian {
		reverseEach(e.buf[at:], f.size)
	}
	e.end()
	return nil
}

// array decodes the n elements of an array.
func (d *Decoder) array(n int, slot *any) error {
	form, b, err := d.readArray(n)
	if err != nil {
		return err
	}
	room := 0
	if len(d.refs.pending) > 0 {
		room = 1 // Without a capacity it would have no identity.
	}
	*slot = form.made(b, room)
	d.begun(*slot, unhashable)
	return d.skip(n - 2)
}

// readArray reads the code and the numbers of an array.
func (d *Decoder) readArray(n int) (*arrayForm, []byte, error) {
	at := d.r.Offset()
	code, err := d.text(tagArray, n)
	if err != nil {
		return nil, nil, err
	}
	form := arrayForms[code.Text()]
	if form == nil {
		return nil, nil, d.fail(at, fmt.Sprintf("%q is no code of an array: the codes are i1 i2 i4 i8 u1 u2 u4 u8 f4 f8",
			clip(code.Text())))
	}
	at = d.r.Offset()
	numbers, err := d.text(tagArray, n-1)
	if err != nil {
		return nil, nil, err
	}
	b := numbers.Bytes
	if numbers.Kind == banana.Vocab {
		b = numbers.AppendText(nil)
	}
	if len(b)%form.size != 0 {
		return nil, nil, d.fail(at, fmt.Sprintf("an array of %s has %d bytes, which is no multiple of %d",
			form.code, len(b), form.size))
	}
	return form, b, nil
}

// unpackNumbers returns a []T with a capacity of at least room.
func unpackNumbers[T number](numbers []byte, room int) any {
	var zero T
	n := len(numbers) / int(unsafe.Sizeof(zero))
	s := make([]T, n, max(n, room))
	b := bytesOf(s)
	copy(b, numbers)
	if bigEndian {
		reverseEach(b, int(unsafe.Sizeof(zero)))
	}
	return s
}

// bytesOf returns the memory of a slice.
func bytesOf[T number](s []T) []byte {
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(zero)))
}

// memoryOf returns the memory of a slice of numbers.
func memoryOf(v reflect.Value) []byte {
	return unsafe.Slice((*byte)(v.UnsafePointer()), v.Len()*int(v.Type().Elem().Size()))
}

// reverseEach reverses the bytes of each number of a size.
func reverseEach(b []byte, size int) {
	for ; len(b) >= size; b = b[size:] {
		slices.Reverse(b[:size])
	}
}

// numbersOf returns a decoded array. A []byte is none: arrays of u1 are bytes, like strings.
func numbersOf(src any) (v reflect.Value, ok bool) {
	switch src.(type) {
	case []int8, []int16, []int32, []int64, []uint16, []uint32, []uint64, []float32, []float64:
		return reflect.ValueOf(src), true
	}
	return reflect.Value{}, false
}

// boxNumber returns a number as it is decoded outside of arrays: as an int64, a *big.Int or a float64.
func boxNumber(v reflect.Value) any {
	switch {
	case v.CanInt():
		return v.Int()
	case v.CanFloat():
		return v.Float()
	case v.Uint() > math.MaxInt64:
		return new(big.Int).SetUint64(v.Uint())
	}
	return int64(v.Uint())
}

// boxed returns the numbers of an array as the list that they would be, for a conversion to t.
func (c *assignment) boxed(t reflect.Type, numbers reflect.Value) ([]any, error) {
	if err := c.makeRoom(numbers.Interface(), t, numbers.Len(), uintptr(slotPrice)+box); err != nil {
		return nil, err
	}
	list := make([]any, numbers.Len())
	for i := range list {
		list[i] = boxNumber(numbers.Index(i))
	}
	return list, nil
}

// numbers converts an array to a slice of any type to which a list of the same numbers can be converted.
func (c *assignment) numbers(dst, numbers reflect.Value) error {
	t, src := dst.Type(), numbers.Interface()
	k := containerKey(src, t)
	if v, ok := c.remembered(k); ok {
		dst.Set(v)
		return nil
	}
	n := numbers.Len()
	if err := c.makeRoom(src, t, n, t.Elem().Size()); err != nil {
		return err
	}
	made := reflect.MakeSlice(t, n, n)
	c.remember(k, made)
	if err := c.fill(made, numbers); err != nil {
		return err
	}
	dst.Set(made)
	return nil
}

// intsOf makes a []int of an array of the same size, and reports whether it could.
func intsOf(dst *[]int, src any) bool {
	numbers, ok := src.([]int64)
	if !ok || strconv.IntSize < 64 {
		return false
	}
	*dst = make([]int, len(numbers))
	copy(bytesOf(*dst), bytesOf(numbers))
	return true
}

// fill stores the numbers of an array in the elements of a slice of the same length.
func (c *assignment) fill(made, numbers reflect.Value) error {
	to, from := made.Type().Elem(), numbers.Type().Elem()
	if formOf(to) == nil && to.Kind() != reflect.Uint8 {
		list, err := c.boxed(made.Type(), numbers)
		if err != nil {
			return err
		}
		return c.convert(made, list)
	}
	if codeOf(to.Kind()) == codeOf(from.Kind()) {
		copy(memoryOf(made), memoryOf(numbers))
		return nil
	}
	into := AssignerFor(to).into
	for i := range numbers.Len() {
		if setNumber(made.Index(i), numbers.Index(i)) {
			continue
		}
		if err := into(c, made.Index(i), boxNumber(numbers.Index(i))); err != nil {
			return at("["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}

// setNumber stores a number without boxing it, and reports whether it could.
func setNumber(dst, src reflect.Value) bool {
	switch {
	case dst.CanInt() && src.CanInt() && !dst.OverflowInt(src.Int()):
		dst.SetInt(src.Int())
	case dst.CanUint() && src.CanUint() && !dst.OverflowUint(src.Uint()):
		dst.SetUint(src.Uint())
	case dst.CanFloat() && src.CanFloat() && !dst.OverflowFloat(src.Float()):
		dst.SetFloat(src.Float())
	case dst.CanInt() && src.CanUint() && src.Uint() <= math.MaxInt64 && !dst.OverflowInt(int64(src.Uint())):
		dst.SetInt(int64(src.Uint()))
	case dst.CanUint() && src.CanInt() && src.Int() >= 0 && !dst.OverflowUint(uint64(src.Int())):
		dst.SetUint(uint64(src.Int()))
	case dst.CanFloat() && src.CanInt():
		dst.SetFloat(float64(src.Int()))
	case dst.CanFloat() && src.CanUint():
		dst.SetFloat(float64(src.Uint()))
	default:
		return false
	}
	return true
}
