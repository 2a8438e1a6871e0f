package command

import (
	"math/big"

	"github.com/perspectivebroker/pb/codec/banana"
)

// ProtocolVersion is the only version of PB (P-2.3).
const ProtocolVersion = 6

// Name is the name of a command.
type Name uint8

// The commands, each with its bytes in dialect pb. In dialect none, a name is spelled out as a string. In place of an
// id that is shown as 01 81 stands an integer of any size.
const (
	// Unknown is any command that is not in the table. It is answered with DidNotUnderstand.
	Unknown Name = iota

	// Version is the first command of each side (P-2.3).
	//
	//	[version 6]
	//	02 80  13 87  06 81
	Version

	// DidNotUnderstand answers an unknown command (P-4.7). Its name is not in the vocabulary.
	//
	//	[didNotUnderstand command]
	//	02 80  10 82 "didNotUnderstand"  07 82 "command"
	DidNotUnderstand

	// Message calls a method (P-4.1).
	//
	//	[message id object method answerRequired arguments keywords]
	//	07 80  1a 87  01 81  04 82 "root"  03 82 "add"  01 81  <arguments>  <keywords>
	Message

	// CacheMessage updates a cache, or calls a method of one (P-7.3). Its object is the id of the cache.
	//
	//	[cachemessage id object method answerRequired arguments keywords]
	//	07 80  19 87  01 81  09 81  03 82 "add"  00 81  <arguments>  <keywords>
	CacheMessage

	// Answer is the result of a Message or CacheMessage (P-4.2).
	//
	//	[answer id result]
	//	03 80  1b 87  01 81  <result>
	Answer

	// Error is the failure of a Message or CacheMessage (P-4.3).
	//
	//	[error id failure]
	//	03 80  1c 87  01 81  <failure>
	Error

	// Decref gives back one mention of an object (P-5.3).
	//
	//	[decref id]
	//	02 80  1d 87  01 81
	Decref

	// Decache gives back one mention of a Cacheable (P-7.4).
	//
	//	[decache id]
	//	02 80  1e 87  01 81
	Decache

	// Uncache says that a cache is not updated any more (P-7.4).
	//
	//	[uncache id]
	//	02 80  1f 87  01 81
	Uncache

	// Cancel says that the caller does not want the answer to a request any more (P-9.9). Dialect pb+1 only.
	//
	//	[cancel id]
	//	02 80  06 82 "cancel"  01 81
	Cancel

	// Goaway asks for no new calls, because this side is about to close (P-9.14). Dialect pb+1 only.
	//
	//	[goaway text]
	//	02 80  06 82 "goaway"  04 82 "text"
	Goaway

	// Settled says that the result of a request will not be named any more (P-11.6). Dialect pb+1 only.
	//
	//	[settled id]
	//	02 80  07 82 "settled"  01 81
	Settled
)

// form is the form of a command.
type form struct {
	symbol   banana.Symbol // of the name; 0 if the vocabulary does not have it
	name     string        // if the vocabulary does not have it
	elements []element     // those behind the name
	extended bool          // the command belongs to dialect pb+1 only
}

// in reports whether a command with this form may occur in dialect p.
func (f *form) in(p banana.Profile) bool { return !f.extended || p.IsExtended() }

// sizes returns how many elements may stand behind the name in dialect p. From most on an element may be missing at the
// end.
func (f *form) sizes(p banana.Profile) (least, most int) {
	least = len(f.elements)
	if least > 0 && f.elements[least-1].kind == metadata {
		least--
	}
	if p.IsExtended() {
		return least, len(f.elements)
	}
	return least, least
}

// element is one element of a command.
type element struct {
	name string // in errors
	kind kind
}

// kind is what an element may be, and where it goes.
type kind uint8

const (
	count    kind = iota // an integer below 2^63: Command.ID
	number               // an integer of any size: Command.ID
	object               // an integer of any size, a string, or under pb+1 [promise id]: Command.Object
	method               // a string: Command.Method
	flag                 // an integer: Command.WantsAnswer, and under pb+1 Command.Keep
	word                 // a string that ReadWord reads
	value                // a value in Jelly that the caller reads
	metadata             // a value in Jelly that may be missing, and belongs to dialect pb+1: Command.HasMetadata
)

// forms is the table of commands.
var forms = [...]form{
	Version:          {symbol: banana.SymVersion, elements: []element{{"version", count}}},
	DidNotUnderstand: {name: "didNotUnderstand", elements: []element{{"command", word}}},
	Message:          {symbol: banana.SymMessage, elements: call},
	CacheMessage:     {symbol: banana.SymCacheMessage, elements: call},
	Answer:           {symbol: banana.SymAnswer, elements: []element{{"request id", number}, {"result", value}}},
	Error:            {symbol: banana.SymError, elements: []element{{"request id", number}, {"failure", value}}},
	Decref:           {symbol: banana.SymDecref, elements: []element{{"id", count}}},
	Decache:          {symbol: banana.SymDecache, elements: []element{{"id", count}}},
	Uncache:          {symbol: banana.SymUncache, elements: []element{{"id", count}}},
	Cancel:           {name: "cancel", elements: []element{{"request id", number}}, extended: true},
	Goaway:           {name: "goaway", elements: []element{{"text", word}}, extended: true},
	Settled:          {name: "settled", elements: []element{{"request id", number}}, extended: true},
}

var call = []element{
	{"request id", number},
	{"object", object},
	{"method", method},
	{"answerRequired", flag},
	{"arguments", value},
	{"keywords", value},
	{"metadata", metadata},
}

// String returns the name as it is on the wire, and "unknown" for Unknown.
func (n Name) String() string {
	switch {
	case n == Unknown || int(n) >= len(forms):
		return "unknown"
	case forms[n].symbol != 0:
		return forms[n].symbol.String()
	}
	return forms[n].name
}

// lookup finds the command that a token names in dialect p.
func lookup(token *banana.Token, p banana.Profile) Name {
	if symbol, ok := token.Symbol(); ok {
		return bySymbol[symbol]
	}
	for n := range forms {
		if name := forms[n].name; name != "" && token.TextIs(name) && forms[n].in(p) {
			return Name(n)
		}
	}
	return Unknown
}

var bySymbol = func() (names [256]Name) {
	for n := range forms {
		names[forms[n].symbol] = Name(n)
	}
	names[0] = Unknown
	return names
}()

// Command is a command without its values. Which fields are set depends on Name.
type Command struct {
	Name        Name
	WantsAnswer bool   // of Message and CacheMessage: answerRequired is not 0
	Keep        bool   // of Message: answerRequired is 2, so the result may be named later (P-11.1)
	HasMetadata bool   // of Message and CacheMessage: metadata stands behind the values
	ID          Number // the request id, which may have any size, the version, or the id of the object or cache
	Object      Object // of Message and CacheMessage
	Method      string // of Message and CacheMessage
}

// IsCall reports whether the command calls a method.
func (c *Command) IsCall() bool { return c.Name == Message || c.Name == CacheMessage }

// Values returns how many values are at the end of the command, in front of metadata.
func (c *Command) Values() (n int) {
	for _, e := range forms[c.Name].elements {
		if e.kind == value {
			n++
		}
	}
	return n
}

// Number is an integer of any size. If Big is not nil it counts, and has more than 64 bits; otherwise Int counts.
type Number struct {
	Int int64
	Big *big.Int
}

// Object names the object of a call: by Name, or by ID if Name is empty.
type Object struct {
	ID      Number
	Name    string
	Promise bool // ID is that of the request whose result is the object
}

// promiseWord is the name of [promise id], which may stand for an object and in arguments.
const promiseWord = "promise"
