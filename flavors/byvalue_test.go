package flavors_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/perspectivebroker/pb/flavors/published"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const secret = "s3cret"

// Copyables with each of the four methods, on pointer receivers.
type (
	account struct {
		flavors.Copyable
		Name   string `pb:"name"`
		Secret string `pb:"secret"`
	}
	accountFor struct {
		flavors.Copyable
		Name   string `pb:"name"`
		Secret string `pb:"secret"`
	}
	accountOuter struct {
		account
		More string `pb:"more"`
	}
	accountError struct {
		flavors.Copyable
		Secret string `pb:"secret"`
	}
)

func (*account) TypeToCopy() string                      { return "bank.Account" }
func (a *account) StateToCopy() any                      { return map[string]any{"name": a.Name} }
func (*accountFor) TypeToCopyFor(any) string             { return "bank.Account" }
func (a *accountFor) StateToCopyFor(perspective any) any { return map[string]any{"name": a.Name} }
func (e accountError) Error() string                     { return "no account" }
func (*accountError) TypeToCopy() string                 { return "bank.Error" }
func (*accountError) StateToCopy() any {
	return map[string]any{"accounts": []account{{Name: "ada", Secret: secret}}}
}

// Types that contain a Copyable by value.
func accountsByValue() map[string]any {
	a := account{Name: "ada", Secret: secret}
	f := accountFor{Name: "ada", Secret: secret}
	var boxed any = a
	type named struct {
		A account    `pb:"a"`
		F accountFor `pb:"f"`
		I any        `pb:"i"`
	}
	return map[string]any{
		"value": a, "for": f, "pointer": &a, "slice": []account{a}, "slice for": []accountFor{f}, "array": [1]account{a},
		"map": map[string]account{
			"k": a,
		}, "key": map[account]int{a: 1}, "key for": map[accountFor]bool{f: true}, "set": map[account]struct{}{a: {}},
		"any": []any{
			a,
			f,
		}, "tuple": jelly.Tuple{a}, "dict": jelly.NewDict(jelly.Entry{Key: f, Value: a}), "frozenset": jelly.NewFrozenSet(a),
		"field": named{
			a,
			f,
			f,
		}, "field of pointer": &named{a, f, a}, "embedded": accountOuter{a, secret},
		"embedded in a slice":     []accountOuter{{a, secret}},
		"pointer to an interface": &boxed,
		"copy in a copy":          wrapping{A: a, P: &f},
	}
}

type wrapping struct {
	flavors.Copyable
	A account     `pb:"a"`
	P *accountFor `pb:"p"`
}

func (wrapping) TypeToCopy() string { return "bank.Wrapping" }

// bank gives out accounts.
type bank struct {
	flavors.Root
	values map[string]any
	ledger ledger
	report report
}

func (b *bank) RemoteGet(name string) any { return b.values[name] }
func (*bank) RemoteFail() error           { return fmt.Errorf("sorry: %w", accountError{Secret: secret}) }
func (b *bank) RemoteLedger() *ledger     { return &b.ledger }
func (b *bank) RemoteReport() *report     { return &b.report }
func (*bank) RemoteBack(ref *flavors.RemoteReference) error {
	a := account{Name: "ada", Secret: secret}
	return ref.CallRemoteNoAnswer("take", a, flavors.Kw{"kw": []account{a}})
}

func (b *bank) RemoteUpdate() {
	flavors.Update(&b.ledger, func(observers flavors.Observers) {
		_ = observers.CallRemote(
			"entered",
			accountFor{Name: "ada", Secret: secret},
			flavors.Kw{"of": account{Name: "ada", Secret: secret}},
		)
	})
}

// ledger and report are a Cacheable and a Publishable whose states have accounts by value.
type ledger struct {
	flavors.Cacheable
	Accounts []account `pb:"accounts"`
}

type report struct {
	published.Publishable
	Accounts map[string]accountFor `pb:"accounts"`
}

func (*report) PublishedID() string { return "report" }

