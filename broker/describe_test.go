package broker_test

import (
	"context"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// described is an object that describes one of its methods.
type described struct {
	flavors.Referenceable
	other *two
}

func (*described) RemoteAdd(a, b int) int { return a + b }

func (d *described) RemoteOther() *two { return d.other }

func (*described) DescribeMethods(flavors.Prefix) []flavors.MethodInfo {
	return []flavors.MethodInfo{{Name: "add", Doc: "Add adds."}, {Name: "secret", Doc: "There is no such method."}}
}

var addAndOther = []flavors.MethodInfo{
	{Name: "add", Signature: "add(int, int) -> int", Doc: "Add adds."},
	{Name: "other", Signature: "other() -> ref[two]"},
}

// member is an avatar.
type member struct{ flavors.Avatar }

func (*member) PerspectiveName() string { return "member" }
func (*member) RemoteHidden()           {}

// TestDescribe holds P-10.1 and P-10.2.
func TestDescribe(t *testing.T) {
	factory := broker.RootFactory(func(*broker.Conn) (any, error) { return &two{}, nil })
	s := pbtest.NewServer(t, &described{other: &two{}}, broker.WithPublished("made", factory), broker.WithDescribe())
	conn := s.Dial()
	for _, name := range []any{"root", []byte("root"), conn.Published("root")} {
		d, err := conn.Describe(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, broker.Description{
			Type: "described", Methods: addAndOther, Published: []string{"made", "root"},
		}, d)
	}
	// Without an argument it is the root.
	d, err := flavors.Call[broker.Description](t.Context(), conn.Published("perspectivebroker.describe"), "describe")
	require.NoError(t, err)
	assert.Equal(t, addAndOther, d.Methods)
	d, err = conn.Describe(t.Context(), "made")
	require.NoError(t, err)
	assert.Equal(t, "two", d.Type)

	// A reference that was handed out.
	ref, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "other")
	require.NoError(t, err)
	again, err := conn.Describe(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, d.Methods, again.Methods)

	for _, wrong := range []any{nil, 1, []any{}, map[string]int{"object": 1}, &two{}} {
		_, err := conn.Describe(t.Context(), wrong)
		require.ErrorIs(t, err, flavors.TypeError, "%T", wrong)
	}
	_, err = conn.Describe(t.Context(), "perspectivebroker.describe")
	require.ErrorIs(t, err, flavors.KeyError)
	_, err = conn.Describe(t.Context(), "nothing")
	require.ErrorIs(t, err, flavors.KeyError)
}

// TestDescribeIsOff holds P-10.3: without the option the answer is that for any name that is not published.
func TestDescribeIsOff(t *testing.T) {
	conn := pbtest.NewServer(t, &described{}).Dial()
	_, err := conn.Describe(t.Context(), "root")
	require.ErrorIs(t, err, flavors.PBError)
	_, other := flavors.Call[any](t.Context(), conn.Published("perspectivebroker.other"), "describe")
	require.ErrorIs(t, other, flavors.PBError)
	_, err = (&broker.Conn{}).Describe(t.Context(), "root")
	require.ErrorIs(t, err, flavors.DeadReference)
}

// TestDescribeBeforeLogin holds P-10.4.
func TestDescribeBeforeLogin(t *testing.T) {
	enter := func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*member, func(), error) {
		return &member{}, nil, nil
	}
	users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
	require.NoError(t, err)
	login := broker.Login(enter, users)
	conn := pbtest.NewServer(t, login, broker.WithDescribe()).Dial()
	d, err := conn.Describe(t.Context(), "root")
	require.NoError(t, err)
	assert.Equal(t, broker.Description{Type: "login", Published: []string{"root"}, Methods: []flavors.MethodInfo{}}, d)
	avatar, err := conn.Login(t.Context(), alice, nil)
	require.NoError(t, err)
	d, err = conn.Describe(t.Context(), avatar)
	require.NoError(t, err)
	assert.Equal(t, "member", d.Type)
	assert.Equal(t, []flavors.MethodInfo{{Name: "name", Signature: "name() -> str"}}, d.Methods)
}

// TestDescribeFrame wants WithFrameBeforeLogin to hold although there is a second object.
func TestDescribeFrame(t *testing.T) {
	enter := func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*member, func(), error) {
		return &member{}, nil, nil
	}
	conn := pbtest.NewServer(t, broker.Login(enter, cred.AllowAnonymous()), broker.WithDescribe()).Dial()
	_, err := conn.Describe(t.Context(), string(make([]byte, 100_000)))
	require.ErrorIs(t, err, flavors.ConnectionLost)
}

// panicking describes itself with a panic.
type panicking struct{ flavors.Referenceable }

func (*panicking) DescribeMethods(flavors.Prefix) []flavors.MethodInfo { panic("no") }

func TestDescribePanics(t *testing.T) {
	conn := pbtest.NewServer(t, &panicking{}, broker.WithDescribe()).Dial()
	for range 2 {
		_, err := conn.Describe(t.Context(), "root")
		require.ErrorIs(t, err, flavors.RuntimeError)
		assert.NotContains(t, err.Error(), "goroutine")
	}
}

func TestDescribeNameTaken(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	taken := broker.WithPublished("perspectivebroker.describe", &two{})
	_, err := broker.Listen(rt, "pb://127.0.0.1:0", &two{}, taken, broker.WithDescribe())
	require.ErrorContains(t, err, "WithDescribe publishes an object")
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &two{}, taken)
	require.NoError(t, err)
	require.NoError(t, ln.Close())
}

const stockAsks = `
import sys
from twisted.internet import defer, reactor
from twisted.spread import pb

@defer.inlineCallbacks
def main():
    factory = pb.PBClientFactory()
    reactor.connectTCP("127.0.0.1", int(sys.argv[1]), factory)
    root = yield factory.getRootObject()
    describer = root.broker.remoteForName("perspectivebroker.describe")
    for args in ((), ("root",), (root,), ((yield root.callRemote("other")),)):
        d = yield describer.callRemote("describe", *args)
        print("is", d["type"], [m["signature"] for m in d["methods"]], flush=True)
    print("done", flush=True)

main().addErrback(lambda f: f.printTraceback())
reactor.run()
`

// TestStockAsks has a stock client ask, for P-10.2.
func TestStockAsks(t *testing.T) {
	stock.Require(t)
	ln, err := broker.Listen(pbtest.NewRuntime(t), "pb://127.0.0.1:0", &described{other: &two{}}, broker.WithDescribe())
	require.NoError(t, err)
	p := stock.StartSource(t, "asks.py", []byte(stockAsks), ln.URL()[len("pb://127.0.0.1:"):])
	p.WaitLine("done")
	lines := p.Lines()
	for _, line := range lines[:3] {
		assert.Equal(t, "is described ['add(int, int) -> int', 'other() -> ref[two]']", line)
	}
	assert.Equal(t, "is two ['boom()', 'self() -> ref[two]', 'three(int) -> int']", lines[3])
}
