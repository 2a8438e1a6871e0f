package cred

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
)

// Key names one perspective of one service: login/Alice, login/Admin, chat/Alice. A service defines the names of its
// perspectives; they need not exist before they are requested.
type Key struct{ Service, Perspective string }

// String returns service/perspective.
func (k Key) String() string { return k.Service + "/" + k.Perspective }

// Service makes the perspectives of one service.
type Service[Mind, Avatar any] interface {
	// Perspective returns the named perspective for an identity whose keyring has been checked, and a function for when
	// the identity is detached, which may be nil. It is called concurrently.
	Perspective(ctx context.Context, name string, identity AvatarID, mind Mind) (avatar Avatar, logout func(), err error)
}

// ServiceFunc is a function that implements Service.
type ServiceFunc[Mind, Avatar any] func(
	ctx context.Context, name string, identity AvatarID, mind Mind,
) (Avatar, func(), error)

// Perspective implements Service.
func (f ServiceFunc[Mind, Avatar]) Perspective(
	ctx context.Context,
	name string,
	identity AvatarID,
	mind Mind,
) (Avatar, func(), error) {
	if f == nil {
		var none Avatar
		return none, nil, errors.New("cred: the ServiceFunc is nil")
	}
	return f(ctx, name, identity, mind)
}

// Identities is the older model of Perspective Broker: an identity, which logs in, has a keyring, which lists the
// perspectives of services that it may use.
//
// Identities is a realm whose avatars are [Bearer]s. A portal logs an identity in, and the Bearer attaches it to
// perspectives. It is safe for concurrent use.
type Identities[Mind, Avatar any] struct {
	config portalConfig

	mu       sync.RWMutex
	services map[string]Service[Mind, Avatar]
	keyrings map[AvatarID]map[Key]struct{}
}

// NewIdentities returns a realm with no services and empty keyrings.
func NewIdentities[Mind, Avatar any](opts ...PortalOption) *Identities[Mind, Avatar] {
	return &Identities[Mind, Avatar]{
		config:   newPortalConfig(opts),
		services: map[string]Service[Mind, Avatar]{},
		keyrings: map[AvatarID]map[Key]struct{}{},
	}
}

// AddService adds a service. Its name must be new.
func (i *Identities[Mind, Avatar]) AddService(name string, service Service[Mind, Avatar]) error {
	if i == nil || i.services == nil {
		return errors.New("cred: these Identities are nil, or were not made by NewIdentities")
	}
	if name == "" || isNil(service) {
		return errors.New("cred: AddService needs a name and a service")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, ok := i.services[name]; ok {
		return fmt.Errorf("cred: there is a service %q already", name)
	}
	i.services[name] = service
	return nil
}

// Grant adds keys to an identity's keyring. Their service may be added later.
func (i *Identities[Mind, Avatar]) Grant(identity AvatarID, keys ...Key) error {
	if i == nil || i.keyrings == nil {
		return errors.New("cred: these Identities are nil, or were not made by NewIdentities")
	}
	if identity.IsZero() {
		return errors.New("cred: Grant needs an identity: make one with cred.ID")
	}
	for _, key := range keys {
		if key.Service == "" || key.Perspective == "" {
			return fmt.Errorf("cred: the key %q for %s needs a service and a perspective", key, identity)
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.keyrings[identity] == nil {
		i.keyrings[identity] = map[Key]struct{}{}
	}
	for _, key := range keys {
		i.keyrings[identity][key] = struct{}{}
	}
	return nil
}

// Revoke removes keys from an identity's keyring. Attached perspectives stay attached until they are logged out.
func (i *Identities[Mind, Avatar]) Revoke(identity AvatarID, keys ...Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, key := range keys {
		delete(i.keyrings[identity], key)
	}
	if len(i.keyrings[identity]) == 0 {
		delete(i.keyrings, identity)
	}
}

// Keyring returns the keys of an identity, sorted.
func (i *Identities[Mind, Avatar]) Keyring(identity AvatarID) []Key {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return slices.SortedFunc(maps.Keys(i.keyrings[identity]), func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Perspective, b.Perspective))
	})
}

// RequestAvatar implements Realm. It also accepts an identity without keys.
func (i *Identities[Mind, Avatar]) RequestAvatar(
	_ context.Context,
	id AvatarID,
	mind Mind,
) (*Bearer[Mind, Avatar], func(), error) {
	b := &Bearer[Mind, Avatar]{identities: i, id: id, mind: mind}
	return b, b.leave, nil
}

// unlock returns the service of a key if the identity has that key. Only the log learns whether the service exists.
func (i *Identities[Mind, Avatar]) unlock(identity AvatarID, key Key) (Service[Mind, Avatar], *Refused) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if _, ok := i.keyrings[identity][key]; !ok {
		return nil, Refuse(ReasonDenied, "the keyring of %s has no key for %q", identity, shorten(key.String()))
	}
	service, ok := i.services[key.Service]
	if !ok {
		return nil, Refuse(ReasonDenied, "the keyring of %s has a key for %q, and there is no such service", identity, key)
	}
	return service, nil
}

// MaxAttached is how many perspectives a login of an identity may be attached to at a time.
const MaxAttached = 64

// Bearer is a logged-in identity with its keyring: the avatar that [Identities] makes. It is safe for concurrent use.
type Bearer[Mind, Avatar any] struct {
	identities *Identities[Mind, Avatar]
	id         AvatarID
	mind       Mind

	mu       sync.Mutex
	left     bool
	coming   int // perspectives being made
	attached []*Session[Avatar]
}

// Identity returns the avatar id of the identity.
func (b *Bearer[Mind, Avatar]) Identity() (id AvatarID) {
	if b != nil {
		id = b.id
	}
	return id
}

// Mind returns the mind that came with the login.
func (b *Bearer[Mind, Avatar]) Mind() (mind Mind) {
	if b != nil {
		mind = b.mind
	}
	return mind
}

// Keyring returns the current keys of the identity, sorted.
func (b *Bearer[Mind, Avatar]) Keyring() []Key {
	if b == nil || b.identities == nil {
		return nil
	}
	return b.identities.Keyring(b.id)
}

var errNoBearer = errors.New("cred: the Bearer is nil, or was not made by Identities")

// Attach requests a perspective. The session ends with its own Logout or with the identity's, whichever comes first.
// The error is always a *Refused. It is the same for a perspective that the identity may not have and for one that does
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
	var session *Session[Avatar] // set before its logout can run
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
		if !entered { // The service called runtime.Goexit.
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

// begin reserves room for one more perspective.
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

// end gives the reserved room to the session, or releases it if session is nil. It reports whether the identity is
// still logged in.
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

// leave is the identity's logout. It logs out the attached sessions, the last first.
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

// Format implements fmt.Formatter.
func (b *Bearer[Mind, Avatar]) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "<identity "+b.Identity().String()+">")
}

// Format implements fmt.Formatter.
func (i *Identities[Mind, Avatar]) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "<identities>")
}