// TestCopiesByValueHideFields sends Copyables by value in every way and checks what the peer gets.
func TestCopiesByValueHideFields(t *testing.T) {
	a, f := account{Name: "ada", Secret: secret}, accountFor{Name: "ada", Secret: secret}
	values := accountsByValue()
	s := newServer(
		t,
		&bank{
			values: values,
			ledger: ledger{Accounts: []account{a}},
			report: report{Accounts: map[string]accountFor{"k": f}},
		},
	)
	p := s.Peer()
	safe := func(pattern, variable string) {
		t.Helper()
		p.Want(pattern)
		got := banana.Format(p.Var(variable))
		p.Forget(variable)
		require.NotContains(t, got, secret)
		require.Regexp(t, `"bank\.(Account|Wrapping)"`, got)
	}
	id := 0
	call := func(method, args string) {
		id++
		p.Write(fmt.Sprintf("[message %d root %s 1 [tuple %s] [dictionary]]", id, method, args))
	}
	for name := range values {
		call("get", fmt.Sprintf("[unicode %q]", name))
		safe(fmt.Sprintf("[answer %d $value]", id), "value")
	}
	call("fail", "")
	safe(fmt.Sprintf(`[error %d ["bank.Error" $state]]`, id), "state")
	call("back", "[remote 5]")
	p.Want(`[message _ 5 take 0 $args $kw]`, fmt.Sprintf("[answer %d _]", id))
	for _, v := range []string{"args", "kw"} {
		require.NotContains(t, banana.Format(p.Var(v)), secret)
		require.Contains(t, banana.Format(p.Var(v)), "bank.Account")
	}
	p.Forget("args")
	p.Forget("kw")
	call("ledger", "")
	safe(fmt.Sprintf("[answer %d [_ $luid $state]]", id), "state")
	call("update", "")
	p.Ignore(fmt.Sprintf("[answer %d _]", id))
	p.Want(`[cachemessage _ $luid entered 0 $args $kw]`)
	require.NotContains(t, banana.Format(p.Var("args"))+banana.Format(p.Var("kw")), secret)
	call("report", "")
	p.Want(fmt.Sprintf("[answer %d [_ _ [dictionary [[unicode remote] [remote $view]] _ _ _ _]]]", id))
	id++
	p.Write(fmt.Sprintf("[message %d $view getStateToPublish 1 [tuple] [dictionary]]", id))
	safe(fmt.Sprintf("[answer %d $value]", id), "value")
}

// Types whose methods have the wrong signature or are ambiguous.
type (
	wrongState  struct{ flavors.Copyable }
	wrongType   struct{ flavors.Copyable }
	wrongFor    struct{ flavors.Copyable }
	wrongForOut struct{ flavors.Copyable }
	twice       struct {
		flavors.Copyable
		account
		accountState
		X int `pb:"x"`
	}
	accountState struct {
		Pin string `pb:"pin"`
	}
	deepTwice struct {
		flavors.Copyable
		pair
	}
	pair struct {
		account
		accountState
	}
	wrongCache  struct{ flavors.Cacheable }
	wrongReport struct{ published.Publishable }
	wrongSetter struct{ N int }
	wrongPost   struct{ N int }
	wrongCopy   struct{ flavors.RemoteCache }
	wrongKept   struct{ published.Remote }
	wrongHandle struct{ flavors.Referenceable }
	lostHandle  struct {
		flavors.Referenceable
		Handles
		HandlesToo
	}
	Handles    struct{}
	HandlesToo struct{}
	wrongHide  struct{ flavors.Referenceable }
)

