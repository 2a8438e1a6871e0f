package programs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// jasmin is the function of docs/programs.md.
func jasmin(ctx context.Context, conn *broker.Conn, name, password string) (*flavors.RemoteReference, error) {
	user := broker.TextName{Username: name, Password: cred.Secret(password)}
	answer, err := conn.LoginAnswer(ctx, user, nil)
	if err != nil {
		return nil, err
	}
	avatar, ok := answer.(*flavors.RemoteReference)
	if !ok {
		return nil, fmt.Errorf("login refused: %v", answer)
	}
	return avatar, nil
}

// TestJasminSnippet wants the page and this file to have the same function.
func TestJasminSnippet(t *testing.T) {
	function := func(path string) string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		_, after, found := strings.Cut(string(text), "\nfunc jasmin(")
		require.True(t, found, path)
		body, _, _ := strings.Cut(after, "\n}\n")
		return body
	}
	require.Equal(t, function(filepath.Join("..", "..", "..", "docs", "programs.md")), function("jasmin_test.go"))
}

// TestJasminLogin logs in at a script that plays the login of Jasmin: the name is text, and a refusal is an answer.
func TestJasminLogin(t *testing.T) {
	stock.Require(t)
	conn, err := broker.Dial(t.Context(), newRuntime(t), "pb://"+stock.Start(t, script(t, "jasmin.py")).Addr())
	require.NoError(t, err)
	_, err = jasmin(t.Context(), conn, "radmin", "wrong")
	require.ErrorContains(t, err, `login refused: (False, "Authentication error radmin")`)
	avatar, err := jasmin(t.Context(), conn, "radmin", "rpwd")
	require.NoError(t, err)
	version, err := flavors.Call[string](t.Context(), avatar, "version_release")
	require.NoError(t, err)
	assert.Equal(t, "0.10", version)
	list, err := flavors.Call[[]byte](t.Context(), avatar, "user_get_all")
	require.NoError(t, err)
	assert.NotEmpty(t, list, "a pickle")
}
