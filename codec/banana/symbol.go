package banana

import "strconv"

// Symbol is a word of the vocabulary of profile pb: its number on the wire. The zero Symbol is not valid.
type Symbol uint8

// The vocabulary: Jelly's types, PB's additions to them, then PB's messages, with the numbers of twisted.spread.banana.
const (
	SymNone          Symbol = 1  // None
	SymClass         Symbol = 2  // class
	SymDereference   Symbol = 3  // dereference
	SymReference     Symbol = 4  // reference
	SymDictionary    Symbol = 5  // dictionary
	SymFunction      Symbol = 6  // function
	SymInstance      Symbol = 7  // instance
	SymList          Symbol = 8  // list
	SymModule        Symbol = 9  // module
	SymPersistent    Symbol = 10 // persistent
	SymTuple         Symbol = 11 // tuple
	SymUnpersistable Symbol = 12 // unpersistable
	SymCopy          Symbol = 13 // copy
	SymCache         Symbol = 14 // cache
	SymCached        Symbol = 15 // cached
	SymRemote        Symbol = 16 // remote
	SymLocal         Symbol = 17 // local
	SymLCache        Symbol = 18 // lcache
	SymVersion       Symbol = 19 // version
	SymLogin         Symbol = 20 // login
	SymPassword      Symbol = 21 // password
	SymChallenge     Symbol = 22 // challenge
	SymLoggedIn      Symbol = 23 // logged_in
	SymNotLoggedIn   Symbol = 24 // not_logged_in
	SymCacheMessage  Symbol = 25 // cachemessage
	SymMessage       Symbol = 26 // message
	SymAnswer        Symbol = 27 // answer
	SymError         Symbol = 28 // error
	SymDecref        Symbol = 29 // decref
	SymDecache       Symbol = 30 // decache
	SymUncache       Symbol = 31 // uncache
)

// words maps symbols to words.
var words = [...]string{
	SymNone:          "None",
	SymClass:         "class",
	SymDereference:   "dereference",
	SymReference:     "reference",
	SymDictionary:    "dictionary",
	SymFunction:      "function",
	SymInstance:      "instance",
	SymList:          "list",
	SymModule:        "module",
	SymPersistent:    "persistent",
	SymTuple:         "tuple",
	SymUnpersistable: "unpersistable",
	SymCopy:          "copy",
	SymCache:         "cache",
	SymCached:        "cached",
	SymRemote:        "remote",
	SymLocal:         "local",
	SymLCache:        "lcache",
	SymVersion:       "version",
	SymLogin:         "login",
	SymPassword:      "password",
	SymChallenge:     "challenge",
	SymLoggedIn:      "logged_in",
	SymNotLoggedIn:   "not_logged_in",
	SymCacheMessage:  "cachemessage",
	SymMessage:       "message",
	SymAnswer:        "answer",
	SymError:         "error",
	SymDecref:        "decref",
	SymDecache:       "decache",
	SymUncache:       "uncache",
}

const (
	lastSymbol   = SymUncache
	shortestWord = len("None")
	longestWord  = len("not_logged_in")
)

// slots is a perfect hash table of the vocabulary, indexed by slotOf: no two words have the same slot. Every encoded
// string is looked up here, so a miss must be cheap.
var slots = func() (slots [64]Symbol) {
	for s := SymNone; s <= lastSymbol; s++ {
		word := words[s]
		slots[slotOf(word[0], word[len(word)-1], len(word))] = s
	}
	return slots
}()

func slotOf(first, last byte, length int) uint8 {
	return (2*first + 29*last + 13*uint8(length)) % 64
}

// LookupSymbol returns the symbol of the word s, and whether s is a word. It does not allocate.
func LookupSymbol[S string | []byte](s S) (Symbol, bool) {
	n := len(s)
	if n < shortestWord || n > longestWord {
		return 0, false
	}
	sym := slots[slotOf(s[0], s[n-1], n)]
	if words[sym] != string(s) {
		return 0, false
	}
	return sym, true
}

// Valid reports whether s is a word of the vocabulary.
func (s Symbol) Valid() bool { return s >= SymNone && s <= lastSymbol }

// String returns the word, or the number if there is no such word.
func (s Symbol) String() string {
	if s.Valid() {
		return words[s]
	}
	return "Symbol(" + strconv.Itoa(int(s)) + ")"
}
