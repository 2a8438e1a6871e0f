package cred_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/internal/stock"
)

// golden is what testdata/golden.py had to say.
type golden struct {
	Answers []struct{ Challenge, Password, Response hexText }
	Files   []struct {
		Name          string
		Content       hexText
		Delim         string
		UsernameField int
		PasswordField int
		CaseSensitive bool
		In            [][3]hexText
	}
	Asked, Passwords []hexText
}

type hexText string

func (h *hexText) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = hexText(b)
	return err
}

func readGolden(t *testing.T) (g golden) {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &g))
	return g
}

// TestGoldenMatchesStock runs the script again and compares.
func TestGoldenMatchesStock(t *testing.T) {
	stock.Require(t)
	out, err := exec.CommandContext(t.Context(), stock.Python, "testdata/golden.py").Output()
	require.NoError(t, err)
	want, err := os.ReadFile("testdata/golden.json")
	require.NoError(t, err)
	assert.Equal(t, string(want), string(out))
}

func TestGoldenAnswers(t *testing.T) {
	answers := readGolden(t).Answers
	require.NotEmpty(t, answers)
	for _, a := range answers {
		challenge, password := []byte(a.Challenge), cred.Secret(a.Password)
		assert.Equal(t, []byte(a.Response), cred.Respond(challenge, password))
		c := cred.ChallengeResponse{Username: "x", Challenge: challenge, Response: []byte(a.Response)}
		assert.True(t, c.CheckPassword(password))
		assert.True(t, c.CheckMD5Password(md5.Sum([]byte(a.Password))))
		assert.False(t, c.CheckPassword(password+"x"))
	}
}

func TestChallenges(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		challenge := cred.NewChallenge()
		require.Len(t, challenge, cred.ChallengeBytes)
		require.False(t, seen[string(challenge)])
		seen[string(challenge)] = true
	}
}

// TestEmptyChallenge: a server with an empty challenge must not accept the same response forever.
func TestEmptyChallenge(t *testing.T) {
	for _, challenge := range [][]byte{nil, {}} {
		c := cred.ChallengeResponse{Username: "x", Challenge: challenge, Response: cred.Respond(challenge, "sesame")}
		assert.False(t, c.CheckPassword("sesame"))
	}
}

func TestGarbledResponses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		right := response("alice", "sesame")
		garbled := right
		garbled.Response = rapid.OneOf(
			rapid.SliceOf(rapid.Byte()),
			rapid.Custom(func(t *rapid.T) []byte { return right.Response[:rapid.IntRange(0, 15).Draw(t, "cut")] }),
			rapid.Custom(func(t *rapid.T) []byte { return append(right.Response[:16:16], rapid.Byte().Draw(t, "more")) }),
		).Draw(t, "response")
		if garbled.CheckPassword("sesame") {
			t.Fatalf("%x was taken for %x", garbled.Response, right.Response)
		}
		if !right.CheckPassword("sesame") {
			t.Fatalf("%x was refused", right.Response)
		}
	})
}
