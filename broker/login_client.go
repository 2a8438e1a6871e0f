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

// Errors of logins that are not attempted.
var (
	// ErrNeedsTLS is the error of [Conn.LoginPassword] on a connection without TLS.
	ErrNeedsTLS = errors.New(
		"broker: a password in the clear goes over TLS only; use a pbs:// URL, or Login, which does not send it",
	)
	// ErrNotOffered is the error of [Conn.LoginPassword] if the server does not offer that login.
	ErrNotOffered = errors.New("broker: the server does not offer a login by password in the clear")
)

// Login logs in as Twisted's clients do, and returns a reference to the avatar. The credentials are
// cred.UsernamePassword, of which only the response to the server's challenge is sent, or cred.Anonymous. The mind is
// an object of ours that the server may call, even before Login returns: a pointer to a struct that embeds
// [flavors.Referenceable], or nil.
//
// The connection keeps the avatar, so dropping the reference does not log out; [Conn.Logout] and the end of the
// connection do. The error is flavors.UnauthorizedLogin if the server has rejected the login.
func (c *Conn) Login(ctx context.Context, credentials cred.Credentials, mind any) (*flavors.RemoteReference, error) {
	answer, err := c.LoginAnswer(ctx, credentials, mind)
	if err != nil {
		return nil, err
	}
	avatar, ok := answer.(*flavors.RemoteReference)
	if !ok {
		return nil, fmt.Errorf("logging in: %w", &ProtocolError{
			Command: "answer",
			What: fmt.Sprintf("the answer to a login is a reference to the avatar, not %s; LoginAnswer returns any answer",
				jelly.TypeName(answer)),
		})
	}
	return avatar, nil
}

// TextName is cred.UsernamePassword for servers that take the name as text. [Conn.Login] sends other names as bytes, as
// Twisted's clients do. Servers of this library take both.
type TextName cred.UsernamePassword

// Kind implements cred.Credentials.
func (n TextName) Kind() cred.Kind { return cred.UsernamePassword(n).Kind() }

// Claim implements cred.Credentials.
func (n TextName) Claim() string { return n.Username }

// LoginAnswer is [Conn.Login] for servers that answer a login with something else than a reference, such as a tuple, or
// a pair of false and a text in place of a failure. A reference is kept by the connection, as by Login; what else the
// answer contains is the caller's to keep.
func (c *Conn) LoginAnswer(ctx context.Context, credentials cred.Credentials, mind any) (any, error) {
	if !c.isMade() {
		return nil, errNoConn
	}
	root := c.Published(rootName)
	switch p := credentials.(type) {
	case cred.Anonymous:
		return c.loginCall(ctx, cred.AnonymousID().String(), root, "loginAnonymous", mind)
	case cred.UsernamePassword:
		return c.respond(ctx, root, p.Username, []byte(p.Username), p.Password, mind)
	case TextName:
		return c.respond(ctx, root, p.Username, p.Username, p.Password, mind)
	}
	return nil, fmt.Errorf(
		"broker: Login takes cred.UsernamePassword, broker.TextName or cred.Anonymous, not %T",
		credentials,
	)
}

// respond logs in by a response to the server's challenge. The name of the user is sent as text or bytes.
func (c *Conn) respond(
	ctx context.Context,
	root *flavors.RemoteReference,
	user string,
	name any,
	password cred.Secret,
	mind any,
) (any, error) {
	challenge, err := flavors.Call[jelly.Tuple](ctx, root, "login", name)
	if err != nil {
		return nil, fmt.Errorf("logging in: %w", err)
	}
	salt, challenger, err := challengeOf(challenge)
	if err != nil {
		return nil, fmt.Errorf("logging in: %w", err)
	}
	defer challenger.Release()
	return c.loginCall(ctx, user, challenger, "respond", cred.Respond(salt, password), mind)
}

