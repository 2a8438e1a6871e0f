package cred

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
)

type standKey [sha256.Size]byte

// userlist is a set of users that is wholly in memory. It does not change once made.
type userlist struct {
	entries map[string]Entry
	stands  []Entry // every usable entry once, in the order of the names
	answers bool    // some entry can answer a challenge
	key     standKey
}

// newStandKey makes the key by which a checker picks stand-ins; it keeps it when its users change.
func newStandKey() (key standKey) {
	_, _ = rand.Read(key[:]) // It never fails.
	return key
}

func newUserlist(entries map[string]Entry, key standKey) *userlist {
	u := &userlist{entries: entries, key: key}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		entry := entries[name]
		if _, bad := entry.(unusable); bad {
			continue
		}
		u.stands = append(u.stands, entry)
		u.answers = u.answers || CanAnswer(entry)
	}
	return u
}

// stand returns the entry that is checked in the place of one that is not there. It is some other user's: so
// unknown users take as long as known ones do, whatever mixture of schemes and parameters there is. The same name
// gets the same one, as a known user would, and nobody outside can tell which.
func (u *userlist) stand(name string) Entry {
	if len(u.stands) == 0 {
		return Plaintext("")
	}
	mac := hmac.New(sha256.New, u.key[:])
	mac.Write([]byte(name))
	return u.stands[binary.BigEndian.Uint64(mac.Sum(nil))%uint64(len(u.stands))]
}

// check looks the user up under the name that canonical makes of the one that was given, which is the avatar id as
// well.
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
	if refused := checkEntry(ctx, hasher, credentials, u.entries[name], u.stand(name)); refused != nil {
		return AvatarID{}, refused
	}
	return ID(name), nil
}
