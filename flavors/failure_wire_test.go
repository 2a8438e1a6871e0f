package flavors

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// goldenFailure is a failure that stock sent; see testdata/gen_failures.py.
type goldenFailure struct {
	Name, How, Type, Value string
	Parents                []string
	None, PB               string // hex
}

func goldenFailures(t testing.TB) []goldenFailure {
	t.Helper()
	var golden struct{ Failures []goldenFailure }
	text, err := os.ReadFile("testdata/failures.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &golden))
	require.NotEmpty(t, golden.Failures)
	return golden.Failures
}

func (g goldenFailure) bytes(t testing.TB, p banana.Profile) []byte {
	t.Helper()
	text := g.None
	if p == banana.ProfilePB {
		text = g.PB
	}
	b, err := hex.DecodeString(text)
	require.NoError(t, err)
	return b
}

var profiles = []banana.Profile{banana.ProfileNone, banana.ProfilePB}

var failureEntry = jelly.ClassEntry{New: func() any { return new(Failure) }}

func encodeFailure(t testing.TB, p banana.Profile, v any) []byte {
	t.Helper()
	f := jelly.NewFragment(jelly.Context{Profile: p})
	defer f.Free()
	require.NoError(t, f.Jelly(v))
	b, err := f.Append(nil, nil)
	require.NoError(t, err)
	return b
}

// decodeFailure decodes a failure as the broker does, from an unbound instance.
func decodeFailure(t testing.TB, p banana.Profile, b []byte) *Failure {
	t.Helper()
	registry := jelly.NewRegistry()
	require.NoError(t, registry.Register(CopyableFailureClass, failureEntry))
	d := jelly.Decoder{Registry: registry}
	var r banana.Reader
	r.Reset(b, p)
	var v any
	require.NoError(t, d.Decode(&r, &v))
	require.Len(t, d.Unbound(), 1)
	u := d.Unbound()[0]
	f, err := failureFromState(u.Tag, u.State)
	require.NoError(t, err)
	return f
}

func TestFailureBytesMatchStock(t *testing.T) {
	same := 0
	for _, g := range goldenFailures(t) {
		if g.Name == "base" {
			continue // Its parent is a class; this module sends names.
		}
		if g.How == "later" {
			// Twisted adds an entry "pickled" to these. The next test reads them.
			continue
		}
		f := exceptionsByName[g.Name].New(g.Value)
		for _, p := range profiles {
			assert.Equal(t, g.bytes(t, p), encodeFailure(t, p, f), "%s, profile %v", g.Name, p)
		}
		same++
	}
	assert.Greater(t, same, 20)
}

func TestStockFailuresRead(t *testing.T) {
	for _, g := range goldenFailures(t) {
		if g.Name == "base" {
			// Its parent is a class, which neither Twisted nor this module accepts. See TestFailureFromInvalidState.
			continue
		}
		for _, p := range profiles {
			f := decodeFailure(t, p, g.bytes(t, p))
			assert.Equal(t, g.Type, f.Type)
			assert.Equal(t, g.Value, f.Value)
			assert.Equal(t, g.Parents, f.Parents)
			assert.Equal(t, noTraceback, f.Traceback)
			assert.ErrorIs(t, f, exceptionsByName[g.Name])
			assert.True(t, IsRemote(f))
			// A failure that is passed on stays the same.
			again := decodeFailure(t, p, encodeFailure(t, p, failureFor(f, false)))
			assert.Equal(t, f, again)
		}
	}
}

// A peer's texts are cut at the limit, with a mark.
func TestPeerTextsCut(t *testing.T) {
	for _, n := range []int{100, MaxFailureText, MaxFailureText + 1} {
		text := strings.Repeat("x", n)
		f, err := failureFromState(CopyableFailureClass, jelly.NewDict(
			jelly.Entry{
				Key:   "type",
				Value: []byte("a.B"),
			},
			jelly.Entry{Key: "value", Value: text},
			jelly.Entry{Key: "traceback", Value: []byte(text)},
		))
		require.NoError(t, err)
		want := text
		if n > MaxFailureText {
			want = text[:MaxFailureText-len(" […]")] + " […]"
		}
		assert.True(t, want == f.Value && want == f.Traceback, n)
	}
}

func TestFailureSharedAndNil(t *testing.T) {
	f := TypeError.New("x")
	b := encodeFailure(t, banana.ProfileNone, []any{f, f})
	text := banana.FormatFrame(b, banana.ProfileNone, 1<<20)
	assert.Equal(t, 1, strings.Count(text, CopyableFailureClass))
	assert.Contains(t, text, "[dereference 1]")
	assert.Equal(t, encodeFailure(t, banana.ProfileNone, nil), encodeFailure(t, banana.ProfileNone, (*Failure)(nil)))
}

func TestFailureFromInvalidState(t *testing.T) {
	plain := PlainException.Parents()
	long := strings.Repeat("x", 10*MaxFailureText)
	for _, tc := range []struct {
		name  string
		class string
		state any
		want  Failure
	}{
		{"empty", CopyableFailureClass, dict(), Failure{Type: "builtins.Exception", Parents: plain}},
		{
			"all bytes, with bytes keys", CopyableFailureClass,
			dict([]byte("type"), []byte("a.B"), []byte("value"), []byte("v"), []byte("parents"), []any{[]byte("a.B")},
				[]byte("traceback"), []byte("t")),
			Failure{Type: "a.B", Value: "v", Parents: []string{"a.B"}, Traceback: "t"},
		},
		{"all str", CopyableFailureClass, dict("type", "a.B", "value", "v"),
			Failure{Type: "a.B", Value: "v", Parents: append([]string{"a.B"}, plain...)}},
		{"known type without parents", CopyableFailureClass, dict("type", "builtins.KeyError"),
			Failure{Type: "builtins.KeyError", Parents: KeyError.Parents()}},
		{"a tuple of parents", CopyableFailureClass, dict("type", "a.B", "parents", jelly.Tuple{"a.B", "a.A"}),
			Failure{Type: "a.B", Parents: []string{"a.B", "a.A"}}},
		{"a class as parent", CopyableFailureClass, dict("type", "a.B", "parents", []any{jelly.Class("a.B"), int64(7), nil}),
			Failure{Type: "a.B", Parents: []string{"a.B"}}},
		{"parents that are none", CopyableFailureClass, dict("type", "a.B", "parents", "a.B"),
			Failure{Type: "a.B", Parents: append([]string{"a.B"}, plain...)}},
		{"an int value", CopyableFailureClass, dict("value", int64(7)),
			Failure{Type: "builtins.Exception", Value: "7", Parents: plain}},
		{"a float value", CopyableFailureClass, dict("value", 0.5),
			Failure{Type: "builtins.Exception", Value: "0.5", Parents: plain}},
		{"a bool value", CopyableFailureClass, dict("value", true),
			Failure{Type: "builtins.Exception", Value: "true", Parents: plain}},
		{"None for a value", CopyableFailureClass, dict("value", nil), Failure{Type: "builtins.Exception", Parents: plain}},
		{"a list for a value", CopyableFailureClass, dict("value", []any{"x"}),
			Failure{Type: "builtins.Exception", Value: "(a value of type []interface {})", Parents: plain}},
		{"a failure for a value", CopyableFailureClass, dict("value", &Failure{Value: "inner"}),
			Failure{Type: "builtins.Exception", Value: "inner", Parents: plain}},
		{"bad UTF-8", CopyableFailureClass, dict("value", []byte("\xff")),
			Failure{Type: "builtins.Exception", Value: "\uFFFD", Parents: plain}},
		{"an exception that is a Copyable", "pond.Empty", dict("value", "none left"),
			Failure{Type: "pond.Empty", Value: "none left", Parents: append([]string{"pond.Empty"}, plain...)}},
		{
			"too long", CopyableFailureClass, dict("type", long, "value", long, "traceback", long),
			Failure{
				Type: clipText(long, MaxFailureName), Value: clipText(long, MaxFailureText),
				Traceback: clipText(long, MaxFailureText),
				Parents:   append([]string{clipText(long, MaxFailureName)}, plain...),
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := failureFromState(tc.class, tc.state)
			require.NoError(t, err)
			tc.want.remote = true
			assert.Equal(t, &tc.want, f)
		})
	}
	many := make([]any, 100_000)
	for i := range many {
		many[i] = "p"
	}
	f, err := failureFromState(CopyableFailureClass, dict("parents", many))
	require.NoError(t, err)
	assert.Len(t, f.Parents, MaxFailureParents)
	for _, state := range []any{nil, "x", int64(1), []any{}, (*jelly.Dict)(nil)} {
		_, err := failureFromState(CopyableFailureClass, state)
		assert.Error(t, err)
	}
}

func TestFailureSetCopyableState(t *testing.T) {
	var f Failure
	require.NoError(t, f.SetCopyableState(dict("type", []byte("builtins.KeyError"), "value", "'k'")))
	assert.ErrorIs(t, &f, LookupError)
	assert.True(t, f.Remote())
	require.Error(t, f.SetCopyableState("x"))
	assert.Equal(t, "builtins.KeyError", f.Type)
}

func TestFailureFromAnyValue(t *testing.T) {
	f := &Failure{Type: "a.B", remote: true}
	assert.Same(t, f, failureFromValue(f))
	assert.Equal(t, "a.B", failureFromValue(dict("type", "a.B")).Type)
	got := failureFromValue(&raiser{"x.Y", nil})
	assert.Equal(t, "x.Y", got.Type)
	var r *raiser
	assert.ErrorAs(t, got, &r)
	assert.True(t, IsRemote(got))
	for _, v := range []any{nil, "text", int64(3), []any{}, (*Failure)(nil), (*jelly.Dict)(nil)} {
		got := failureFromValue(v)
		assert.Equal(t, "builtins.Exception", got.Type)
		assert.True(t, got.Remote())
	}
	assert.Equal(t, "text", failureFromValue("text").Error())
	e := TypeError.New("x")
	assert.False(t, e.remote)
	failureFromValue(error(&raiser{"x.Y", nil}))
	assert.False(t, e.remote)
}

func TestFailuresRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &Failure{
			Type:    rapid.StringMatching(`[a-z]{1,5}\.[A-Z][a-zäß]{0,5}`).Draw(t, "type"),
			Value:   rapid.String().Draw(t, "value"),
			Parents: rapid.SliceOfN(rapid.String(), 1, 5).Draw(t, "parents"),
		}
		p := rapid.SampledFrom(profiles).Draw(t, "profile")
		got := decodeFailureRapid(t, p, f)
		want := &Failure{Type: f.Type, Value: strings.ToValidUTF8(f.Value, "\uFFFD"), Traceback: noTraceback, remote: true}
		for _, parent := range f.Parents {
			want.Parents = append(want.Parents, strings.ToValidUTF8(parent, "\uFFFD"))
		}
		if !assert.ObjectsAreEqual(want, got) {
			t.Fatalf("%+v came back as %+v", want, got)
		}
	})
}