func (*wrongState) StateToCopy() map[string]any                  { return nil }
func (*wrongType) TypeToCopy(any) string                         { return "" }
func (*wrongFor) StateToCopyFor(*account) any                    { return nil }
func (*wrongForOut) TypeToCopyFor(any) (string, error)           { return "", nil }
func (*accountState) StateToCopy() any                           { return nil }
func (*wrongCache) StateToCacheAndObserveFor(any) any            { return nil }
func (*wrongReport) PublishedID() string                         { return "" }
func (*wrongReport) StateToPublish() string                      { return "" }
func (*wrongSetter) SetCopyableState(any)                        {}
func (*wrongPost) PostUnjelly() error                            { return nil }
func (*wrongCopy) SetCopyableState(*jelly.Dict) error            { return nil }
func (*wrongKept) SetPublishedState(any)                         {}
func (*wrongHandle) HandleRemote(*flavors.Invocation) any        { return nil }
func (*wrongHandle) RemoteOpen()                                 {}
func (Handles) HandleRemote(*flavors.Invocation) (any, error)    { return nil, nil }
func (HandlesToo) HandleRemote(*flavors.Invocation) (any, error) { return nil, nil }
func (*wrongHide) PublishMethods() flavors.MethodSet             { return flavors.MethodSet{} }

// A hook with the wrong signature is an error, and the fields are not sent in its place.
func TestHookSignatures(t *testing.T) {
	for want, v := range map[string]any{
		"StateToCopy with the signature func() map[string]interface {}": &wrongState{},
		"TypeToCopy with the signature func(interface {}) string":       wrongType{},
		"StateToCopyFor with the signature func(*flavors_test.account)": []wrongFor{{}},
		"TypeToCopyFor with the signature":                              map[string]wrongForOut{"k": {}},
		"twice has no method StateToCopy although it embeds":            &twice{account: account{Secret: secret}},
		"deepTwice has no method StateToCopy although it embeds":        deepTwice{},
	} {
		f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
		assert.ErrorContains(t, f.Jelly(v), want)
		f.Free()
	}
	for want, v := range map[string]any{
		"StateToCacheAndObserveFor with the signature": &wrongCache{},
		"StateToPublish with the signature":            &wrongReport{},
		"HandleRemote with the signature":              &wrongHandle{},
		"lostHandle has no method HandleRemote":        &lostHandle{},
		"PublishMethods with the signature":            &wrongHide{},
	} {
		_, err := flavors.Internal.Export(seam.Token{}).CoreOf(v)
		assert.ErrorContains(t, err, want)
	}
	r := jelly.NewRegistry()
	assert.ErrorContains(t, flavors.RegisterCopy[wrongSetter](r, "m.A"), "SetCopyableState with the signature")
	assert.ErrorContains(t, flavors.RegisterCopy[wrongPost](r, "m.A"), "PostUnjelly with the signature")
	assert.ErrorContains(t, flavors.RegisterCache[wrongCopy](r, "m.A"), "SetCopyableState with the signature")
	assert.ErrorContains(t, published.Register[wrongKept](r, "m.A", nil), "SetPublishedState with the signature")
	_, registered := r.Lookup("m.A")
	assert.False(t, registered)
}

// anchoredByPointer has the flavor's methods in the method set of its value.
type anchoredByPointer struct {
	*flavors.Referenceable
	N int `pb:"n"`
}

type cachedByPointer struct {
	*flavors.Cacheable
	Secret string `pb:"secret"`
}

// Objects that are sent by reference are refused by value, and so are copies of a peer's original.
func TestReferencesByValueRefused(t *testing.T) {
	r := anchoredByPointer{Referenceable: new(flavors.Referenceable)}
	c := cachedByPointer{Cacheable: new(flavors.Cacheable), Secret: secret}
	for _, v := range []any{r, c, []any{r}, map[string]anchoredByPointer{"k": r}, map[string]any{"k": c}, &struct {
		C any `pb:"c"`
	}{c}} {
		f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
		assert.ErrorContains(t, f.Jelly(v), "ByPointer is not transferable, but a pointer to it is: send *flavors_test.")
		f.Free()
	}
	_, err := flavors.Internal.Export(seam.Token{}).CoreOf(r)
	assert.ErrorContains(t, err, "is sent by reference: give a pointer to it, not a copy")
	f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
	defer f.Free()
	assert.ErrorIs(t, f.Jelly(&wrongKept{}), flavors.InsecureJelly)
}

// spot is a registered Copyable.
type spot struct {
	flavors.Copyable
	X int `pb:"x"`
	Y int `pb:"y"`
}

func (*spot) TypeToCopy() string { return "m.Spot" }

