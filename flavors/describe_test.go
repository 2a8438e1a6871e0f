package flavors_test

import (
	"context"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type (
	describedCopy struct {
		flavors.Copyable
		N int `pb:"n"`
	}
	describedCache struct{ flavors.Cacheable }
	describedDict  struct {
		N int `pb:"n"`
	}
	describedList []describedList
	describedLoop []describedList
	described     struct{ flavors.Referenceable }
)

func (*described) RemoteNumbers(int, int8, uint32, uint64, float32, *big.Int) (bool, string, []byte, error) {
	return false, "", nil, nil
}

func (*described) RemoteContainers(
	[]int, [2]string, map[string][]bool, map[int]struct{}, *string, *any, describedList,
) {
}
func (*described) RemoteLoop(describedLoop) {}

func (*described) RemoteKnown(
	time.Time, time.Duration, jelly.Tuple, *jelly.Dict, *jelly.Set, *jelly.Decimal, url.URL,
) any {
	return nil
}

func (*described) RemoteObjects(
	*flavors.RemoteReference, *described, *describedCache, *describedCopy, describedCopy, []describedDict,
) *actor.Deferred {
	return nil
}

func (*described) RemoteOptions(_ context.Context, _ *flavors.Invocation, a int, o struct {
	B int     `pb:"b"`
	C string  `pb:"c,default=x"`
	D float64 `pb:"d,omitempty"`
}) error {
	return nil
}
func (*described) RemoteKeywords(int, flavors.Kw)  {}
func (*described) RemoteVariadic(int, ...string)   {}
func (*described) RemoteNamed(a int, b string) int { return 0 }
func (*described) RemoteDocumented()               {}
func (*described) RemoteSigned()                   {}

func (*described) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Publish("named", "RemoteNamed", "a", "b=hi"),
		flavors.Func0("f0", func(*described, *flavors.Invocation) (int, error) { return 0, nil }),
		flavors.Method1("m1", func(*described, string) (bool, error) { return false, nil }, "name"),
		flavors.Proc0("p0", func(*described, *flavors.Invocation) error { return nil }),
		flavors.Proc1("p1", func(*described, *flavors.Invocation, int) error { return nil }),
		flavors.Proc2("p2", func(*described, *flavors.Invocation, int, string) error { return nil }),
		flavors.Proc3(
			"p3", func(*described, *flavors.Invocation, int, string, bool) error { return nil }, "a", "b", "c=true",
		),
		flavors.FuncCall("whole", func(*described, *flavors.Invocation) (any, error) { return nil, nil }),
	)
}

func (*described) DescribeMethods(flavors.Prefix) []flavors.MethodInfo {
	return []flavors.MethodInfo{
		{Name: "documented", Doc: "It is."},
		{Name: "signed", Signature: "signed(by: str)"},
		{Name: "missing", Doc: "It is not."},
	}
}

func TestDescribe(t *testing.T) {
	methods, err := flavors.Describe(&described{}, flavors.PrefixRemote)
	require.NoError(t, err)
	assert.Equal(t, []flavors.MethodInfo{
		{Name: "containers", Signature: "containers(list[int], list[str], dict[str, list[bool]], set[int], str?, any, " +
			"list[list[list[list[list[list[list[any]]]]]]])"},
		{Name: "documented", Signature: "documented()", Doc: "It is."},
		{Name: "f0", Signature: "f0() -> int"},
		{Name: "keywords", Signature: "keywords(int, **)"},
		{Name: "known", Signature: "known(datetime, timedelta, tuple, dict, set, Decimal, str) -> any"},
		{Name: "loop", Signature: "loop(list[list[list[list[list[list[list[any]]]]]]])"},
		{Name: "m1", Signature: "m1(name: str) -> bool"},
		{Name: "named", Signature: `named(a: int, b: str = "hi") -> int`},
		{Name: "numbers", Signature: "numbers(int, int8, uint32, uint, float, int) -> (bool, str, bytes)"},
		{Name: "objects", Signature: "objects(ref, ref[described], cache[describedCache], describedCopy, describedCopy, " +
			"list[describedDict]) -> any"},
		{Name: "options", Signature: `options(int, *, b: int, c: str = "x", d: float = ...)`},
		{Name: "p0", Signature: "p0()"},
		{Name: "p1", Signature: "p1(int)"},
		{Name: "p2", Signature: "p2(int, str)"},
		{Name: "p3", Signature: "p3(a: int, b: str, c: bool = True)"},
		{Name: "signed", Signature: "signed(by: str)"},
		{Name: "variadic", Signature: "variadic(int, *: str)"},
		{Name: "whole", Signature: "whole(...)"},
	}, methods)
	_, err = flavors.Describe(nil, flavors.PrefixRemote)
	require.Error(t, err)
}

// describedHandler handles all calls in one method.
type describedHandler struct{ flavors.Referenceable }

func (*describedHandler) HandleRemote(*flavors.Invocation) (any, error) { return nil, nil }
func (*describedHandler) RemoteHidden()                                 {}
func (*describedHandler) DescribeMethods(flavors.Prefix) []flavors.MethodInfo {
	return []flavors.MethodInfo{{Name: "anything", Signature: "anything()"}}
}

func TestDescribeHandler(t *testing.T) {
	methods, err := flavors.Describe(&describedHandler{}, flavors.PrefixRemote)
	require.NoError(t, err)
	assert.Equal(t, []flavors.MethodInfo{{Name: "anything", Signature: "anything()"}}, methods)
}

func TestClassOf(t *testing.T) {
	class, err := flavors.ClassOf(&describedCopy{})
	require.NoError(t, err)
	assert.Equal(t, "flavors_test.describedCopy", class)
	for _, wrong := range []jelly.Jellyable{nil, (*describedCopy)(nil)} {
		_, err := flavors.ClassOf(wrong)
		require.Error(t, err)
	}
}
