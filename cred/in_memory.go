package cred

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
)

// InMemory is a checker of users that are held in memory. It accepts [KindUsernamePassword], and
// [KindChallengeResponse] while it has an entry that can answer one.
type InMemory struct {
	config checkerConfig
	users  atomic.Pointer[userlist] // replaced as a whole
}

// NewInMemory makes a checker with these users.
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
	m.users.Store(newUserlist(maps.Clone(users), newStandKey()))
	return m, nil
}

var errNotInMemory = errors.New("cred: the InMemory is nil, or was not made by NewInMemory")

// checkUser says whether a user can ever log in; it keeps slips of configuration from going unnoticed.
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

// SetUser adds a user, or gives one another password.
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

// RemoveUser takes a user out, if there is one of that name. Sessions go on.
func (m *InMemory) RemoveUser(name string) {
	if m.users.Load() == nil {
		return // It was not made by NewInMemory, and has no users.
	}
	m.change(func(users map[string]Entry) { delete(users, name) })
}

// change replaces the list by a changed copy, so that logins never wait for a lock.
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
