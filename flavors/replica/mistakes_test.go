package replica_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/replica"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// clumsy publishes what its methods are given.
type clumsy struct {
	flavors.Root
	hub *hub
}

func (c *clumsy) RemoteUsers() any                      { return c.hub.users }
func (c *clumsy) RemoteTopic() any                      { return c.hub.topic }
func (*clumsy) RemoteNumber() any                       { return 5 }
func (*clumsy) RemoteNone() any                         { return nil }
func (c *clumsy) RemoteSelf() any                       { return c }
func (*clumsy) RemoteZeroMap() any                      { return &replica.Map[string, int]{} }
func (*clumsy) RemoteZeroValue() any                    { return &replica.Value[int]{} }
func (*clumsy) RemoteNoClass() any                      { return replica.NewMap[string, int]("") }
func (c *clumsy) RemoteByValue() any                    { return reflect.ValueOf(c.hub.users).Elem().Interface() }
func (*clumsy) RemoteNilMap() *replica.Map[string, int] { return nil }
func (c *clumsy) RemoteCopied() any {
	copied := new(replica.Map[string, int]) // *copied = *c.hub.users, which go vet reports
	reflect.ValueOf(copied).Elem().Set(reflect.ValueOf(c.hub.users).Elem())
	return copied
}
func (*clumsy) RemoteChannel() any {
	m := replica.NewMap[string, any]("hub.Any")
	m.Set("a", make(chan int))
	return m
}

// TestMistakes makes the mistakes of beginners. Each error says what to write instead.
func TestMistakes(t *testing.T) {
	ctx := t.Context()
	h := newHub()
	ln := serve(t, &clumsy{hub: h})
	conn := dial(t, ln)
	root := conn.Root()
	plain, err := broker.Dial(ctx, pbtest.NewRuntime(t), ln.URL())
	require.NoError(t, err)
	follow := func(r *flavors.RemoteReference, method string) error {
		_, err := replica.FollowMap[string, int](ctx, r, method)
		return err
	}
	value := func(r *flavors.RemoteReference, method string) error {
		_, err := replica.FollowValue[string](ctx, r, method)
		return err
	}
	require.NoError(t, follow(root, "users")) // From now on a copy of the struct is not the original.
	_, otherTypes := replica.FollowMap[string, string](ctx, root, "users")
	registry := jelly.NewRegistry()
	var nilMap *replica.Map[string, int]
	var nilValue *replica.Value[string]
	set := func(m *replica.Map[string, int]) error {
		_, err := m.Set("a", 1).Await(ctx)
		return err
	}
	_, nilSet := nilValue.Set("a").Await(ctx)
	_, ofNil := replica.MapOf[string, int](nil)
	for name, test := range map[string]struct {
		err  error
		says string
	}{
		"map not registered": {
			follow(plain.Root(), "users"),
			`class "hub.Users" is not registered: use flavors.RegisterCache, or RegisterMap or RegisterValue of package ` +
				`replica, and broker.WithRegistry`,
		},
		"value not registered": {value(plain.Root(), "topic"), `class "hub.Topic" is not registered`},
		"other types": {
			otherTypes,
			"the answer of users is a *flavors.Cached[replica.MapCopy[string,int]], not a replica.Map[string, string]",
		},
		"value as a map": {
			follow(root, "topic"),
			"the answer of topic is a *flavors.Cached[replica.ValueCopy[string]], not a replica.Map[string, int]: " +
				"the method must return a *replica.Map[string, int], and its class be registered by " +
				"replica.RegisterMap[string, int]",
		},
		"map as a value": {
			value(root, "users"),
			"not a replica.Value[string]: the method must return a *replica.Value[string], and its class be registered by " +
				"replica.RegisterValue[string]",
		},
		"number":         {follow(root, "number"), "the answer of number is of type int, not a replica.Map[string, int]"},
		"none":           {follow(root, "none"), "the answer of none is None, not a replica.Map[string, int]"},
		"nil map":        {follow(root, "nilMap"), "the answer of nilMap is None, not a replica.Map[string, int]"},
		"reference":      {follow(root, "self"), "the answer of self is a *flavors.RemoteReference, not a replica.Map"},
		"zero map":       {follow(root, "zeroMap"), "this *replica.Map[string,int] has no class: make it with NewMap"},
		"zero value":     {value(root, "zeroValue"), "this *replica.Value[int] has no class: make it with NewMap"},
		"no class":       {follow(root, "noClass"), "this *replica.Map[string,int] has no class"},
		"by value":       {follow(root, "byValue"), "replica.Map[string,int] is not transferable, but a pointer to it is"},
		"copied":         {follow(root, "copied"), "is a copy of one that has been sent; send the original, by pointer"},
		"a channel":      {follow(root, "channel"), `state["items"]["a"]: chan int is not transferable`},
		"nil reference":  {follow(nil, "users"), "the reference is nil"},
		"nil handle":     {ofNil, "the handle on a cache is nil"},
		"set of nil":     {set(nilMap), "the original is nil: make it with NewMap or NewValue"},
		"set nil value":  {nilSet, "the original is nil: make it with NewMap or NewValue"},
		"no registry":    {replica.RegisterMap[string, int](nil, "hub.Users"), "the registry is nil"},
		"register twice": {registerTwice(registry), `class "hub.Users" is registered already`},
		"register no class": {
			replica.RegisterValue[int](registry, ""), "a class needs a name",
		},
		"register a channel": {
			replica.RegisterValue[chan int](registry, "hub.Channel"), "nothing on the wire is a chan int",
		},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorContains(t, test.err, test.says) })
	}
}

func registerTwice(r *jelly.Registry) error {
	if err := replica.RegisterMap[string, int](r, "hub.Users"); err != nil {
		return err
	}
	return replica.RegisterMap[string, int](r, "hub.Users")
}
