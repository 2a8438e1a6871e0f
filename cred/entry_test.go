package cred_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/cred"
)

// TestEntryRoundTrip parses what each entry encodes. The result accepts the same password and no other.
func TestEntryRoundTrip(t *testing.T) {
	ctx, h := context.Background(), weak()
	rapid.Check(t, func(t *rapid.T) {
		password := cred.Secret(rapid.StringN(1, 40, 72).Draw(t, "password"))
		other := cred.Secret(
			rapid.StringN(0, 40, 72).Filter(func(s string) bool { return s != string(password) }).Draw(t, "other"),
		)
		made := rapid.SampledFrom([]func() (cred.Entry, error){
			func() (cred.Entry, error) { return cred.Plaintext(password), nil },
			func() (cred.Entry, error) { return cred.MD5(password), nil },
			func() (cred.Entry, error) { return h.Argon2id(ctx, password) },
		}).Draw(t, "scheme")
		entry, err := made()
		if err != nil {
			t.Fatal(err)
		}
		read, err := cred.ParseEntry(entry.Encode())
		if err != nil || read.Scheme() != entry.Scheme() || read.Encode() != entry.Encode() {
			t.Fatalf("%s came back as %v, %v", entry, read, err)
		}
		if ok, err := h.Verify(ctx, read, password); !ok || err != nil {
			t.Fatalf("%s refuses its own password: %v", entry, err)
		}
		if ok, _ := h.Verify(ctx, read, other); ok {
			t.Fatalf("%s takes %q for %q", entry, string(other), string(password))
		}
		challenged := response("x", password)
		users, err := cred.NewInMemory(map[string]cred.Entry{"x": read}, cred.WithHasher(h))
		if err != nil {
			t.Fatal(err)
		}
		_, err = users.Check(ctx, challenged)
		if answered := err == nil; answered != cred.CanAnswer(read) {
			t.Fatalf("a challenge against %s: %v", entry, err)
		}
	})
}

func TestBcryptEntries(t *testing.T) {
	h := weak()
	entry := bcryptEntry(t, h, "sesame")
	read, err := cred.ParseEntry(entry.Encode())
	require.NoError(t, err)
	for password, want := range map[cred.Secret]bool{"sesame": true, "Sesame": false, "": false, "sesame ": false} {
		ok, err := h.Verify(t.Context(), read, password)
		require.NoError(t, err)
		assert.Equal(t, want, ok)
	}
	assert.False(t, cred.CanAnswer(read))
}

func TestRefusedEntries(t *testing.T) {
	salt, hash := "c2FsdHlzYWx0", "jPo3nTw+tFdPvCPeymDHRTJwZAid6xRATXgQUG0Rlzc"
	argon := func(params string) string { return "$argon2id$v=19$" + params + "$" + salt + "$" + hash }
	_, err := cred.ParseEntry(argon("m=64,t=2,p=1"))
	require.NoError(t, err)
	for text, says := range map[string]string{
		"":                                       "unknown scheme",
		"sesame":                                 "unknown scheme",
		"{MD5}":                                  "16 bytes in base64",
		"{MD5}AAAA":                              "16 bytes in base64",
		"{SHA}!!!!":                              "20 bytes in base64",
		"{SHA}AAAA":                              "20 bytes in base64",
		"{SSHA}AAAA":                             "a salt of up to 64",
		"$apr1$$NZNQwuVREMYMN7OW3UV6L1":          "apr1 entry must be",
		"$apr1$123456789$NZNQwuVREMYMN7OW3UV6L1": "apr1 entry must be",
		"$apr1$salt$short":                       "apr1 entry must be",
		"$apr1$sa:t$NZNQwuVREMYMN7OW3UV6L1":      "apr1 entry must be",
		"$1$abcdefgh$irWbblnpmw.5z7wgBnprh0":     "md5-crypt",
		"$6$abcdefgh$4zq14.":                     "sha512-crypt",
		"$5$abcdefgh$4zq14.":                     "sha256-crypt",
		"$y$j9T$x$y":                             "yescrypt",
		"$argon2i$v=19$m=64,t=2,p=1$" + salt + "$" + hash: "argon2i entries",
		"{CRYPT}xx":     "crypt entries",
		"KDQQAFXmOpOas": "DES crypt",
		"$2y$04$short":  "bcrypt entry must be",
		"$2x$04$iLrVTVe8XpYZqQ19ZpEnMOrnNtA9XvzTTteuOxBHk4HP.srHl/8fi": "bcrypt entry must be",
		"$2y$04$iLrVTVe8XpYZqQ19ZpEnMOrnNtA9XvzTTteuOxBHk4HP.srHl/8f!": "bcrypt entry must be",
		"$2y$31$iLrVTVe8XpYZqQ19ZpEnMOrnNtA9XvzTTteuOxBHk4HP.srHl/8fi": "cost 31, beyond the limit 15",
		argon("m=64,t=2"):                                         "must be m=…,t=…,p=…",
		argon("t=2,m=64,p=1"):                                     "must be m=…,t=…,p=…",
		argon("m=64,t=0,p=1"):                                     "positive number",
		argon("m=064,t=1,p=1"):                                    "positive number",
		argon("m=+64,t=1,p=1"):                                    "positive number",
		argon("m=4294967296,t=1,p=1"):                             "positive number",
		argon("m=4294967295,t=1,p=1"):                             "exceeds the HashLimits",
		argon("m=64,t=4294967295,p=1"):                            "exceeds the HashLimits",
		argon("m=64,t=1,p=255"):                                   "exceeds the HashLimits",
		argon("m=64,t=1,p=257"):                                   "exceeds the HashLimits",
		argon("m=64,t=1,p=9"):                                     "at least 8 KiB for each thread",
		"$argon2id$v=16$m=64,t=2,p=1$" + salt + "$" + hash:        "another version",
		"$argon2id$m=64,t=2,p=1$" + salt + "$" + hash:             "4 fields, not 5",
		"$argon2id$v=19$m=64,t=2,p=1$" + salt + "=$" + hash:       "the salt",
		"$argon2id$v=19$m=64,t=2,p=1$AAAA$" + hash:                "the salt",
		"$argon2id$v=19$m=64,t=2,p=1$" + salt + "$AAAA":           "the hash",
		"$argon2id$v=19$m=64,t=2,p=1$" + salt + "$" + hash + "AA": "the hash",
		"{CLEARTEXT}" + strings.Repeat("x", cred.MaxEntryBytes):   "MaxEntryBytes",
	} {
		entry, err := cred.ParseEntry(text)
		assert.ErrorContains(t, err, says, "%q", text)
		assert.Nil(t, entry)
		if len(text) > 20 {
			assert.NotContains(t, err.Error(), text[len(text)-10:], "an error must not show the stored text")
		}
	}
}

