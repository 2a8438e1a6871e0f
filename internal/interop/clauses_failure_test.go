package interop

import (
	"strings"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
)

func failureClauses() []clause {
	failing := func(kind string) func(*wire.Peer) {
		return func(peer *wire.Peer) {
			peer.Write(message(1, "root", "fail", `[tuple [unicode `+kind+`] [unicode "it broke"]]`))
			peer.Want(`[error 1 ["twisted.spread.pb.CopyableFailure" $failure]]`)
		}
	}
	return []clause{
		{name: "P-6.1 the state of a failure", talk: func(peer *wire.Peer) {
			failing("typed")(peer)
			wantEntry(peer, "type", "conformance.Custom")
			wantEntry(peer, "value", "[unicode it broke]")
			wantParents(peer, "conformance.Custom", "builtins.Exception")
		}},
		{name: "P-6.1 a text of 512 KiB is sent whole", talk: func(peer *wire.Peer) {
			long := strings.Repeat("x", 512<<10)
			peer.Write(message(1, "root", "fail", `[tuple [unicode typed] [unicode `+long+`]]`))
			peer.Want(`[error 1 ["twisted.spread.pb.CopyableFailure" $failure]]`)
			wantEntry(peer, "value", "[unicode "+long+"]")
		}},
		{name: "P-6.1 a text of 512 KiB is taken whole", talk: func(peer *wire.Peer) {
			long := strings.Repeat("x", 512<<10)
			peer.Ignore(`[decref _]`)
			peer.Write(message(1, "root", "callback", `[tuple [remote 7] [unicode anything] [list]]`))
			peer.Want(`[message $id 7 anything 1 [tuple] [dictionary]]`)
			peer.Write(`[error $id ["twisted.spread.pb.CopyableFailure" [dictionary
				[[unicode type] "elsewhere.Odd"] [[unicode value] [unicode ` + long + `]]
				[[unicode parents] [list]] [[unicode traceback] [unicode ""]]]]]`)
			peer.Want(`[error 1 ["twisted.spread.pb.CopyableFailure" $failure]]`)
			wantEntry(peer, "value", "[unicode "+long+"]")
		}},
		{name: "P-6.2 the parents of a plain error", talk: func(peer *wire.Peer) {
			failing("error")(peer)
			wantParents(peer, "builtins.Exception", "builtins.BaseException", "builtins.object")
		}},
		{name: "P-6.3 no traceback crosses", talk: func(peer *wire.Peer) {
			failing("panic")(peer)
			wantEntry(peer, "traceback", "[unicode Traceback unavailable\n]")
		}},
		{name: "P-6.4 a failure that passes through keeps its kind", talk: func(peer *wire.Peer) {
			peer.Ignore(`[decref _]`)
			peer.Write(message(1, "root", "callback", `[tuple [remote 7] [unicode anything] [list]]`))
			peer.Want(`[message $id 7 anything 1 [tuple] [dictionary]]`)
			peer.Write(`[error $id ["twisted.spread.pb.CopyableFailure" [dictionary
				[[unicode type] "elsewhere.Odd"] [[unicode value] [unicode strange]]
				[[unicode parents] [list [unicode "elsewhere.Odd"] [unicode "builtins.Exception"]]]
				[[unicode traceback] [unicode ""]]]]]`)
			peer.Want(`[error 1 ["twisted.spread.pb.CopyableFailure" $failure]]`)
			wantEntry(peer, "type", "elsewhere.Odd")
			wantEntry(peer, "value", "[unicode strange]")
			wantParents(peer, "elsewhere.Odd", "builtins.Exception")
		}},
		{name: "P-6.5 what is refused is InsecureJelly", talk: func(peer *wire.Peer) {
			peer.Write(message(1, "root", "echo", `[tuple ["conformance.Nobody" [dictionary]]]`))
			peer.Want(`[error 1 ["twisted.spread.pb.CopyableFailure" $failure]]`)
			wantEntry(peer, "type", "twisted.spread.jelly.InsecureJelly")
		}},
	}
}

// entry returns the value under a key of the failure's state, which is bound to $failure.
func entry(peer *wire.Peer, key string) banana.Expr {
	state, _ := peer.Var("failure").([]banana.Expr)
	for _, pair := range state {
		pair, ok := pair.([]banana.Expr)
		if ok && len(pair) == 2 && text(pair[0]) == key {
			return unwrapped(pair[1])
		}
	}
	peer.Fatalf("a failure without %q: %s", key, banana.Format(peer.Var("failure")))
	return nil
}

// unwrapped returns the X of [reference n X]; stock shares lists that occur twice.
func unwrapped(e banana.Expr) banana.Expr {
	if list, ok := e.([]banana.Expr); ok && len(list) == 3 && text(list[0]) == "reference" {
		return list[2]
	}
	return e
}

// wantEntry compares an entry with a bare string, or with "[unicode …]" for text.
func wantEntry(peer *wire.Peer, key, want string) {
	got := text(entry(peer, key))
	if inner, ok := strings.CutPrefix(want, "[unicode "); ok {
		want = strings.TrimSuffix(inner, "]")
	}
	if got != want {
		peer.Fatalf("%s is %q and should be %q", key, got, want)
	}
}

// wantParents wants these names among the parents, in this order, as text.
func wantParents(peer *wire.Peer, want ...string) {
	parents, _ := entry(peer, "parents").([]banana.Expr)
	for _, parent := range parents {
		if _, bare := parent.([]byte); !bare && len(want) > 0 && text(parent) == want[0] {
			want = want[1:]
		}
	}
	if len(want) > 0 {
		peer.Fatalf("%q is missing, or out of order, among the parents %s", want[0], banana.Format(parents))
	}
}

// text returns the text of a bare string or of [unicode …].
func text(e banana.Expr) string {
	switch e := e.(type) {
	case []byte:
		return string(e)
	case []banana.Expr:
		if len(e) == 2 && text(e[0]) == "unicode" {
			return text(e[1])
		}
	}
	return ""
}
