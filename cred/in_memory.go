package cred

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"
)

// InMemory is a checker of users in memory. It accepts [KindUsernamePassword], and [KindChallengeResponse] if one of
// its entries can check it.
type InMemory struct {
	config checkerConfig
	users  atomic.Pointer[userlist] // replaced as a whole
}

// NewInMemory returns a checker of these users.
func NewInMemory(users map[string]Entry, opts ...CheckerOption) (*InMemory, error) {
	m := &InMemory{config: newCheckerConfig()}
	for _, o := range opts {
		if o != nil {
			o.applyChecker(&m.config)
		}
	}
	m.config.complete()
	for name, entry := range users {
		if err := checkUser(name, entry); err != nil {
			return nil, err
		}
	}
	m.users.Store(newUserlist(maps.Clone(users), newDecoyKey()))
	return m, nil
}

var errNotInMemory = errors.New("cred: the InMemory is nil, or was not made by NewInMemory")

// checkUser rejects users that could never log in, so that configuration errors are noticed.
func checkUser(name string, entry Entry) error {
	if refused := CheckUsername(name); refused != nil {
		return fmt.Errorf("cred: %q cannot be a user: %s", shorten(name), refused.Detail())
	}
	if entry == nil {
		return fmt.Errorf(
			"cred: the user %q has no password entry: give a cred.Plaintext, a cred.MD5 or one of a Hasher's",
			name,
		)
	}
	return nil
}

// SetUser adds a user or replaces a user's password.
func (m *InMemory) SetUser(name string, entry Entry) error {
	if err := checkUser(name, entry); err != nil {
		return err
	}
	if m.users.Load() == nil {
		return errNotInMemory
	}
	m.change(func(users map[string]Entry) { users[name] = entry })
	return nil
}

// RemoveUser removes a user, if it exists. Its sessions continue.
func (m *InMemory) RemoveUser(name string) {
	if m.users.Load() == nil {
		return // not made by NewInMemory
	}
	m.change(func(users map[string]Entry) { delete(users, name) })
}

// change replaces the list with a changed copy, so that logins need no lock.
func (m *InMemory) change(f func(map[string]Entry)) {
	for {
		old := m.users.Load()
		users := maps.Clone(old.entries)
		if users == nil {
			users = map[string]Entry{}
		}
		f(users)
		if m.users.CompareAndSwap(old, newUserlist(users, old.key)) {
			return
		}
	}
}

// Accepts implements Checker.
func (m *InMemory) Accepts(kind Kind) bool {
	users := m.users.Load()
	return users != nil && (kind == KindUsernamePassword || kind == KindChallengeResponse && users.answers)
}

// Check implements Checker.
func (m *InMemory) Check(ctx context.Context, credentials Credentials) (AvatarID, error) {
	switch {
	case m == nil || m.users.Load() == nil:
		return AvatarID{}, Fault(context.Background(), ReasonStore, errNotInMemory)
	case ctx == nil:
		return AvatarID{}, Fault(context.Background(), ReasonStore, errNoContext)
	case credentials == nil:
		return AvatarID{}, unhandled(credentials)
	}
	if !m.Accepts(credentials.Kind()) {
		return AvatarID{}, unhandled(credentials)
	}
	return m.users.Load().check(ctx, m.config.hasher, credentials, asGiven)
}

// asGiven is for stores in which a user has one name, spelled in one way.
func asGiven(name string) string { return name }

type decoyKey [sha256.Size]byte

// userlist is an immutable set of users.
type userlist struct {
	entries map[string]Entry
	decoys  []Entry // the usable entries, sorted by name
	answers bool    // an entry can check a challenge's response
	key     decoyKey
}

// newDecoyKey returns a random key that selects decoys. A checker keeps it when its users change.
func newDecoyKey() (key decoyKey) {
	_, _ = rand.Read(key[:]) // never fails
	return key
}

func newUserlist(entries map[string]Entry, key decoyKey) *userlist {
	u := &userlist{entries: entries, key: key}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		entry := entries[name]
		if _, bad := entry.(unusable); bad {
			continue
		}
		u.decoys = append(u.decoys, entry)
		u.answers = u.answers || CanAnswer(entry)
	}
	return u
}

// decoy returns the entry that is checked for an unknown user: another user's. So unknown users take as long as known
// ones, whatever the mix of schemes and parameters. A name always gets the same entry, like a known user, and nobody
// outside can tell which.
func (u *userlist) decoy(name string) Entry {
	if len(u.decoys) == 0 {
		return Plaintext("")
	}
	mac := hmac.New(sha256.New, u.key[:])
	mac.Write([]byte(name))
	return u.decoys[binary.BigEndian.Uint64(mac.Sum(nil))%uint64(len(u.decoys))]
}

// check looks up canonical(name), which is also the avatar id.
func (u *userlist) check(
	ctx context.Context,
	hasher *Hasher,
	credentials Credentials,
	canonical func(string) string,
) (AvatarID, error) {
	name, refused := claimed(credentials)
	if refused != nil {
		return AvatarID{}, refused
	}
	name = canonical(name)
	if refused := checkEntry(ctx, hasher, credentials, u.entries[name], u.decoy(name)); refused != nil {
		return AvatarID{}, refused
	}
	return ID(name), nil
}

// Format implements fmt.Formatter.
func (m *InMemory) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<users in memory>") }
