package logins

import (
	"bufio"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/stock"
)

// startChat runs our server and returns its address. The server must end in order with the test.
func startChat(t *testing.T, program string) (addr string) {
	t.Helper()
	server := exec.Command(program, "server", "-listen", "pb://127.0.0.1:0", "-cred", "alice=1234", "-cred", "bob=secret")
	stdout, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		assert.NoError(t, server.Wait())
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	u, err := url.Parse(strings.TrimPrefix(strings.TrimSpace(line), "listening "))
	require.NoError(t, err)
	return u.Host
}

func TestChat(t *testing.T) {
	stock.Require(t, stock.Docs)
	program := stock.Build(t, "chat")
	say := func(addr, user, password, text string) (string, error) {
		out, err := exec.CommandContext(t.Context(), program, "client", "-connect", "pb://"+addr,
			"-user", user, "-password", password, "-group", "#NeedAFourth", "-say", text).CombinedOutput()
		return string(out), err
	}
	wantAtClient := func(t *testing.T, client *stock.Process, from string) {
		t.Helper()
		client.WaitLine("connected, joining group #NeedAFourth")
		client.WaitLine("joined group, now sending a message to all members")
		client.WaitLine("<" + from + "> says: You can call me Al.")
		assert.Zero(t, client.Exit())
	}
	t.Run("stock to stock", func(t *testing.T) {
		server := listing(t, "chatserver.py", "")
		wantAtClient(t, listing(t, "chatclient.py", server.Addr()), "b'alice'")
	})
	t.Run("the stock client at our server", func(t *testing.T) {
		addr := startChat(t, program)
		wantAtClient(t, listing(t, "chatclient.py", addr), "alice")
		out, err := say(addr, "bob", "guess", "hello")
		require.Error(t, err)
		assert.Contains(t, out, "UnauthorizedLogin")
	})
	t.Run("our client at the stock server", func(t *testing.T) {
		out, err := say(listing(t, "chatserver.py", "").Addr(), "bob", "secret", "Two hearts.")
		require.NoError(t, err, out)
		assert.Contains(t, out, "joined #NeedAFourth")
		assert.Contains(t, out, "<b'bob'> says: Two hearts.")
	})
	t.Run("our client at our server", func(t *testing.T) {
		out, err := say(startChat(t, program), "bob", "secret", "Two hearts.")
		require.NoError(t, err, out)
		assert.Contains(t, out, "<bob> says: Two hearts.")
	})
}