func TestHashLimits(t *testing.T) {
	h := weak(
		cred.WithHashLimits(
			cred.HashLimits{Argon2id: cred.Argon2idParams{MemoryKiB: 64, Time: 1, Threads: 1}, BcryptCost: 4},
		),
	)
	_, err := h.Parse("$argon2id$v=19$m=65,t=1,p=1$c2FsdHlzYWx0$jPo3nTw+tFdPvCPeymDHRTJwZAid6xRATXgQUG0Rlzc")
	assert.ErrorContains(t, err, "m=65,t=1,p=1 exceeds the HashLimits m=64,t=1,p=1")
	_, err = h.Parse(argon2id(t, h, "x").Encode())
	assert.NoError(t, err)
	_, err = h.Bcrypt(t.Context(), "x", 5)
	assert.ErrorContains(t, err, "cost 5, outside 4 to 4")
	_, err = h.Bcrypt(t.Context(), "x", 3)
	assert.ErrorContains(t, err, "cost 3")
	_, err = h.Bcrypt(t.Context(), cred.Secret(strings.Repeat("x", 73)), 4)
	assert.ErrorContains(t, err, "72 bytes")
	_, err = h.Argon2id(t.Context(), cred.Secret(strings.Repeat("x", cred.MaxPasswordBytes+1)))
	assert.ErrorContains(t, err, "MaxPasswordBytes")
	for _, params := range []cred.Argon2idParams{
		{}, {64, 0, 1}, {64, 1, 0}, {7, 1, 1}, {64, 100, 1}, {1 << 31, 1, 1}, {4096, 1, 255},
	} {
		_, err := cred.NewHasher(cred.WithArgon2id(params)).Argon2id(t.Context(), "x")
		assert.ErrorContains(t, err, "outside the limits", "%+v", params)
	}
}

func TestHasherReadsOwnEntries(t *testing.T) {
	h := cred.NewHasher(nil)
	entry := argon2id(t, h, "sesame")
	assert.True(t, strings.HasPrefix(entry.Encode(), "$argon2id$v=19$m=19456,t=2,p=1$"), entry.Encode()[:30])
	read, err := h.Parse(entry.Encode())
	require.NoError(t, err)
	ok, err := h.Verify(t.Context(), read, "sesame")
	assert.True(t, ok)
	assert.NoError(t, err)
	assert.NotEqual(t, entry.Encode(), argon2id(t, h, "sesame").Encode(), "salts differ")
}

func FuzzParseEntry(f *testing.F) {
	for _, seed := range []string{
		"{CLEARTEXT}sesame", "{MD5}AAAAAAAAAAAAAAAAAAAAAA==", "{SHA}LBLlB55pDqSP3YEE8uTqjuIxEtA=",
		"{SSHA}eXtI4zNduirUZYBNYjtUyYwBgcvVioZ0",
		"$apr1$/0zAIZRx$OUsUHX4/YC8AhXwCkZwQA1", "$2y$04$iLrVTVe8XpYZqQ19ZpEnMOrnNtA9XvzTTteuOxBHk4HP.srHl/8fi",
		"$argon2id$v=19$m=64,t=2,p=1$c2FsdHlzYWx0$jPo3nTw+tFdPvCPeymDHRTJwZAid6xRATXgQUG0Rlzc", "$6$abcdefgh$4zq14.",
		"KDQQAFXmOpOas", "$2",
	} {
		f.Add(seed)
	}
	h := cred.NewHasher(
		cred.WithHashLimits(
			cred.HashLimits{Argon2id: cred.Argon2idParams{MemoryKiB: 1024, Time: 2, Threads: 4}, BcryptCost: 4},
		),
	)
	f.Fuzz(func(t *testing.T, text string) {
		entry, err := h.Parse(text)
		if err != nil {
			assert.Nil(t, entry)
			return
		}
		again, err := h.Parse(entry.Encode())
		require.NoError(t, err, "Encode must be readable")
		assert.Equal(t, entry.Encode(), again.Encode())
		assert.Equal(t, string(entry.Scheme()), fmt.Sprintf("%+v", entry))
		_, err = h.Verify(t.Context(), entry, "sesame")
		assert.NoError(t, err)
	})
}
