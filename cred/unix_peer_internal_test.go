package cred

import (
	"errors"
	"os/user"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSystemNameLookupFails(t *testing.T) {
	checker, err := NewUnixPeers(bySystemName(func(string) (*user.User, error) { return nil, errors.New("no such file") }))
	require.NoError(t, err)
	_, err = checker.Check(t.Context(), UnixPeer{UID: 7})
	var refused *Refused
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "store of users failed: cred: looking up uid 7: no such file", refused.Log())
}
