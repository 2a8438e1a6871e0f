package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
)

// Options say how to connect and log in.
type Options struct {
	TLS *tls.Config
	// User logs in with Password, Anonymous without; at most one is set.
	User      string
	Password  cred.Secret
	Anonymous bool
}

// Login logs in, if the options ask for it, and returns the avatar; else the name of the published object.
func (c *Conn) Login(ctx context.Context, t Target, o Options) (object any, err error) {
	switch {
	case o.Anonymous:
		return c.avatar(ctx, rootName, "loginAnonymous", nil)
	case o.User == "":
		return t.Name, nil
	}
	if _, secure := c.sock.(*tls.Conn); secure && !c.offersChallenge(ctx) {
		return c.avatar(ctx, rootName, "loginPassword", o.User, string(o.Password), nil)
	}
	a := c.Call(ctx, rootName, "login", Args{Values: []any{[]byte(o.User)}})
	if a.Err != nil {
		return nil, a.Err
	}
	if answer, ok := a.Value.(jelly.Tuple); ok && len(answer) == 2 {
		salt, isBytes := answer[0].([]byte)
		challenger, isRef := answer[1].(*value.Ref)
		if isBytes && isRef {
			return c.avatar(ctx, challenger, "respond", cred.Respond(salt, o.Password), nil)
		}
	}
	return nil, errors.New("the peer's login answers no challenge: it is no login of Perspective Broker")
}

// offersChallenge reports whether to log in with a challenge. A server with this library lists its logins; one that
// keeps hashed passwords takes the password itself, over TLS.
func (c *Conn) offersChallenge(ctx context.Context) bool {
	a := c.Call(ctx, rootName, "loginMethods", Args{})
	methods, ok := a.Value.([]any)
	return !ok || slices.Contains(methods, any("login")) || !slices.Contains(methods, any("loginPassword"))
}

func (c *Conn) avatar(ctx context.Context, on any, method string, args ...any) (any, error) {
	a := c.Call(ctx, on, method, Args{Values: args})
	if a.Err != nil {
		return nil, a.Err
	}
	ref, ok := a.Value.(*value.Ref)
	if !ok {
		return nil, fmt.Errorf("the login answered %s, not an avatar", clipText(printed(a.Value)))
	}
	return ref, nil
}
