package cred_test

import (
	"os"
	"os/user"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred"
)

func TestUnixPeers(t *testing.T) {
	checker, err := cred.NewUnixPeers(cred.ByUID(1000, "alice"), cred.ByGID(50, "staff"), cred.ByUID(1001, "bob"))
	require.NoError(t, err)
	p := portal(t, checker)
	for _, c := range []struct {
		peer cred.UnixPeer
		id   cred.AvatarID
	}{
		{cred.UnixPeer{UID: 1000, GID: 50}, cred.ID("alice")},
		{cred.UnixPeer{UID: 1001, GID: 50}, cred.ID("staff")},
		{cred.UnixPeer{UID: 1001, GID: 1001, PID: 7}, cred.ID("bob")},
	} {
		session, err := p.Login(t.Context(), c.peer, "")
		require.NoError(t, err)
		assert.Equal(t, c.id, session.AvatarID())
		session.Logout()
	}
	_, err = p.Login(t.Context(), cred.UnixPeer{UID: 0, GID: 0, PID: 8}, "")
	assert.Equal(t, "uid 0, gid 0, pid 8", wantRefused(t, err, cred.ReasonUnknown).Claim(), "root has no special rights")
	_, err = checker.Check(t.Context(), cred.Anonymous{})
	wantRefused(t, err, cred.ReasonUnhandled)
	_, err = cred.NewUnixPeers(cred.ByUID(1, "a"), cred.UnixRule{})
	assert.ErrorContains(t, err, "rule 2 of 2 is empty")
}

func TestSystemNames(t *testing.T) {
	me, err := user.Current()
	require.NoError(t, err)
	checker, err := cred.NewUnixPeers(cred.BySystemName())
	require.NoError(t, err)
	id, err := checker.Check(t.Context(), cred.UnixPeer{UID: uint32(os.Getuid())})
	require.NoError(t, err)
	assert.Equal(t, cred.ID(me.Username), id)
	_, err = checker.Check(t.Context(), cred.UnixPeer{UID: 3_999_999_999})
	wantRefused(t, err, cred.ReasonUnknown)
}
