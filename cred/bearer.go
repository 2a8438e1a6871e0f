package cred

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// MaxAttached is how many perspectives an identity may be attached to at a time, for each of its logins.
const MaxAttached = 64

// Bearer is an identity that is in, with its keyring: the avatar that [Identities] makes. It is safe for concurrent
// use.
type Bearer[Mind, Avatar any] struct {
	identities *Identities[Mind, Avatar]
	id         AvatarID
	mind       Mind

	mu       sync.Mutex
	left     bool
	coming   int // perspectives that a service is making just now
	attached []*Session[Avatar]
}

// Identity is whose keyring it is.
func (b *Bearer[Mind, Avatar]) Identity() (id AvatarID) {
	if b != nil {
		id = b.id
	}
	return id
}

// Mind is the one that came with the login.
func (b *Bearer[Mind, Avatar]) Mind() (mind Mind) {
	if b != nil {
		mind = b.mind
	}
	return mind
}

// Keyring returns the keys on the identity's keyring now, in the order of their names.
func (b *Bearer[Mind, Avatar]) Keyring() []Key {
	if b == nil || b.identities == nil {
		return nil
	}
	return b.identities.Keyring(b.id)
}

var errNoBearer = errors.New("cred: the Bearer is nil, or was not made by Identities")

// Attach asks for a perspective. The session ends with its own Logout or with the identity's, whichever is first.
// The error is always a *Refused: the same for a perspective that the identity may not have and for one that does
// not exist.
func (b *Bearer[Mind, Avatar]) Attach(ctx context.Context, key Key, mind Mind) (*Session[Avatar], error) {
	switch {
	case b == nil || b.identities == nil:
		return nil, Fault(ctx, ReasonRealm, errNoBearer)
	case ctx == nil:
		return nil, Fault(context.Background(), ReasonRealm, errNoContext)
	}
	service, refused := b.identities.unlock(b.id, key)
	if refused != nil {
		return nil, refused
	}
	if refused := b.begin(); refused != nil {
		return nil, refused
	}
	var session *Session[Avatar] // set before anybody else can know of it, and so before its logout
	realm := RealmFunc[Mind, Avatar](func(ctx context.Context, id AvatarID, mind Mind) (Avatar, func(), error) {
		avatar, logout, err := service.Perspective(ctx, key.Perspective, id, mind)
		return avatar, func() {
			defer b.detach(session)
			if logout != nil {
				logout()
			}
		}, err
	})
	entered := false
	defer func() {
		if !entered { // The service has ended the goroutine.
			b.end(nil)
		}
	}()
	var err error
	session, err = enter(ctx, realm, b.id, mind, b.identities.config.logger)
	entered = true
	if err != nil {
		b.end(nil)
		return nil, refusedBy(ctx, err, ReasonRealm)
	}
	if !b.end(session) {
		session.Logout()
		return nil, Refuse(ReasonDenied, "%s logged out while %q was being attached", b.id, key)
	}
	return session, nil
}

// begin takes a place for one more perspective.
func (b *Bearer[Mind, Avatar]) begin() *Refused {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left {
		return Refuse(ReasonDenied, "%s has logged out", b.id)
	}
	if b.coming+len(b.attached) >= MaxAttached {
		return Refuse(ReasonDenied, "%s is attached to the %d perspectives of MaxAttached", b.id, MaxAttached)
	}
	b.coming++
	return nil
}

// end gives the place to the session, if there is one, or back. It says whether the identity is still there.
func (b *Bearer[Mind, Avatar]) end(session *Session[Avatar]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.coming--
	if session != nil && !b.left {
		b.attached = append(b.attached, session)
	}
	return !b.left
}

func (b *Bearer[Mind, Avatar]) detach(session *Session[Avatar]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.attached, session); i >= 0 {
		b.attached = slices.Delete(b.attached, i, i+1)
	}
}

// leave is the identity's logout: it logs out what is attached, the last first.
func (b *Bearer[Mind, Avatar]) leave() {
	b.mu.Lock()
	b.left = true
	sessions := b.attached
	b.attached = nil
	b.mu.Unlock()
	for _, session := range slices.Backward(sessions) {
		session.Logout()
	}
}
