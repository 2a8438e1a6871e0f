package jelly

import (
	"sync"

	"github.com/perspectivebroker/pb/codec/banana"
)

// tag is the type of an expression: the word at its head.
type tag uint8

const (
	tagNone tag = iota // no type of Jelly: the name of a class, or malformed
	tagPyNone
	tagBoolean
	tagUnicode
	tagList
	tagTuple
	tagDictionary
	tagSet
	tagFrozenset
	tagReference
	tagDereference
	tagRemote
	tagLocal
	tagCached
	tagLCache
	tagDatetime
	tagDate
	tagTime
	tagTimedelta
	tagDecimal
	tagClass
	tagModule
	tagFunction
	tagMethod
	tagInstance
	tagPersistent
	tagUnpersistable
	// The types of the extended profile. In the others they are names of classes.
	tagArray
	tagPromise
	tagAddress
	tagCount
)

// tagNames are the names on the wire.
var tagNames = [tagCount]string{
	tagPyNone: "None", tagBoolean: "boolean", tagUnicode: "unicode", tagList: "list", tagTuple: "tuple",
	tagDictionary: "dictionary", tagSet: "set", tagFrozenset: "frozenset", tagReference: "reference",
	tagDereference: "dereference", tagRemote: "remote", tagLocal: "local", tagCached: "cached", tagLCache: "lcache",
	tagDatetime: "datetime", tagDate: "date", tagTime: "time", tagTimedelta: "timedelta", tagDecimal: "decimal",
	tagClass: "class", tagModule: "module", tagFunction: "function", tagMethod: "method", tagInstance: "instance",
	tagPersistent: "persistent", tagUnpersistable: "unpersistable",
	tagArray: arrayName, tagPromise: promiseName, tagAddress: addressName,
}

func (t tag) String() string { return tagNames[t] }

// symbolTags maps words of the vocabulary to tags.
var symbolTags = [banana.SymUncache + 1]tag{
	banana.SymNone: tagPyNone, banana.SymClass: tagClass, banana.SymDereference: tagDereference,
	banana.SymReference: tagReference, banana.SymDictionary: tagDictionary, banana.SymFunction: tagFunction,
	banana.SymInstance: tagInstance, banana.SymList: tagList, banana.SymModule: tagModule,
	banana.SymPersistent: tagPersistent, banana.SymTuple: tagTuple, banana.SymUnpersistable: tagUnpersistable,
	banana.SymCached: tagCached, banana.SymRemote: tagRemote, banana.SymLocal: tagLocal, banana.SymLCache: tagLCache,
}

// tagOf returns the tag of a token, a word of the vocabulary or spelled out.
func tagOf(t *banana.Token) tag {
	if t.Kind == banana.Vocab {
		if t.Int < int64(len(symbolTags)) {
			return symbolTags[t.Int]
		}
		return tagNone
	}
	switch string(t.Bytes) {
	case "unicode":
		return tagUnicode
	case "boolean":
		return tagBoolean
	case "set":
		return tagSet
	case "frozenset":
		return tagFrozenset
	case "datetime":
		return tagDatetime
	case "date":
		return tagDate
	case "time":
		return tagTime
	case "timedelta":
		return tagTimedelta
	case "decimal":
		return tagDecimal
	case "method":
		return tagMethod
	}
	if s, ok := banana.LookupSymbol(t.Bytes); ok {
		return symbolTags[s]
	}
	return tagNone
}

// promiseName is the type of a promise, [promise id].
const promiseName = "promise"

// extendedTag returns the tag of a word that is a type in the extended profile only.
func extendedTag(word []byte) tag {
	switch string(word) {
	case arrayName:
		return tagArray
	case promiseName:
		return tagPromise
	case addressName:
		return tagAddress
	}
	return tagNone
}

// allowedTags returns which types a taster allows; nil means DefaultSecurity.
func allowedTags(s *SecurityOptions) [tagCount]bool {
	if s == nil {
		return defaultTags()
	}
	return s.allowedTags()
}

// defaultTags is computed once: each call that was passed on undecoded gets a Decoder of its own.
var defaultTags = sync.OnceValue(func() [tagCount]bool { return DefaultSecurity().allowedTags() })

func (s *SecurityOptions) allowedTags() (allowed [tagCount]bool) {
	for t := tagNone + 1; t < tagCount; t++ {
		allowed[t] = s.TypeAllowed(tagNames[t])
	}
	// Whoever accepts lists accepts the same numbers as an array, and whoever accepts references to this side's objects
	// accepts one that is promised. The dialect decides which form the peer sends.
	allowed[tagArray] = allowed[tagArray] || allowed[tagList]
	allowed[tagPromise] = allowed[tagPromise] || allowed[tagLocal]
	return allowed
}
