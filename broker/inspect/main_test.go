package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop is the root object of most tests.
type shop struct {
	flavors.Root
	begun, goOn chan struct{}
}

func newShop() *shop { return &shop{begun: make(chan struct{}), goOn: make(chan struct{})} }

func (*shop) RemoteAdd(a, b int) int { return a + b }
func (*shop) RemoteFail() error      { return errors.New("a secret text") }
func (*shop) RemoteBreak()           { panic("a secret text") }
func (s *shop) RemoteWait() {
	s.begun <- struct{}{}
	<-s.goOn
}

// user is an avatar.
type user struct{ flavors.Avatar }

func (*user) PerspectiveAdd(a, b int) int { return a + b }

func enter(context.Context, cred.AvatarID, *flavors.RemoteReference) (*user, func(), error) {
	return &user{}, nil, nil
}

// logins has users, all with the password "sesame".
func logins(t *testing.T, names ...string) *broker.PortalRoot {
	t.Helper()
	entries := map[string]cred.Entry{}
	for _, name := range names {
		entries[name] = cred.Plaintext("sesame")
	}
	users, err := cred.NewInMemory(entries)
	require.NoError(t, err)
	return broker.Login(enter, users)
}

// serve publishes root over pipes, and returns a function that connects to it.
func serve(t *testing.T, rt *actor.Runtime, root any) (dial func() *broker.Conn) {
	t.Helper()
	pipes := broker.NewPipeListener()
	_, err := broker.ListenOn(rt, pipes, root)
	require.NoError(t, err)
	far := pbtest.NewRuntime(t)
	return func() *broker.Conn {
		t.Helper()
		sock, err := pipes.Dial(t.Context())
		require.NoError(t, err)
		conn, err := broker.NewClientConn(t.Context(), far, sock)
		require.NoError(t, err)
		return conn
	}
}

// get requests a path of a handler.
func get(t *testing.T, h http.Handler, path string) (status int, header http.Header, body string) {
	t.Helper()
	return request(t, h, httptest.NewRequest(http.MethodGet, path, nil))
}

func request(t *testing.T, h http.Handler, r *http.Request) (status int, header http.Header, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	require.NoError(t, err)
	return w.Code, w.Result().Header, string(text)
}

func snapshotOf(t *testing.T, h http.Handler) (s Snapshot) {
	t.Helper()
	status, _, body := get(t, h, "/json")
	require.Equal(t, http.StatusOK, status, body)
	require.NoError(t, json.Unmarshal([]byte(body), &s))
	return s
}
