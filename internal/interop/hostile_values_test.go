package interop

import (
	"fmt"
	"strings"

	"github.com/perspectivebroker/pb/internal/wire"
)

func echoes(value string) string {
	return fmt.Sprintf(`[message 1 root echo 1 [tuple %s] [dictionary]]`, value)
}

// takes is a call with a value that the server accepts.
func takes(name, value string) stream {
	return stream{name: name, then: served, play: func(p *wire.Peer) {
		p.Write(echoes(value))
		p.Want(`[answer 1 _]`)
	}}
}

// values are invalid Jelly, or expand to more than their size.
func values() []stream {
	many := func(n int, each string) string { return strings.Repeat(each+" ", n) }
	billion := "[reference 1 [list x x]]"
	for i := 2; i <= 60; i++ {
		billion = fmt.Sprintf("[reference %d [list %s [dereference %d]]]", i, billion, i-1)
	}
	return []stream{
		refused("a dereference of nothing", echoes(`[dereference 5]`)),
		refused("a dereference of a word", echoes(`[dereference x]`)),
		refused("a dereference without an id", echoes(`[dereference]`)),
		refused("two references with one id", echoes(`[list [reference 1 [list]] [reference 1 [list]]]`)),
		refused("a reference to nothing", echoes(`[reference 1]`)),
		refused("a reference whose id is a list", echoes(`[reference [list] [list]]`)),
		takes("a list that holds itself", `[reference 1 [list [dereference 1]]]`),
		takes("shared lists of 2^60 leaves", billion),
		refused("a value nested five thousand deep", echoes(many(5000, `[list`)+strings.Repeat("]", 5000))),
		refused("a dictionary with a list for a key", echoes(`[dictionary [[list] 1]]`)),
		refused("a dictionary with half a pair", echoes(`[dictionary [1]]`)),
		refused("a dictionary with three of a pair", echoes(`[dictionary [1 2 3]]`)),
		refused("a dictionary of numbers", echoes(`[dictionary 1 2 3]`)),
		refused("a set of dictionaries", echoes(`[set [dictionary]]`)),
		refused("a text that is no UTF-8", echoes(`[unicode "\xff\xfe\xfd"]`)),
		refused("a text that is a number", echoes(`[unicode 5]`)),
		takes("a text of two, of which stock reads one", `[unicode a b]`),
		refused("a date that does not exist", echoes(`[date "2026 13 45"]`)),
		refused("a date of words", echoes(`[date "the day before yesterday"]`)),
		refused("a time of too many fields", echoes(`[time "1 2 3 4 5 6"]`)),
		refused("a datetime of lists", echoes(`[datetime [list]]`)),
		refused("a timedelta of words", echoes(`[timedelta "a b c"]`)),
		refused("a decimal of words", echoes(`[decimal x y]`)),
		refused("a decimal of one part", echoes(`[decimal 1]`)),
		takes("a decimal with an exponent of a billion", `[decimal 1 1000000000]`),
		refused("an unknown type", echoes(`[frobnicate 1]`)),
		refused("a type that is a number", echoes(`[5 1]`)),
		refused("an empty list for a value", echoes(`[]`)),
		takes("a None with something in it, as with stock", `[None 1]`),
		refused("a boolean that is neither", echoes(`[boolean perhaps]`)),
		refused("a remote without an id", echoes(`[remote]`)),
		refused("a remote with a word for an id", echoes(`[remote x]`)),
		refused("a cached with a word for an id", echoes(`[cached x]`)),
		refused("a local that is not here", echoes(`[local 4711]`)),
		refused("a local of a name that is not published", echoes(`[local cellar]`)),
		refused("an lcache that is not here", echoes(`[lcache 4711]`)),
		refused("a cached that never came", echoes(`[cached 4711]`)),
		takes("a tuple of ten thousand numbers", `[tuple `+many(10_000, "1")+`]`),
		{name: "keywords by the thousand", then: served, play: func(p *wire.Peer) {
			var b strings.Builder
			for i := range 5000 {
				fmt.Fprintf(&b, "[[unicode k%d] 1]", i)
			}
			p.Write(`[message 1 root kwargs 1 [tuple] [dictionary ` + b.String() + `]]`)
			p.Want(`[answer 1 _]`)
		}},
	}
}

// classes would run code, or arrive as another class.
func classes() []stream {
	point := func(name, class, state string) stream {
		return refused(name, fmt.Sprintf(`[message 1 root takePoint 1 [tuple [%s %s]] [dictionary]]`, class, state))
	}
	pond := func(name, state string) stream {
		return stream{name: name, then: served, play: func(p *wire.Peer) {
			p.Write(fmt.Sprintf(`[message 1 root takePond 1 [tuple [conformance.Pond 1 %s]] [dictionary]]`, state))
			p.Want(`[decache 1]`, `[error 1 ...]`) // The peer has counted it, so the server returns it.
			p.Write(`[uncache 1]`)
		}}
	}
	return []stream{
		refused("a module", echoes(`[module os]`)),
		refused("a function", echoes(`[function os.system]`)),
		refused("a class", echoes(`[class subprocess.Popen]`)),
		refused("a method", echoes(`[method system [module os] [class os]]`)),
		takes("a persistent id, which nobody loads", `[persistent 5]`),
		refused("an old instance", echoes(`[instance [class os.X] [dictionary]]`)),
		refused(
			"a class that is not registered",
			echoes(`["os.System" [dictionary [[unicode command] [unicode "rm -rf /"]]]]`),
		),
		refused("a copy of a cache", echoes(`["conformance.Pond" [list]]`)),
		point("a point of another class", "conformance.Line", `[dictionary]`),
		point("a point with a list for a state", "conformance.Point", `[list 1 2]`),
		point("a point without a state", "conformance.Point", ``),
		pond("a pond with a number for a state", `5`),
		pond("a pond with words for items", `[dictionary]`),
		{name: "a pond that comes twice under one id", then: served, play: func(p *wire.Peer) {
			p.Ignore(`[decache 1]`)
			p.Write(
				`[message 1 root takePond 1 [tuple [conformance.Pond 1 [list 1]]] [dictionary]]`,
				`[message 2 root takePond 1 [tuple [conformance.Pond 1 [list 2]]] [dictionary]]`,
				`[message 3 root pondState 1 [tuple] [dictionary]]`,
			)
			p.Want(`[answer 1 [None]]`, `[answer 2 [None]]`, `[answer 3 [list 2]]`) // The later one wins, as with stock.
		}},
		{name: "an update that the cache does not know", then: served, play: func(p *wire.Peer) {
			p.Write(`[message 1 root takePond 1 [tuple [conformance.Pond 1 [list]]] [dictionary]]`)
			p.Want(`[answer 1 [None]]`)
			p.Write(`[cachemessage 2 1 drain 1 [tuple] [dictionary]]`)
			p.Want(`[error 2 ...]`)
		}},
	}
}