type area struct {
	flavors.Copyable
	Corner  spot            `pb:"corner"`
	Corners []spot          `pb:"corners"`
	Named   map[string]spot `pb:"named"`
	Last    *spot           `pb:"last"`
}

func (*area) TypeToCopy() string { return "m.Area" }

// board has methods with spots as parameters of any kind.
type board struct{ flavors.Root }

func (*board) RemoteOne(s spot) spot            { return s }
func (*board) RemotePointer(s *spot) spot       { return *s }
func (*board) RemoteSlice(s []spot) spot        { return s[1] }
func (*board) RemoteArray(s [2]spot) spot       { return s[1] }
func (*board) RemoteMap(s map[string]spot) spot { return s["k"] }
func (*board) RemoteKeys(s map[spot]int) spot {
	for k := range s {
		return k
	}
	return spot{}
}
func (*board) RemoteVariadic(s ...spot) spot     { return s[1] }
func (*board) RemoteRest(_ int, s ...*spot) spot { return *s[1] }
func (*board) RemoteArea(a area) area            { return a }
func (*board) RemoteKeywords(o struct {
	At  spot            `pb:"at"`
	All map[string]spot `pb:"all,omitempty"`
}) spot {
	return o.At
}
func (*board) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Func1("typed", func(_ *board, _ *flavors.Invocation, s spot) (spot, error) { return s, nil }),
	)
}

func TestParametersByValue(t *testing.T) {
	r := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCopy[spot](r, "m.Spot"))
	require.NoError(t, flavors.RegisterCopy[area](r, "m.Area"))
	s := newServer(t, &board{}, broker.WithRegistry(r))
	root := s.Dial(broker.WithRegistry(r)).Root()
	ctx := context.Background()
	want := spot{X: 1, Y: 2}
	for method, args := range map[string][]any{
		"one": {want}, "pointer": {want}, "slice": {[]spot{{}, want}}, "array": {[]*spot{{}, &want}},
		"map":  {map[string]spot{"k": want}},
		"keys": {map[spot]int{want: 1}}, "variadic": {spot{}, want}, "rest": {5, spot{}, &want}, "typed": {&want},
		"keywords": {flavors.Kw{"at": want, "all": map[string]any{"k": want}}},
	} {
		got, err := flavors.Call[spot](ctx, root, method, args...)
		require.NoError(t, err, method)
		assert.Equal(t, want, got, method)
		pointer, err := flavors.Call[*spot](ctx, root, method, args...)
		require.NoError(t, err, method)
		assert.Equal(t, &want, pointer, method)
	}
	in := area{Corner: want, Corners: []spot{want, {X: 3}}, Named: map[string]spot{"k": want}, Last: &want}
	out, err := flavors.Call[area](ctx, root, "area", in)
	require.NoError(t, err)
	assert.Equal(t, in, out)
	_, err = flavors.TableOf(&refusing{}, flavors.PrefixRemote)
	assert.ErrorContains(t, err, "a flavors_test.bank is not copied: take a *flavors_test.bank")
}

type refusing struct{ flavors.Referenceable }

func (*refusing) RemoteTake([]bank) {}

// zen is an exception that is a Copyable.
type zen struct {
	flavors.Copyable
	Code int `pb:"code"`
}

func (*zen) Error() string      { return "zen" }
func (*zen) TypeToCopy() string { return "m.Zen" }

// named is an error returned by value whose PBException method has a pointer receiver.
type named struct{}

func (named) Error() string                    { return "named" }
func (*named) PBException() (string, []string) { return "m.Named", []string{"m.Base"} }

type zendo struct{ flavors.Root }

func (*zendo) RemoteZen() error   { return &zen{Code: 7} }
func (*zendo) RemoteNamed() error { return fmt.Errorf("wrapped: %w", named{}) }
func (*zendo) RemotePlain() error { return errPlain }
func (*zendo) RemoteBad(int)      {}
func (*zendo) RemotePages(c *flavors.RemoteReference) error {
	return c.CallRemoteNoAnswer("pagingFailed", "no paper")
}

