package cred_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred"
)

func TestRefusalText(t *testing.T) {
	ctx := context.Background()
	cause := errors.New("dial tcp 10.0.0.7: connection refused")
	refusals := []*cred.Refused{
		cred.Refuse(cred.ReasonUnknown, ""),
		cred.Refuse(cred.ReasonWrong, "the third password of %s", "alice"),
		cred.Fault(ctx, cred.ReasonStore, cause),
	}
	verbs := []string{"%v", "%+v", "%s", "%#v", "%q"}
	for _, r := range refusals {
		for _, verb := range verbs {
			assert.Equal(t, fmt.Sprintf(verb, error(refusals[0])), fmt.Sprintf(verb, error(r)))
			assert.NotContains(t, fmt.Sprintf(verb, error(r)), "unknown")
		}
		asJSON, err := json.Marshal(r)
		require.NoError(t, err)
		assert.JSONEq(t, `"cred: login refused"`, string(asJSON))
		assert.NoError(t, errors.Unwrap(r), "a refusal wraps nothing")
		assert.NotErrorIs(t, r, cause)
	}
}

func TestRefusalLog(t *testing.T) {
	ended, end := context.WithCancel(context.Background())
	end()
	cause := errors.New("no route")
	for _, c := range []struct {
		refused *cred.Refused
		reason  cred.Reason
		fault   bool
		log     string
	}{
		{cred.Refuse(cred.ReasonUnknown, ""), cred.ReasonUnknown, false, "unknown user"},
		{cred.Refuse(cred.ReasonDenied, "no key %q", "a"), cred.ReasonDenied, false, `not allowed: no key "a"`},
		{cred.Refuse(cred.ReasonWrong, "100%"), cred.ReasonWrong, false, "wrong credentials: 100%"},
		{cred.Fault(context.Background(), cred.ReasonStore, cause), cred.ReasonStore, true,
			"store of users failed: no route"},
		{cred.Fault(context.Background(), cred.ReasonRealm, cause), cred.ReasonRealm, true, "realm failed: no route"},
		{cred.Fault(context.Background(), cred.ReasonUnusable, cause), cred.ReasonUnusable, true,
			"unusable password entry: no route"},
		{cred.Fault(ended, cred.ReasonStore, cause), cred.ReasonEnded, true, "ended before a decision: no route"},
	} {
		assert.Equal(t, c.reason, c.refused.Reason())
		assert.Equal(t, c.fault, c.refused.Fault(), c.log)
		assert.Equal(t, c.log, c.refused.Log())
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "why", c.refused)
		var line struct{ Why string }
		require.NoError(t, json.Unmarshal(log.Bytes(), &line))
		assert.Equal(t, c.log, line.Why)
	}
	assert.Equal(t, cause, cred.Fault(ended, cred.ReasonStore, cause).Cause())
	assert.NoError(t, cred.Refuse(cred.ReasonWrong, "").Cause())
}

func TestRefusalNamesCredentials(t *testing.T) {
	p := portal(t)
	_, err := p.Login(context.Background(), plain("mallory\n", "secret-x"), "")
	refused := wantRefused(t, err, cred.ReasonUnhandled)
	assert.Equal(t, "mallory\n", refused.Claim())
	assert.Equal(t, cred.KindUsernamePassword, refused.Kind())
	assert.Contains(t, refused.Log(), `(username-password of "mallory\n")`)
	assert.NotContains(t, refused.Log(), "secret-x")

	_, err = p.Login(context.Background(), plain(strings.Repeat("x", 1<<20), ""), "")
	assert.Less(t, len(wantRefused(t, err, cred.ReasonUnhandled).Log()), 1000, "a peer must not fill the log")
	_, err = p.Login(context.Background(), cred.Anonymous{}, "")
	assert.Contains(t, wantRefused(t, err, cred.ReasonUnhandled).Log(), "(anonymous)")
	_, err = p.Login(context.Background(), nil, "")
	wantRefused(t, err, cred.ReasonMalformed)
}

func TestUsernames(t *testing.T) {
	for _, good := range []string{"a", "Ünal", "\xc4", "o'brien; --", strings.Repeat("x", cred.MaxUsernameBytes)} {
		assert.Nil(t, cred.CheckUsername(good), "%q", good)
	}
	for _, bad := range []string{"", "a\x00", "a\nb", "\x7f", strings.Repeat("x", cred.MaxUsernameBytes+1)} {
		refused := cred.CheckUsername(bad)
		require.NotNil(t, refused, "%q", bad)
		assert.Equal(t, cred.ReasonMalformed, refused.Reason())
	}
	assert.NotNil(t, cred.CheckUsernamePassword(plain("a", cred.Secret(strings.Repeat("x", cred.MaxPasswordBytes+1)))))
	assert.Nil(t, cred.CheckUsernamePassword(plain("a", cred.Secret(strings.Repeat("x", cred.MaxPasswordBytes)))))
}
