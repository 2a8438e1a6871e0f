package interop

import (
	"fmt"
	"strings"

	"github.com/perspectivebroker/pb/internal/wire"
)

// echoed are values whose encoding is echoed unchanged.
func echoed() map[string][]string {
	return map[string][]string{
		"P-3.1 bare values": {`1`, `-1.5`, `"bytes"`, `""`},
		"P-3.2 None, truth and text": {
			`[None]`, `[boolean "true"]`, `[boolean "false"]`, `[unicode "gr\u00fc\u00df dich"]`, `[unicode ""]`,
		},
		"P-3.3 containers": {
			`[list]`, `[list 1 [list 2]]`, `[tuple]`, `[tuple 1 [unicode a]]`, `[dictionary]`,
			`[dictionary [1 2]]`, `[dictionary [[unicode k] [list [None]]]]`, `[set 1]`, `[frozenset "a"]`,
		},
		"P-3.4 times and decimals": {
			`[datetime "2024 2 29 23 59 58 123456"]`, `[date "1970 1 1"]`, `[time "1 2 3 4"]`, `[timedelta "-3 7 9"]`,
			`[decimal -123400 -4]`, `[decimal 0 0]`,
		},
		"P-3.5 shared values": {
			`[reference 1 [list [dereference 1]]]`,
			`[list [reference 1 [list 1]] [dereference 1] [dereference 1]]`,
			`[list [reference 2 [list a]] [reference 1 [list b]] [dereference 1] [dereference 2]]`,
			`[reference 1 [dictionary [me [dereference 1]]]]`,
			`[list [reference 1 [tuple a]] [dereference 1]]`,
		},
	}
}

func jellyClauses() []clause {
	var clauses []clause
	for name, values := range echoed() {
		for _, value := range values {
			clauses = append(clauses, clause{name: name + " " + value, talk: func(peer *wire.Peer) {
				peer.Write(`[message 1 root echo 1 [tuple ` + value + `] [dictionary]]`)
				peer.Want(`[answer 1 ` + value + `]`)
			}})
		}
	}
	for name, malformed := range map[string]string{
		"P-3.9 an empty list":                `[]`,
		"P-3.9 a type that nobody knows":     `[nonsense 1]`,
		"P-3.9 half a pair":                  `[dictionary [1]]`,
		"P-3.9 half of UTF-8":                `[unicode "\xc3"]`,
		"P-3.9 an hour of 25":                `[time "25 0 0 0"]`,
		"P-3.9 an id twice":                  `[list [reference 1 [list]] [reference 1 [list]]]`,
		"P-3.9 a list as key":                `[dictionary [[list] 1]]`,
		"P-3.8 a class that nobody knows":    `["conformance.Nobody" [dictionary]]`,
		"P-3.8 a module that nobody allowed": `[module os]`,
		"P-3.8 a class of the runtime's":     `[class "os.system"]`,
	} {
		clauses = append(clauses, clause{name: name, talk: func(peer *wire.Peer) {
			peer.Write(`[message 1 root echo 1 [tuple ` + malformed + `] [dictionary]]`)
			peer.Want(`[error 1 ["twisted.spread.pb.CopyableFailure" _]]`)
			peer.WantIdle()
		}})
	}
	return append(clauses,
		clause{name: "P-3.6 arguments and keywords are numbered apart", talk: func(peer *wire.Peer) {
			peer.Write(`[message 1 root kwargs 1
				[tuple [reference 1 [list a]] [dereference 1]]
				[dictionary [[unicode k] [tuple [reference 1 [list b]] [dereference 1]]]]]`)
			peer.Want(`[answer 1 [list [list [reference 1 [list a]] [dereference 1]]
				[dictionary [[unicode k] [tuple [reference 2 [list b]] [dereference 2]]]]]]`)
		}},
		clause{name: "P-3.7 a dereference may come before its reference", talk: func(peer *wire.Peer) {
			peer.Write(`[message 1 root echo 1 [tuple [list [dereference 5] [reference 5 [list a]]]] [dictionary]]`)
			peer.Want(`[answer 1 [list [reference 1 [list a]] [dereference 1]]]`)
		}},
		clause{name: "P-3.10 values are nested as deep as users need", talk: func(peer *wire.Peer) {
			twice := "[list a]"
			for i := range 150 {
				twice = fmt.Sprintf("[list [reference %d %s] [dereference %[1]d]]", 150-i, twice)
			}
			for i, deep := range []string{
				strings.Repeat("[dictionary [[unicode k] ", 200) + "1" + strings.Repeat("]]", 200),
				strings.Repeat("[list ", 250) + strings.Repeat("]", 250),
				strings.Repeat("[tuple ", 250) + "1" + strings.Repeat("]", 250),
				strings.Repeat("[frozenset ", 200) + "1" + strings.Repeat("]", 200),
				twice,
			} {
				peer.Write(message(i+1, "root", "echo", "[tuple "+deep+"]"))
				peer.Want(fmt.Sprintf(`[answer %d _]`, i+1))
			}
		}},
		clause{name: "P-3.10 nesting without end is an error", talk: func(peer *wire.Peer) {
			const deep = 5000
			peer.WriteBytes(echo(strings.Repeat("\x02\x80\x08\x87", deep) + "\x00\x81"))
			peer.Want(`[error 1 ["twisted.spread.pb.CopyableFailure" _]]`)
			peer.WantIdle()
		}},
	)
}

// message is a call that wants an answer and has no keywords.
func message(id int, object, method, args string) string {
	return fmt.Sprintf(`[message %d %s %s 1 %s [dictionary]]`, id, object, method, args)
}
