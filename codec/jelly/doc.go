// Package jelly turns Go values into Jelly, the object serialization of
// Perspective Broker, and back. It knows types, sharing and circles, which classes
// may come in, and how what came in is converted to the types of a Go program. It knows nothing of
// connections: what only a connection can write is left as a hole in a [Fragment],
// and what only a connection or a class can supply comes out of a [Decoder] as an [Unbound].
// It depends on the standard library and on codec/banana.
//
// # Sending
//
// A [Fragment] takes values with Jelly, JellyTuple and JellyKw, in the goroutine of whoever
// has them, and is copied out by whoever owns the connection:
//
//	f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
//	err := f.JellyTuple([]any{1, "two"})
//	frame, err := f.Append(frame, fillHoles)
//	f.Free()
//
// What becomes of a Go value:
//
//	Go                                     Jelly
//	nil, nil pointers                      [None]
//	bool                                   [boolean "true"]
//	all integers, big.Int                  an integer, up to 448 bits
//	float32, float64                       a float
//	string                                 [unicode utf8]; must be valid UTF-8
//	[]byte, [N]byte                        a string, which Python calls bytes
//	slices, arrays                         [list …]; nil slices are empty lists
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
//	Jellyable                              what its JellyTo method writes; of a struct by value, that of its pointer
//
// Named types go by their underlying kind. Interfaces and pointers are followed. Everything else is refused with an
// [InsecureJellyError] that says where it was found: "args[1].Owner.File: *os.File is not
// transferable".
//
// Of a struct only the fields with a tag cross: `pb:"name"`, or `pb:"name,omitempty"` to leave
// it out where it is empty, or `pb:",omitempty"` to keep Go's name. Embedded structs without a
// tag are flattened. A struct without any tag is not transferable: what was not
// meant to leave the program does not.
//
// What is lost: the time zone of a time.Time, and what is below a microsecond; the
// types of integers, floats and strings; the difference between nil and empty for slices
// and maps; the sign of a decimal zero.
//
// # Receiving
//
// A [Decoder] makes of an expression a value of these types:
//
//	nil, bool, int64, *big.Int (beyond 64 bits), float64, string, []byte,
//	[]any, Tuple, *Dict, *Set, *FrozenSet, time.Time (UTC), time.Duration,
//	Timedelta (beyond 292 years), Date, TimeOfDay, *Decimal, Class, Module,
//	Function, *Method, Persistent, Unpersistable, *Instance, *Unbound
//
// [Assign] converts such a value to any Go type that can hold it. What has the right type is
// taken as it is. Integers are checked for range; floats take integers; strings and
// []byte take each other's place, if the bytes are UTF-8, because Python 2 peers send
// bytes for text; lists, tuples and sets become slices and arrays, dictionaries maps
// and structs, sets maps of empty structs; None becomes a nil pointer, slice, map or
// interface and nothing else; TextUnmarshalers take text; an object of a registered class goes where
// a pointer to its struct is wanted, and is copied where the struct is. A mismatch is an [AssignError]
// that names both types and the place: "cannot use str as int at [2].name".
//
// Each Unbound must be bound before the value is handed on. Those for references
// are bound by the connection; for objects of registered classes there is [Unjelly], which makes
// them, gives them their state and keeps identity and circles. A frame without Unbounds
// is ready at once.
//
// # Printing
//
// What a peer sent is a graph: it may contain itself, or reach one part 2^60 times in a few hundred bytes. Print it
// with [Format], or in log lines with [Formatted]. Their text is bounded, on one line, and escaped. Do not give decoded
// values to the verbs of package fmt (%v and the like), to encoding/json, to reflect.DeepEqual or to zerolog's
// Interface. Tuple, *Dict and the other types of this package implement fmt.Formatter and json.Marshaler and so are
// bounded there, but a []any cannot be, and a struct with a field of type any is not.
//
// # Encoding details
//
// The bytes are those that Twisted's jelly would make. An object, that is a list, tuple,
// dictionary, set or instance, that is met a second time in one call is written there as
// [dereference n], and its first mention is wrapped as [reference n …]. n counts
// from 1 in the order of second meetings.
//
//	x := []any{5}
//	[]any{x, x}         [list [reference 1 [list 5]] [dereference 1]]
//
// In Go an object is what lies in one place: pointers, maps, and slices of the same memory,
// length and type. Strings and numbers are never shared. An empty slice is an object
// only if it has capacity, and a Decoder sees to it that shared empty lists have.
//
// Wrapping is an insertion in front of what has been written already, because Banana's
// lists have a count and no end. So a fragment is bytes and a sorted list of insertions.
//
// The receiving side is as lenient as Twisted's, and the tests compare the two: elements behind those that a type needs
// are passed over; references may come after they are mentioned; words may be spelled out. It differs in a few cases,
// on purpose:
//
//   - A pair of a dictionary must be a list of two. (Twisted unpacks a string of two bytes.)
//   - [persistent id] without a PersistentLoad becomes a Persistent, which keeps the
//     id. (Twisted: an Unpersistable.)
//   - Equal keys and members are kept. Dict.Get finds the last, as in Python; in Go maps the last wins too.
//   - An object that is a key within its own state is accepted, which Twisted sends but does not
//     understand. The same goes for a tuple that contains something around it and is mentioned twice.
//   - A number above 2^59 in a date or a timedelta is refused. (Twisted takes one that its
//     normal form makes small enough; no program sends it.)
//
// # Security
//
// The taster ([SecurityOptions]) is asked about the type of an expression before anything is
// built of it, and user code runs in Unjelly only. Nothing that is not registered, or allowed by
// name, can come in; no module is ever imported and no name is looked up in the program.
//
// Decoding takes time linear in the frame and memory of at most 40 bytes for each byte of it (28 is the most that was
// measured, for references). [Decoder].Nesting limits how deep values are nested, banana.Limits.Depth the lists of
// Banana that they become, the message's own included. Whether something can be a key is found on the way, from the
// bottom up. Sharing never multiplies work: what is mentioned often is decoded, encoded and converted once, for all
// copies of a frame together, but for strings and numbers, which Banana cannot share; there the frame limit of the
// sending side ends what a peer may make us write. What has to be converted anew for each mention, such as structs and
// arrays by value, and what caches share, each of which lives in an actor of its own, may take 128 MiB and not more. A
// Decimal is never expanded.
//
// Malformed input is a [DecodeError], what is refused an InsecureJellyError, both with the offset. Neither
// concerns the stream: it goes on behind the frame. What the peer counted as sent in a
// refused frame is found by [Mentions].
//
// # Not done
//
// Jelly for functions, modules and methods can be written, though no stock peer can: its
// Banana refuses the str that its jelly puts there.
package jelly
