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

// slots is a perfect hash table of the vocabulary, indexed by slotOf. (Two words with one slot would not compile.)
// Every encoded string is looked up here, so a miss must be cheap.
var slots = [64]Symbol{
	(2*'N' + 29*'e' + 13*4) % 64:  SymNone,
	(2*'c' + 29*'s' + 13*5) % 64:  SymClass,
	(2*'d' + 29*'e' + 13*11) % 64: SymDereference,
	(2*'r' + 29*'e' + 13*9) % 64:  SymReference,
	(2*'d' + 29*'y' + 13*10) % 64: SymDictionary,
	(2*'f' + 29*'n' + 13*8) % 64:  SymFunction,
	(2*'i' + 29*'e' + 13*8) % 64:  SymInstance,
	(2*'l' + 29*'t' + 13*4) % 64:  SymList,
	(2*'m' + 29*'e' + 13*6) % 64:  SymModule,
	(2*'p' + 29*'t' + 13*10) % 64: SymPersistent,
	(2*'t' + 29*'e' + 13*5) % 64:  SymTuple,
	(2*'u' + 29*'e' + 13*13) % 64: SymUnpersistable,
	(2*'c' + 29*'y' + 13*4) % 64:  SymCopy,
	(2*'c' + 29*'e' + 13*5) % 64:  SymCache,
	(2*'c' + 29*'d' + 13*6) % 64:  SymCached,
	(2*'r' + 29*'e' + 13*6) % 64:  SymRemote,
	(2*'l' + 29*'l' + 13*5) % 64:  SymLocal,
	(2*'l' + 29*'e' + 13*6) % 64:  SymLCache,
	(2*'v' + 29*'n' + 13*7) % 64:  SymVersion,
	(2*'l' + 29*'n' + 13*5) % 64:  SymLogin,
	(2*'p' + 29*'d' + 13*8) % 64:  SymPassword,
	(2*'c' + 29*'e' + 13*9) % 64:  SymChallenge,
	(2*'l' + 29*'n' + 13*9) % 64:  SymLoggedIn,
	(2*'n' + 29*'n' + 13*13) % 64: SymNotLoggedIn,
	(2*'c' + 29*'e' + 13*12) % 64: SymCacheMessage,
	(2*'m' + 29*'e' + 13*7) % 64:  SymMessage,
	(2*'a' + 29*'r' + 13*6) % 64:  SymAnswer,
	(2*'e' + 29*'r' + 13*5) % 64:  SymError,
	(2*'d' + 29*'f' + 13*6) % 64:  SymDecref,
	(2*'d' + 29*'e' + 13*7) % 64:  SymDecache,
	(2*'u' + 29*'e' + 13*7) % 64:  SymUncache,
}

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
