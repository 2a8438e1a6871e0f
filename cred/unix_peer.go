package cred

import (
	"context"
	"fmt"
	"os/user"
	"strconv"
)

// UnixPeer is what the kernel reports about the process at the other end of a Unix socket (SO_PEERCRED).
type UnixPeer struct {
	UID, GID uint32
	// PID is for the log only: it may already belong to another process.
	PID int32
}

// Kind implements Credentials.
func (UnixPeer) Kind() Kind { return KindUnixPeer }

// Claim implements Credentials.
func (c UnixPeer) Claim() string { return fmt.Sprintf("uid %d, gid %d, pid %d", c.UID, c.GID, c.PID) }

// UnixRule maps users of the machine to avatar ids.
type UnixRule struct {
	match func(UnixPeer) (AvatarID, error) // returns the zero id if the rule does not match
}

// ByUID matches one user of the machine.
func ByUID(uid uint32, name string) UnixRule {
	return UnixRule{func(c UnixPeer) (AvatarID, error) {
		if c.UID != uid {
			return AvatarID{}, nil
		}
		return ID(name), nil
	}}
}

// ByGID matches every process with that primary group. The kernel does not report supplementary groups.
func ByGID(gid uint32, name string) UnixRule {
	return UnixRule{func(c UnixPeer) (AvatarID, error) {
		if c.GID != gid {
			return AvatarID{}, nil
		}
		return ID(name), nil
	}}
}

// BySystemName matches every user, under the name that the machine's user database has for the uid.
func BySystemName() UnixRule { return bySystemName(user.LookupId) }

func bySystemName(lookUp func(uid string) (*user.User, error)) UnixRule {
	return UnixRule{func(c UnixPeer) (AvatarID, error) {
		found, err := lookUp(strconv.FormatUint(uint64(c.UID), 10))
		if _, unknown := err.(user.UnknownUserIdError); unknown { //nolint:errorlint // os/user returns it bare
			return AvatarID{}, nil
		}
		if err != nil {
			return AvatarID{}, fmt.Errorf("cred: looking up uid %d: %w", c.UID, err)
		}
		return ID(found.Username), nil
	}}
}

// UnixPeers is a checker of processes at the other end of a Unix socket.
type UnixPeers struct{ rules []UnixRule }

// NewUnixPeers returns a checker with these rules. The first rule that matches decides.
func NewUnixPeers(rules ...UnixRule) (*UnixPeers, error) {
	for i, rule := range rules {
		if rule.match == nil {
			return nil, fmt.Errorf(
				"cred: Unix rule %d of %d is empty: make it with ByUID, ByGID or BySystemName",
				i+1,
				len(rules),
			)
		}
	}
	return &UnixPeers{rules}, nil
}

// Accepts implements Checker.
func (*UnixPeers) Accepts(kind Kind) bool { return kind == KindUnixPeer }

// Check implements Checker.
func (u *UnixPeers) Check(ctx context.Context, credentials Credentials) (AvatarID, error) {
	peer, ok := credentials.(UnixPeer)
	if !ok {
		return AvatarID{}, unhandled(credentials)
	}
	for _, rule := range u.rules {
		id, err := rule.match(peer)
		if err != nil {
			return AvatarID{}, Fault(ctx, ReasonStore, err)
		}
		if !id.IsZero() {
			return id, nil
		}
	}
	return AvatarID{}, Refuse(ReasonUnknown, "no rule knows this peer")
}