// loginCall makes a call that ends a user's login, and keeps the avatar if that is the answer.
func (c *Conn) loginCall(
	ctx context.Context,
	user string,
	on *flavors.RemoteReference,
	method string,
	args ...any,
) (any, error) {
	answer, err := flavors.Call[any](ctx, on, method, args...)
	if err != nil {
		return nil, fmt.Errorf("logging in: %w", err)
	}
	if avatar, ok := answer.(*flavors.RemoteReference); ok {
		c.keepAvatar(avatar, user)
	}
	return answer, nil
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

// LoginPassword logs in with the password itself, for servers that store a strong hash of it. It sends the password
// over TLS only, and only to servers of this library that offer the login; otherwise it fails with [ErrNeedsTLS] or
// [ErrNotOffered] and sends nothing.
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
		return nil, fmt.Errorf("%w: it offers %s", ErrNotOffered, orNothing(methods))
	}
	return c.avatar(ctx, p.Username, c.Published(rootName), methodPassword, p.Username, string(p.Password), mind)
}

func orNothing(methods []string) string {
	if len(methods) == 0 {
		return "no such login, as a server with Twisted does; use Login"
	}
	return strings.Join(methods, ", ")
}

// LoginCertificate logs in as the user named by the client certificate that this side has presented in mutual TLS. Only
// servers of this library offer it.
func (c *Conn) LoginCertificate(ctx context.Context, mind any) (*flavors.RemoteReference, error) {
	return c.avatar(ctx, "", c.Published(rootName), methodCertificate, mind)
}

// LoginPeer logs in as the user who runs this process, over a Unix socket. Only servers of this library offer it.
func (c *Conn) LoginPeer(ctx context.Context, mind any) (*flavors.RemoteReference, error) {
	return c.avatar(ctx, "", c.Published(rootName), methodPeer, mind)
}

// Logout releases an avatar that a login on this connection has returned, which logs out at the server. It does not
// wait for the server.
func (c *Conn) Logout(avatar *flavors.RemoteReference) {
	if !c.isMade() {
		return
	}
	c.c.avatars.Lock()
	i := slices.IndexFunc(c.c.avatars.kept, func(k keptAvatar) bool { return k.avatar == avatar })
	if i >= 0 {
		c.c.avatars.kept = slices.Delete(c.c.avatars.kept, i, i+1)
	}
	c.c.avatars.Unlock()
	if i >= 0 {
		avatar.Release()
	}
}

// avatar performs a login call. The user's name is empty if only the server knows it.
func (c *Conn) avatar(
	ctx context.Context,
	user string,
	on *flavors.RemoteReference,
	method string,
	args ...any,
) (*flavors.RemoteReference, error) {
	avatar, err := c.callForAvatar(ctx, user, on, method, args...)
	if err != nil {
		return nil, fmt.Errorf("logging in: %w", err)
	}
	return avatar, nil
}

// callForAvatar makes a call that returns an avatar, and keeps the avatar.
func (c *Conn) callForAvatar(
	ctx context.Context,
	user string,
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
	c.keepAvatar(avatar, user)
	return avatar, nil
}

// keptAvatar is an avatar of the user with a name, which is empty if it is not known.
type keptAvatar struct {
	avatar *flavors.RemoteReference
	user   string
}

// loggedIn returns the names of the users as whom this side has logged in at the peer.
func (c *connection) loggedIn() (names []string) {
	c.avatars.Lock()
	defer c.avatars.Unlock()
	for _, k := range c.avatars.kept {
		if k.user != "" && k.avatar.Err() == nil {
			names = append(names, k.user)
		}
	}
	return names
}

// keepAvatar keeps a user's avatar until the connection ends or logs it out.
func (c *Conn) keepAvatar(avatar *flavors.RemoteReference, user string) {
	c.c.avatars.Lock()
	defer c.c.avatars.Unlock()
	// Drop avatars that were released without a logout.
	c.c.avatars.kept = slices.DeleteFunc(c.c.avatars.kept, func(k keptAvatar) bool { return k.avatar.Err() != nil })
	if !c.c.ended() {
		c.c.avatars.kept = append(c.c.avatars.kept, keptAvatar{avatar, user})
	}
}
