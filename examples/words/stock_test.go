package main

import (
	_ "embed"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/exampletest"
	"github.com/perspectivebroker/pb/internal/stock"
)

var (
	//go:embed testdata/words_server.py
	stockServer []byte
	//go:embed testdata/words_client.py
	stockClient []byte
)

// TestStockServer has two clients meet at a stock server.
func TestStockServer(t *testing.T) {
	stock.Require(t)
	url := "pb://" + stock.StartSource(t, "words_server.py", stockServer, "alice=1234", "bob=secret").Addr()
	s := exampletest.New(t)
	login := func(user, password string, args ...string) []string {
		return append([]string{"client", "-connect", url, "-user", user, "-password", password}, args...)
	}
	require.ErrorIs(t, s.Run(run, login("alice", "wrong")...), flavors.UnauthorizedLogin)
	require.ErrorIs(t, s.Run(run, login("bob", "secret", "-group", "nowhere")...), errNoSuchGroup)

	alice := s.StartUntilEnd(run, login("alice", "1234", "-group", "lobby", "-say", "Hello.", "-stay", "10m")...)
	s.Line("joined lobby")
	s.Line("<alice> Hello.")
	require.NoError(t, s.Run(run, login("bob", "secret", "-group", "lobby", "-say", "Hello.", "-stay", "0s")...))
	assert.Regexp(t, `^\d+> Hello\.$`, s.Line("<user "))
	s.Line("<bob> Hello.")
	require.NoError(t, alice(), "alice has left: her words came back")
}

// TestStockClients has stock clients meet at our server, and one of ours.
func TestStockClients(t *testing.T) {
	stock.Require(t)
	s := exampletest.New(t)
	end := s.Start(run, "server", "-listen", "pb://127.0.0.1:0", "-cred", "alice=1234", "-cred", "bob=secret",
		"-cred", "eve=x", "-group", "Lobby")
	url := s.Line("listening ")
	port := url[len("pb://127.0.0.1:"):]
	alice := stock.StartSource(t, "words_client.py", stockClient, port, "alice", "1234")
	alice.WaitLine("logged in AvatarReference")
	alice.WaitLine("refused b'twisted.words.ewords.NoSuchGroup' NoSuchGroup: nowhere")
	alice.WaitLine("member PBGroupReference lobby True")
	bob := stock.StartSource(t, "words_client.py", stockClient, port, "bob", "secret")
	bob.WaitLine("member PBGroupReference lobby True")
	alice.WaitLine("joined lobby 0 True")
	alice.WaitLine("heard lobby 0 ready ['isAction', 'text']")
	bob.WaitLine("heard lobby 0 hello ['text']")

	say := func(text string, args ...string) {
		require.NoError(t, s.Run(run, append([]string{"client", "-connect", url, "-user", "eve", "-password", "x",
			"-group", "lobby", "-say", text}, args...)...))
	}
	say("echo", "-stay", "10m") // It leaves when alice or bob has said it.
	s.Line("<eve> echo")
	alice.WaitLine("heard lobby 1 echo")
	alice.WaitLine("left lobby 1 bye")
	say("leave", "-stay", "0s")
	alice.WaitLine("gone b'twisted.spread.pb.Error'")
	bob.WaitLine("gone b'twisted.spread.pb.Error'")

	require.NoError(t, end())
}

// TestStockMembersVanish wants the others told of a member whose connection ends.
func TestStockMembersVanish(t *testing.T) {
	stock.Require(t)
	s := exampletest.New(t)
	s.Start(run,
		"server", "-listen", "pb://127.0.0.1:0", "-cred", "alice=1234", "-cred", "bob=secret", "-group", "lobby")
	url := s.Line("listening ")
	bob := stock.StartSource(t, "words_client.py", stockClient, url[len("pb://127.0.0.1:"):], "bob", "secret")
	bob.WaitLine("member")
	alice := s.Start(run, "client", "-connect", url, "-user", "alice", "-password", "1234", "-group", "lobby",
		"-stay", "10m")
	s.Line("joined lobby")
	assert.Regexp(t, `^\d+> hello$`, s.Line("<user "))
	other := stock.StartSource(t, "words_client.py", stockClient, url[len("pb://127.0.0.1:"):], "bob", "secret")
	other.WaitLine("member")
	bob.WaitLine("joined lobby 1 True")
	other.Kill()
	bob.WaitLine("left lobby 1 None")
	require.NoError(t, alice())
	bob.WaitLine("left lobby 0 bye")
}
