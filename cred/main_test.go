package cred_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/perspectivebroker/pb/cred"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// work counts the computed hashes by scheme.
type work struct {
	mu    sync.Mutex
	count map[cred.Scheme]int
}

func (w *work) add(s cred.Scheme) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count == nil {
		w.count = map[cred.Scheme]int{}
	}
	w.count[s]++
}

// take returns the counts since the last call.
func (w *work) take() map[cred.Scheme]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	count := w.count
	w.count = nil
	return count
}

// weak returns a cheap hasher for tests.
func weak(opts ...cred.HasherOption) *cred.Hasher {
	return cred.NewHasher(append([]cred.HasherOption{
		cred.WithArgon2id(cred.Argon2idParams{MemoryKiB: 64, Time: 1, Threads: 1}),
	}, opts...)...)
}

func argon2id(t testing.TB, h *cred.Hasher, password cred.Secret) cred.Entry {
	t.Helper()
	entry, err := h.Argon2id(context.Background(), password)
	require.NoError(t, err)
	return entry
}

func bcryptEntry(t testing.TB, h *cred.Hasher, password cred.Secret) cred.Entry {
	t.Helper()
	entry, err := h.Bcrypt(context.Background(), password, 4)
	require.NoError(t, err)
	return entry
}

// wantRefused asserts that err is a refusal for that reason and returns it.
func wantRefused(t testing.TB, err error, reason cred.Reason) *cred.Refused {
	t.Helper()
	var refused *cred.Refused
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, reason, refused.Reason(), refused.Log())
	assert.Equal(t, "cred: login refused", err.Error())
	return refused
}

func plain(name string, password cred.Secret) cred.UsernamePassword {
	return cred.UsernamePassword{Username: name, Password: password}
}

// response returns a correct response to a new challenge.
func response(name string, password cred.Secret) cred.ChallengeResponse {
	challenge := cred.NewChallenge()
	return cred.ChallengeResponse{Username: name, Challenge: challenge, Response: cred.Respond(challenge, password)}
}

// names is a realm whose avatars are the users' names. It counts the sessions.
type names struct {
	mu      sync.Mutex
	in, out int
}

func (n *names) RequestAvatar(_ context.Context, id cred.AvatarID, mind string) (string, func(), error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.in++
	return mind + " is " + id.String(), func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.out++
	}, nil
}

func (n *names) counts() (in, out int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.in, n.out
}

func portal(t testing.TB, checkers ...cred.Checker) *cred.Portal[string, string] {
	t.Helper()
	p, err := cred.NewPortal(&names{}, checkers...)
	require.NoError(t, err)
	return p
}

// logged returns a logger and its output.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