func decodeFailureRapid(t *rapid.T, p banana.Profile, f *Failure) *Failure {
	fragment := jelly.NewFragment(jelly.Context{Profile: p})
	defer fragment.Free()
	if err := fragment.Jelly(f); err != nil {
		t.Fatal(err)
	}
	b, _ := fragment.Append(nil, nil)
	registry := jelly.NewRegistry()
	if err := registry.Register(CopyableFailureClass, failureEntry); err != nil {
		t.Fatal(err)
	}
	d := jelly.Decoder{Registry: registry}
	var r banana.Reader
	r.Reset(b, p)
	var v any
	if err := d.Decode(&r, &v); err != nil {
		t.Fatal(err)
	}
	got, err := failureFromState(d.Unbound()[0].Tag, d.Unbound()[0].State)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func FuzzFailureFromState(f *testing.F) {
	for _, g := range goldenFailures(f) {
		f.Add(g.bytes(f, banana.ProfileNone))
	}
	f.Add([]byte{})
	registry := jelly.NewRegistry()
	require.NoError(f, registry.Register(CopyableFailureClass, failureEntry))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := jelly.Decoder{Registry: registry}
		var r banana.Reader
		r.Reset(b, banana.ProfileNone)
		var v any
		if d.Decode(&r, &v) != nil {
			return
		}
		failureFromValue(v)
		for _, u := range d.Unbound() {
			got, err := failureFromState(u.Tag, u.State)
			if err != nil {
				continue
			}
			_ = got.Error() + got.FormatTraceback()
			assert.LessOrEqual(t, len(got.Value), MaxFailureText)
			assert.LessOrEqual(t, len(got.Parents), MaxFailureParents)
			encodeFailure(t, banana.ProfilePB, got)
		}
	})
}
