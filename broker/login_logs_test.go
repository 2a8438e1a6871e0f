package broker_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// journal is a log that tests read.
type journal struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.Write(b)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.String()
}

// TestLogsHaveNoSecrets reads all that both sides log of logins, at the most talkative level.
func TestLogsHaveNoSecrets(t *testing.T) {
	log := &journal{}
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(log).Level(zerolog.TraceLevel)))
	require.NoError(t, err)
	defer rt.Close(t.Context())
	h := &house{}
	pipe := newPipeListener()
	ln, err := broker.ListenOn(rt, pipe, broker.LoginRoot(h.portal(t), unhurried()))
	require.NoError(t, err)
	s := &server{t: t, rt: rt, pipe: pipe, ln: ln}

	p := s.peer()
	challenged(p, 1, "alice")
	challenge, _ := p.Var("challenge").([]byte)
	require.NotEmpty(t, challenge)
	respond(p, 2, "sesame", `[None]`)
	p.Want(`[answer 2 [remote _]]`)
	challenged(p, 3, "bob")
	respond(p, 4, "wrong-secret", `[None]`)
	wantRefused(t, p, 4)
	p.Close()
	tcp, err := broker.Listen(rt, "pb://127.0.0.1:0", broker.LoginRoot(h.portal(t), unhurried()))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, tcp.URL())
	require.NoError(t, err)
	_, err = conn.Login(t.Context(), cred.UsernamePassword{Username: "bob", Password: "bread"}, nil)
	require.NoError(t, err)
	_, err = conn.Login(t.Context(), cred.UsernamePassword{Username: "bob", Password: "wrong-secret"}, nil)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "wrong-secret")
	require.NoError(t, rt.Close(t.Context()))

	text := log.text()
	require.Contains(t, text, "logged in", "the log has nothing of the logins")
	require.Contains(t, text, "login refused")
	for _, password := range []string{"sesame", "bread", "wrong-secret"} {
		hash := md5.Sum([]byte(password))
		response := md5.Sum(append(hash[:], challenge...))
		for _, secret := range [][]byte{[]byte(password), hash[:], response[:], challenge} {
			assert.NotContains(t, text, string(secret))
			assert.NotContains(t, text, hex.EncodeToString(secret))
		}
	}
}
