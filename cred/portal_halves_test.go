package cred_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred"
)

func TestTheHalvesOfALogin(t *testing.T) {
	p := portal(t, users(t), cred.AllowAnonymous())
	id, err := p.Authenticate(t.Context(), plain("alice", "sesame"))
	require.NoError(t, err)
	assert.Equal(t, cred.ID("alice"), id)
	session, err := p.Enter(t.Context(), id, "mind")
	require.NoError(t, err)
	assert.Equal(t, "mind is alice", session.Avatar())
	session.Logout()

	var refused *cred.Refused
	_, err = p.Authenticate(t.Context(), plain("alice", "guess"))
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, cred.ReasonWrong, refused.Reason())
	_, err = p.Authenticate(t.Context(), nil)
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, cred.ReasonMalformed, refused.Reason())
	_, err = p.Enter(t.Context(), cred.AvatarID{}, "mind")
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, cred.ReasonDenied, refused.Reason())
}
