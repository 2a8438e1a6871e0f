// Package jelly converts Go values to Jelly, the object serialization of Perspective Broker, and back. It handles
// types, sharing and cycles, decides which classes are accepted, and converts decoded values to the types of a Go
// program. It knows nothing about connections: what only a connection can write is a hole in a [Fragment], and what
// only a connection or a class can supply is an [Unbound] of a [Decoder]. It depends on the standard library and on
// package banana.
//
// # Encoding
//
// A [Fragment] encodes values with Jelly, JellyTuple and JellyKw, on the goroutine that has the values. The owner of
// the connection then copies it out with Append:
//
//	f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
//	err := f.JellyTuple([]any{1, "two"})
//	frame, err := f.Append(frame, fillHoles)
//	f.Free()
//
// Go values become:
//
//	Go                                     Jelly
//	nil, nil pointers                      [None]
//	bool                                   [boolean "true"]
//	all integers, big.Int                  an integer, up to 448 bits
//	float32, float64                       a float
//	string                                 [unicode utf8]; must be valid UTF-8
//	[]byte, [N]byte                        a string, which Python calls bytes
//	slices, arrays                         [list …]; nil slices are empty lists
//	slices of numbers, under pb+1          [array code numbers]
//	Tuple                                  [tuple …]
//	maps                                   [dictionary [key value] …] with sorted keys; nil maps are empty
//	map[K]struct{}                         [set …], sorted
//	*Dict                                  [dictionary …] in its own order, with any hashable keys
//	structs with pb tags, pointers to them [dictionary …] of the tagged fields, in their order
//	*Set, *FrozenSet                       [set …], [frozenset …]
//	time.Time                              [datetime "Y M D h m s us"] in UTC
//	time.Duration, Timedelta               [timedelta "days seconds us"]
//	Date, TimeOfDay                        [date "Y M D"], [time "h m s us"]
//	*Decimal                               [decimal coefficient exponent]
//	netip.Addr, url.URL, TextMarshalers    [unicode text]
//	Class, Module, Function, Method        [class name] and so on
//	Persistent, Unpersistable              [persistent id], [unpersistable reason]
//	*Instance                              [class state], or [instance [class name] state]
//	Jellyable                              what JellyTo writes; for a struct by value, JellyTo of its pointer
//
// Named types are encoded by their underlying kind. Interfaces and pointers are followed. Every other value is
// refused with an [InsecureJellyError] that gives its path: "args[1].Owner.File: *os.File is not transferable".
//
// Of a struct, only fields with a tag are sent: `pb:"name"`, `pb:"name,omitempty"` to omit it when it is empty, or
// `pb:",omitempty"` to keep Go's name. Embedded structs without a tag are flattened. A struct without tags is not
// transferable, so nothing leaves the program by accident.
//
// The encoding does not keep the time zone of a time.Time, times below a microsecond, the exact types of integers,
// floats and strings, the difference between nil and empty slices and maps, and the sign of a decimal zero.
//
// # Decoding
//
// A [Decoder] decodes an expression to a value of these types:
//
//	nil, bool, int64, *big.Int (beyond 64 bits), float64, string, []byte,
//	[]any, Tuple, *Dict, *Set, *FrozenSet, time.Time (UTC), time.Duration,
//	Timedelta (beyond 292 years), Date, TimeOfDay, *Decimal, Class, Module,
//	Function, *Method, Persistent, Unpersistable, *Instance, *Unbound
//
// and, under profile pb+1, arrays to []int8, []int16, []int32, []int64, []uint8, []uint16, []uint32, []uint64,
// []float32 and []float64.
//
// [Assign] converts such a value to any Go type that can hold it. A value that already has the type is stored
// unchanged. Integers are checked for range; floats accept integers; strings and []byte accept each other if the
// bytes are UTF-8, because Python 2 peers send bytes for text; lists, tuples and sets become slices and arrays,
// dictionaries become maps and structs, sets become maps of empty structs; an array becomes whatever a list of the same
// numbers becomes; a tuple or list becomes a struct with as
// many fields with pb tags, in their order, so a list of tuples becomes a slice of structs; the integers 0 and 1 become
// bools; None becomes a nil pointer, slice, map or interface and nothing else, so a text or number that may be None is
// a *string or *int; TextUnmarshalers accept text. An object of a registered class is assigned to a pointer
// to its struct, and copied to the struct itself. A mismatch is an [AssignError] that names both types and the path:
// "cannot use str as int at [2].name".
//
// Every Unbound must be bound before the value is used. The connection binds references. [Unjelly] creates the
// objects of registered classes and sets their states; it preserves identity and cycles.
//
// # Printing
//
// Decoded data is a graph: it may contain itself, or reach one part 2^60 times in a few hundred bytes. Print it with
// [Format], or in log lines with [Formatted]. Their text is bounded, on one line, and escaped. Do not pass decoded
// values to the verbs of package fmt, to encoding/json, to reflect.DeepEqual or to zerolog's Interface. Tuple, *Dict
// and the other types of this package implement fmt.Formatter and json.Marshaler and are bounded there; a []any, or a
// struct with a field of type any, is not.
//
// # Encoding details
//
// The bytes are those of Twisted's jelly. An object (a list, tuple, dictionary, set or instance) that occurs a second
// time in one call is written there as [dereference n], and its first occurrence is wrapped as [reference n …]. n
// counts from 1 in the order of second occurrences.
//
//	x := []any{5}
//	[]any{x, x}         [list [reference 1 [list 5]] [dereference 1]]
//
// In Go an object is identified by its place in memory: pointers, maps, and slices with the same memory, length and
// type. Strings and numbers are never shared. An empty slice is an object only if it has capacity; a Decoder gives
// shared empty lists a capacity.
//
// A list carries its count in front and has no end mark, so wrapping an object is an insertion before bytes that are
// already written. A fragment is therefore bytes and a sorted list of insertions.
//
// The decoder is as lenient as Twisted's; the tests compare the two. Elements behind those that a type needs are
// skipped, references may follow their mentions, and words may be spelled out. It differs deliberately in a few
// cases:
//
//   - A pair of a dictionary must be a list of two. (Twisted unpacks a string of two bytes.)
//   - [persistent id] without a PersistentLoad becomes a Persistent, which keeps the id. (Twisted: an Unpersistable.)
//   - Equal keys and members are kept. Dict.Get returns the last, as in Python; in Go maps the last wins too.
//   - An object that is a key within its own state is accepted. (Twisted sends it but cannot decode it.) So is a tuple
//     that contains an enclosing value and is mentioned twice.
//   - A number above 2^59 in a date or a timedelta is refused. (Twisted accepts one whose normal form is small enough;
//     no program sends it.)
//
// # Arrays
//
// Under profile pb+1 a slice of numbers is sent as an array: a code, and the numbers as one string, little-endian. The
// codes are i1 i2 i4 i8 for int8 to int64, u1 u2 u4 u8 for uint8 to uint64, f4 and f8 for float32 and float64. []int
// and []uint are sent as i8 and u8, those of a 32-bit machine as i4 and u4. A slice of bytes remains a string: an array
// of u1, which other programs may send, arrives as the same []byte. A slice whose elements say themselves how they are
// sent, or are spans of time, remains a list, as does a Go array. Arrays take part in sharing like lists, and cannot be
// keys.
//
// # Security
//
// The taster ([SecurityOptions]) checks the type of an expression before anything is built from it, and user code runs
// only in Unjelly and in Decoder.PersistentLoad. Only what is registered or allowed by name is accepted. No module is
// imported, and no name is looked up in the program.
//
// Decoding takes time linear in the frame and at most 40 bytes of memory for each of its bytes (28 were measured at
// most, for references). [Decoder].Nesting limits the depth of nested values, banana.Limits.Depth that of the Banana
// lists that they become, including the message itself. Whether a value can be a key is determined bottom-up during
// decoding.
//
// Sharing never multiplies work: a value that is mentioned often is decoded, encoded and converted once, for all
// copies in a frame together. The exceptions are strings and numbers, which Jelly cannot share; the sender's frame
// limit bounds those. What must be converted again for each mention (structs and arrays by value, and what caches
// share, since each cache has an actor of its own) may take 128 MiB in all. A Decimal is never expanded.
//
// Malformed input is a [DecodeError], refused input an InsecureJellyError; both have an offset. Neither concerns the
// stream, which continues behind the frame. [Mentions] finds the references that the peer counted in a refused frame.
//
// # Not done
//
// Functions, modules and methods can be encoded, but stock peers cannot send them: their Banana refuses the str that
// their jelly produces.
package jelly
