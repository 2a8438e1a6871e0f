package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// ErrNeedsTLS is why a password is not sent in the clear.
var ErrNeedsTLS = errors.New("broker: a password in the clear goes over TLS only; use a pbs:// URL, or Login, which does not send it")

// Login logs in as Twisted's clients do and returns the reference to the avatar. The credentials are cred.UsernamePassword, of which only
// the response to the server's challenge is sent, or cred.Anonymous. The mind is an object of ours that the server may call, a pointer to
// a struct that embeds [flavors.Referenceable], or nil; the server may call it before Login returns.
//
// The connection keeps the avatar: forgetting the reference does not log out. Releasing it does, as does the end of the connection.
// errors.Is(err, flavors.UnauthorizedLogin) says that the server refused.
func (c *Conn) Login(ctx context.Context, credentials cred.Credentials, mind any) (*flavors.RemoteReference, error) {
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

// LoginPassword sends the password itself, for servers that keep it as a good hash. It does so over TLS only, and only to servers of
// this library.
func (c *Conn) LoginPassword(ctx context.Context, p cred.UsernamePassword, mind any) (*flavors.RemoteReference, error) {
	if c.tlsState() == nil {
		return nil, ErrNeedsTLS
	}
	return c.avatar(ctx, c.Published(rootName), "loginPassword", p.Username, string(p.Password), mind)
}

// LoginCertificate logs in as whom the certificate names that this side has shown in mutual TLS, at servers of this library.
func (c *Conn) LoginCertificate(ctx context.Context, mind any) (*flavors.RemoteReference, error) {
	return c.avatar(ctx, c.Published(rootName), "loginCertificate", mind)
}

// LoginPeer logs in as the user under whom this process runs, over a Unix socket, at servers of this library.
func (c *Conn) LoginPeer(ctx context.Context, mind any) (*flavors.RemoteReference, error) {
	return c.avatar(ctx, c.Published(rootName), "loginPeer", mind)
}

// avatar makes the call that answers with one, and keeps it.
func (c *Conn) avatar(ctx context.Context, on *flavors.RemoteReference, method string, args ...any) (*flavors.RemoteReference, error) {
	avatar, err := flavors.Call[*flavors.RemoteReference](ctx, on, method, args...)
	if err != nil {
		return nil, fmt.Errorf("logging in: %w", err)
	}
	if avatar == nil {
		return nil, fmt.Errorf("logging in: %w", &ProtocolError{Command: "answer", What: "the answer to a login is a reference to the avatar"})
	}
	c.avatars.Lock()
	defer c.avatars.Unlock()
	c.avatars.kept = append(c.avatars.kept, avatar)
	return avatar, nil
}
