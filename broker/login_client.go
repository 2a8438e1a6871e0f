package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Reasons for which a login is not tried at all.
var (
	// ErrNeedsTLS is why a password is not sent in the clear.
	ErrNeedsTLS = errors.New(
		"broker: a password in the clear goes over TLS only; use a pbs:// URL, or Login, which does not send it",
	)
	// ErrNotOffered is why a password is not sent to a server that has not said that it takes one.
	ErrNotOffered = errors.New("broker: the server does not offer a login by password in the clear")
)

// Login logs in as Twisted's clients do and returns the reference to the avatar. The credentials are
// cred.UsernamePassword, of which only the response to the server's challenge is sent, or cred.Anonymous. The mind is
// an object of ours that the server may call, a pointer to a struct that embeds [flavors.Referenceable], or nil; the
// server may call it before Login returns.
//
// The connection keeps the avatar: forgetting the reference does not log out. [Conn.Logout] does, and so does the end
// of the connection. errors.Is(err, flavors.UnauthorizedLogin) says that the server refused.
func (c *Conn) Login(ctx context.Context, credentials cred.Credentials, mind any) (*flavors.RemoteReference, error) {
	if !c.isMade() {
		return nil, errNoConn
	}
	root := c.Published(rootName)
	switch p := credentials.(type) {
	case cred.Anonymous:
		return c.avatar(ctx, root, "loginAnonymous", mind)
	case cred.UsernamePassword:
		challenge, err := flavors.Call[jelly.Tuple](ctx, root, "login", []byte(p.Username))
		if err != nil {
			return nil, fmt.Errorf("logging in: %w", err)
		}
		salt, challenger, err := challengeOf(challenge)
		if err != nil {
			return nil, fmt.Errorf("logging in: %w", err)
		}
		defer challenger.Release()
		return c.avatar(ctx, challenger, "respond", cred.Respond(salt, p.Password), mind)
	}
	return nil, fmt.Errorf("broker: Login takes cred.UsernamePassword or cred.Anonymous, not %T", credentials)
}

func challengeOf(t jelly.Tuple) (salt []byte, challenger *flavors.RemoteReference, err error) {
	if len(t) == 2 {
		if err = jelly.Assign(&salt, t[0]); err == nil {
			err = jelly.Assign(&challenger, t[1])
		}
		if err == nil && challenger != nil {
			return salt, challenger, nil
		}
	}
	return nil, nil, &ProtocolError{Command: "answer", What: "the answer to login is (challenge, challenger)", Err: err}
}

// LoginPassword sends the password itself, for servers that keep it as a good hash. It does so over TLS only, and only
// to servers that say that they take it, which are those of this library: for others the error is [ErrNotOffered], and
// nothing was sent.
func (c *Conn) LoginPassword(ctx context.Context, p cred.UsernamePassword, mind any) (*flavors.RemoteReference, error) {
	if !c.isMade() {
		return nil, errNoConn
	}
	if c.TLS() == nil {
		return nil, ErrNeedsTLS
	}
	methods, err := flavors.Call[[]string](ctx, c.Published(rootName), "loginMethods")
	if err != nil && !usercode.Is(err, flavors.NoSuchMethod) {
		return nil, fmt.Errorf("logging in: %w", err)
	}
	if !slices.Contains(methods, methodPassword) {
		return nil, fmt.Errorf("%w: it takes %s", ErrNotOffered, orNothing(methods))
	}
	return c.avatar(ctx, c.Published(rootName), methodPassword, p.Username, string(p.Password), mind)
}

func orNothing(methods []string) string {
	if len(methods) == 0 {
		return "nothing of this kind, as is so with servers of Twisted's; use Login"
	}
	return strings.Join(methods, ", ")
}

// LoginCertificate logs in as whom the certificate names that this side has shown in mutual TLS, at servers of this
// library.
func (c *Conn) LoginCertificate(ctx context.Context, mind any) (*flavors.RemoteReference, error) {
	return c.avatar(ctx, c.Published(rootName), methodCertificate, mind)
}

// LoginPeer logs in as the user under whom this process runs, over a Unix socket, at servers of this library.
func (c *Conn) LoginPeer(ctx context.Context, mind any) (*flavors.RemoteReference, error) {
	return c.avatar(ctx, c.Published(rootName), methodPeer, mind)
}

// Logout lets go of an avatar that a login over this connection gave, which logs out at the server. It does not wait
// for that.
func (c *Conn) Logout(avatar *flavors.RemoteReference) {
	if !c.isMade() {
		return
	}
	c.c.avatars.Lock()
	i := slices.Index(c.c.avatars.kept, avatar)
	if i >= 0 {
		c.c.avatars.kept = slices.Delete(c.c.avatars.kept, i, i+1)
	}
	c.c.avatars.Unlock()
	if i >= 0 {
		avatar.Release()
	}
}

// avatar makes the call of a login.
func (c *Conn) avatar(
	ctx context.Context,
	on *flavors.RemoteReference,
	method string,
	args ...any,
) (*flavors.RemoteReference, error) {
	avatar, err := c.callForAvatar(ctx, on, method, args...)
	if err != nil {
		return nil, fmt.Errorf("logging in: %w", err)
	}
	return avatar, nil
}

// callForAvatar makes a call that answers with an avatar, and keeps it.
func (c *Conn) callForAvatar(
	ctx context.Context,
	on *flavors.RemoteReference,
	method string,
	args ...any,
) (*flavors.RemoteReference, error) {
	avatar, err := flavors.Call[*flavors.RemoteReference](ctx, on, method, args...)
	if err != nil {
		return nil, err
	}
	if avatar == nil {
		return nil, &ProtocolError{Command: "answer", What: "the answer to " + method + " is a reference to the avatar"}
	}
	c.c.avatars.Lock()
	defer c.c.avatars.Unlock()
	// Those that were released instead of logged out need not be kept.
	c.c.avatars.kept = slices.DeleteFunc(c.c.avatars.kept, func(r *flavors.RemoteReference) bool { return r.Err() != nil })
	if !c.c.ended() {
		c.c.avatars.kept = append(c.c.avatars.kept, avatar)
	}
	return avatar, nil
}

// forgetAvatars is for the end of the connection: a handle that its own connection keeps would never be collected, nor
// would the connection.
func (c *connection) forgetAvatars() {
	c.avatars.Lock()
	defer c.avatars.Unlock()
	c.avatars.kept = nil
}