// IsRemote is true for any failure that the peer sent.
func TestIsRemotePeerFailures(t *testing.T) {
	r := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCopy[zen](r, "m.Zen"))
	s := newServer(t, &zendo{})
	ctx := context.Background()
	root := s.Dial(broker.WithRegistry(r)).Root()
	for _, method := range []string{"zen", "named", "plain", "bad", "missing"} {
		_, err := flavors.Call[any](ctx, root, method)
		assert.True(t, flavors.IsRemote(err), "%s: %v", method, err)
		assert.True(t, flavors.IsRemote(fmt.Errorf("around: %w", err)), method)
		var z *zen
		if assert.Equal(t, method == "zen", errors.As(err, &z)) && method == "zen" {
			assert.Equal(t, 7, z.Code)
			assert.EqualError(t, err, "zen")
			assert.False(t, flavors.IsRemote(z), "the same error, made here")
		}
		var f *flavors.Failure
		if method == "named" && assert.ErrorAs(t, err, &f) {
			assert.Equal(t, "m.Base", f.Check("m.Base"))
		}
	}
	_, err := paging.GetAll(ctx, root, "pages")
	assert.True(t, flavors.IsRemote(err), "%v", err)
	assert.ErrorContains(t, err, "no paper")

	// A client that has not registered the class cannot read the failure, but the call failed at the peer.
	_, err = flavors.Call[any](ctx, s.Dial().Root(), "zen")
	assert.True(t, flavors.IsRemote(err), "%v", err)
	assert.ErrorIs(t, err, flavors.InsecureJelly)
	assert.ErrorContains(t, err, "the failure of zen cannot be decoded")

	_, err = flavors.Call[int](ctx, root, "plain", make(chan int))
	assert.False(t, flavors.IsRemote(err), "%v", err)
	_, err = flavors.Call[any](ctx, root, "a\xff")
	assert.ErrorIs(t, err, flavors.ValueError)
	assert.False(t, flavors.IsRemote(err), "%v", err)
}

// relay forwards calls to another server and its failures back.
type relay struct {
	flavors.Root
	to *flavors.RemoteReference
}

func (r *relay) RemoteZen() *actor.Deferred { return r.to.CallRemote("zen") }

// TestCopyableFailurePassedOn sends a failure of a registered class over two connections.
func TestCopyableFailurePassedOn(t *testing.T) {
	r := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCopy[zen](r, "m.Zen"))
	far := newServer(t, &zendo{}).Dial(broker.WithRegistry(r))
	near := newServer(t, &relay{to: far.Root()}).Dial(broker.WithRegistry(r))
	_, err := flavors.Call[any](t.Context(), near.Root(), "zen")
	var z *zen
	require.ErrorAs(t, err, &z)
	assert.Equal(t, 7, z.Code)
	assert.True(t, flavors.IsRemote(err))
	assert.False(t, flavors.IsRemote(nil))
	assert.False(t, flavors.IsRemote((*flavors.Failure)(nil)))
}

// sets returns its arguments.
type sets struct{ flavors.Root }

func (*sets) RemoteAny(v any) any                                 { return v }
func (*sets) RemoteMap(v map[string]struct{}) map[string]struct{} { return v }
func (*sets) RemoteSet(v *jelly.Set) *jelly.Set                   { return v }
func (*sets) RemoteValue(v jelly.FrozenSet) jelly.FrozenSet       { return v }

func TestSetsRoundTrip(t *testing.T) {
	p := newServer(t, &sets{}).Peer()
	for i, c := range []struct{ method, v string }{
		{"any", "[set [unicode a]]"}, {"any", "[frozenset [unicode a]]"}, {"any", "[list [set] [frozenset]]"},
		{"map", "[set [unicode a] [unicode b]]"},
		{"map", "[set]"}, {"set", "[set 1]"}, {"value", "[frozenset 1]"},
	} {
		p.Write(fmt.Sprintf("[message %d root %s 1 [tuple %s] [dictionary]]", i, c.method, c.v))
		p.Want(fmt.Sprintf("[answer %d %s]", i, c.v))
	}
}
