package cred_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred"
)

func TestSecretPrinting(t *testing.T) {
	const text = "xyzzy-78797a7a79"
	credentials := plain("alice", text)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", credentials.Password, "credentials", credentials)
	asJSON, err := json.Marshal(credentials)
	require.NoError(t, err)
	printed := []string{log.String(), string(asJSON), credentials.Password.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s"} {
		printed = append(printed,
			fmt.Sprintf(verb, credentials), fmt.Sprintf(verb, &credentials), fmt.Sprintf(verb, credentials.Password),
			fmt.Sprintf(verb, []cred.Secret{text}), fmt.Sprintf(verb, cred.Plaintext(text)), fmt.Sprintf(verb, cred.MD5(text)))
	}
	for _, s := range printed {
		assert.NotContains(t, s, text)
		assert.NotContains(t, s, fmt.Sprintf("%x", text))
	}
	assert.Equal(t, text, string(credentials.Password))
}

func TestAvatarIDs(t *testing.T) {
	for _, c := range []struct {
		id        cred.AvatarID
		text      string
		anonymous bool
		zero      bool
	}{
		{cred.ID("alice"), "alice", false, false},
		{cred.AnonymousID(), "(anonymous)", true, false},
		{cred.ID(""), "(nobody)", false, true},
		{cred.AvatarID{}, "(nobody)", false, true},
	} {
		assert.Equal(t, c.text, c.id.String())
		assert.Equal(t, c.anonymous, c.id.Anonymous())
		assert.Equal(t, c.zero, c.id.IsZero())
	}
	assert.Equal(t, "alice", cred.ID("alice").Name())
	assert.NotEqual(t, cred.AnonymousID(), cred.ID("(anonymous)"), "a name is never the anonymous user")
}
