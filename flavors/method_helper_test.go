package flavors

import (
	"context"
	"reflect"
	"testing"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/require"
)

// methodConn is all that a method table needs of a connection.
type methodConn struct {
	BrokerConn
	ctx context.Context
}

func (c methodConn) Context() context.Context { return c.ctx }

// contextKey marks the context that methods are to be given.
type contextKey struct{}

// wireCall is a call as the decoder would hand it over.
type wireCall struct {
	method      string
	args        []any
	kw          *jelly.Dict
	perspective any
}

func (c wireCall) invocation() *Invocation {
	inv := NewInvocation()
	inv.Begin(IncomingCall{
		Conn:   methodConn{ctx: context.WithValue(context.Background(), contextKey{}, "the connection's")},
		Method: c.method, Args: c.args, Kw: c.kw, Perspective: c.perspective,
	})
	return inv
}

// dict is the dictionary of a call's keywords.
func dict(pairs ...any) *jelly.Dict {
	var entries []jelly.Entry
	for i := 0; i < len(pairs); i += 2 {
		entries = append(entries, jelly.Entry{Key: pairs[i], Value: pairs[i+1]})
	}
	return jelly.NewDict(entries...)
}

func tableFor(t testing.TB, recv any, p Prefix) *MethodTable {
	t.Helper()
	table, err := methodsFor(reflect.TypeOf(recv), p)
	require.NoError(t, err)
	return table
}

func callRemote(t testing.TB, recv any, method string, args ...any) (any, error) {
	t.Helper()
	v, _, err := tableFor(t, recv, PrefixRemote).invoke(recv, wireCall{method: method, args: args}.invocation())
	return v, err
}
