package gen

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const old = `//pb:interface Shop
//pb:method find(name: str, max: int) -> Article
//pb:method put(a: Article)
//pb:method send(name: str, to: list[Address]) -> int
//pb:method order(name: str, *, n: int, note: str = ...)
//pb:method names(*: str) -> list[str]
//pb:method more(**)
//pb:method keep(k: ref[Keeper]) -> (int, str)
//pb:method deep(l: List, d: dict[str, set[int8]?])
//pb:interface Keeper
//pb:method told()
//pb:type Address dict {city: str, next: Address?}
//pb:type Article copy {name: str, cents: int32}
//pb:type List is list[List]
`

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"nothing":           {"", "", ""},
		"method added":      {"//pb:method put", "//pb:method get() -> int\n//pb:method put", ""},
		"method removed":    {"//pb:method put(a: Article)\n", "", "Shop.put was removed"},
		"interface renamed": {"interface Shop", "interface Store", "interface Shop was removed"},
		"class": {"interface Keeper", "interface Keeper a.K",
			`Keeper: references carry the class "a.K" instead of ""`},
		"type changed":  {"max: int)", "max: str)", "Shop.find: parameter max was int and is str"},
		"type narrowed": {"max: int)", "max: int8)", "Shop.find: parameter max was int and is int8"},
		"sign":          {"max: int)", "max: uint)", "Shop.find: parameter max was int and is uint"},
		"to a float":    {"max: int)", "max: float)", ""},
		"to any":        {"max: int)", "max: any)", ""},
		"to a pointer":  {"max: int)", "max: int?)", ""},
		"nested":        {"set[int8]?", "set[int16]?", ""},
		"nested, narrower": {"set[int8]?", "set[int8]",
			"Shop.deep: parameter d was dict[str, set[int8]?] and is dict[str, set[int8]]"},
		"unrolled":          {"l: List,", "l: list[list[List]],", ""},
		"recursive":         {"l: List,", "l: list[str],", "Shop.deep: parameter l was List and is list[str]"},
		"parameter removed": {"name: str, max: int)", "name: str)", "Shop.find: parameter max was removed"},
		"parameter added":   {"max: int)", "max: int, min: int)", "Shop.find: parameter min: int was added, and is required"},
		"parameter renamed": {"max: int)", "most: int)",
			"Shop.find: parameter max is called most, and clients may pass it by name"},
		"exchanged": {"name: str, max: int", "max: int, name: str",
			"Shop.find: parameter name was str and is int"},
		"moved": {"put(a: Article)", "put(b: Article, a: Article)",
			"Shop.put: parameter a was number 1 and is number 2"},
		"optional added":    {"max: int)", "max: int, *, a: int = ...)", ""},
		"required added":    {"max: int)", "max: int, *, a: int)", "Shop.find: keyword a: int was added, and is required"},
		"variadic added":    {"max: int)", "max: int, *: int)", ""},
		"to variadic":       {"name: str, max: int)", "name: str, *: int)", ""},
		"to other variadic": {"name: str, max: int)", "name: str, *: str)", "Shop.find: parameter max was int and is str"},
		"variadic removed":  {"names(*: str)", "names()", "Shop.names: the variadic parameter was removed"},
		"variadic changed":  {"names(*: str)", "names(*: int)", "Shop.names: the variadic parameter was str and is int"},
		"keyword removed":   {", note: str = ...", "", "Shop.order: keyword note was removed"},
		"keyword absorbed":  {", note: str = ...", ", **", ""},
		"keyword required":  {"note: str = ...", "note: str", "Shop.order: keyword note is required now"},
		"keyword optional":  {"n: int,", "n: int = ...,", ""},
		"keyword changed":   {"n: int,", "n: bool,", "Shop.order: keyword n was int and is bool"},
		"rest removed":      {"more(**)", "more()", "Shop.more: other keywords are not accepted any more"},
		"result changed":    {"-> list[str]", "-> list[int]", "Shop.names: the result was list[str] and is list[int]"},
		"result removed":    {" -> list[str]", "", "Shop.names: the result was list[str] and is nothing"},
		"result added":      {"told()", "told() -> int", ""},
		"results":           {"(int, str)", "int", "Shop.keep: the result was (int, str) and is int"},
		"result any":        {"-> list[str]", "-> any", "Shop.names: the result was list[str] and is any"},
		"object":            {"ref[Keeper]", "ref", "Shop.keep: parameter k was ref[Keeper] and is ref"},
		"other object":      {"ref[Keeper]", "ref[Shop]", "Shop.keep: parameter k was ref[Keeper] and is ref[Shop]"},
		"field added":       {"{name: str", "{more: int, name: str", ""},
		"field removed": {", cents: int32", "",
			"Shop.find: the result was Article and is Article, but field cents of Article is missing"},
		"field widened": {"cents: int32", "cents: int",
			"Shop.find: the result was Article and is Article, but field cents of Article is int in one and int32 in the other"},
		"struct field": {"city: str", "city: int",
			"Shop.send: parameter to was list[Address] and is list[Address], but field city of Address is str in one and " +
				"int in the other"},
		"struct renamed": {"Address", "Place", ""},
		"copy renamed":   {"Article", "Ware", "Shop.put: parameter a was Article and is Ware"},
		"no struct":      {"list[Address]", "list[int]", "Shop.send: parameter to was list[Address] and is list[int]"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, old, c.from)
			before, err := ParseContract(old)
			require.NoError(t, err)
			after, err := ParseContract(strings.ReplaceAll(old, c.from, c.to))
			require.NoError(t, err)
			broken := Check(before, after)
			if c.want == "" {
				assert.Empty(t, broken)
				return
			}
			assert.Contains(t, broken, c.want)
		})
	}
}

// TestSignatureText wants each signature read back as it was written.
func TestSignatureText(t *testing.T) {
	name := rapid.StringMatching(`[a-z_]{1,6}`)
	typ := rapid.SampledFrom([]string{"int", "str?", "list[dict[str, int]]", "ref[A]", "list[int, 3]", "Page[int]", "any"})
	rapid.Check(t, func(t *rapid.T) {
		s := &Signature{Name: name.Draw(t, "name"), Rest: rapid.Bool().Draw(t, "rest")}
		for range rapid.IntRange(0, 3).Draw(t, "params") {
			s.Params = append(s.Params, Member{name.Draw(t, "param"), typ.Draw(t, "type")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "keywords") {
			k := Keyword{Member{name.Draw(t, "keyword"), typ.Draw(t, "type")}, rapid.Bool().Draw(t, "optional")}
			s.Keywords = append(s.Keywords, k)
		}
		if rapid.Bool().Draw(t, "variadic") {
			s.Variadic = typ.Draw(t, "type")
		}
		for range rapid.IntRange(0, 3).Draw(t, "results") {
			s.Results = append(s.Results, typ.Draw(t, "result"))
		}
		back, err := parseSignature(s.String())
		require.NoError(t, err)
		assert.Equal(t, s, back, s.String())
	})
}

func TestPythonNames(t *testing.T) {
	used := map[string]bool{}
	for from, want := range map[string]string{
		"from": "from_", "None": "None_", "__init__": "x__init__", "a-b": "a_b", "1x": "_x", "": "_", "é": "é",
	} {
		assert.Equal(t, want, pythonName(from, used), from)
	}
	assert.Equal(t, "a_b_", pythonName("a.b", used))
	assert.Equal(t, `\\ \"\"\"`, docText(`\ """`))
}
