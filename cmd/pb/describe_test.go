package main

import (
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func shop(t testing.TB) string { return goProgram(t, "shop", "server", "-listen", "pb://127.0.0.1:0") }

func TestDescribe(t *testing.T) {
	url := shop(t)
	want := `ShopServer
  find(name: str) -> Article
      Find returns an article.
  order(article: Article, n: int, *, gift: bool = ..., note: str? = ..., discount: int = ...) -> int
      Order takes n of an article, which must be one that Find returned. It returns the price in cents.
  prices(*: str) -> dict[str, int]
      Prices returns the prices of some articles in cents; of all if no names are given.
  setPrice(name: str, cents: int)
      SetPrice changes the price of an article.
  stock(name: str) -> (int, bool)
      Stock returns how many of an article there are, and whether more are on their way.
  subscribe(customer: ref[Customer])
      Subscribe tells the customer of each change of a price.
`
	assert.Equal(t, result{0, want, ""}, pb(t, "call", "-describe", url))
	assert.Equal(t, result{0, want, ""}, pb(t, "call", url, "-describe"))
	r := pb(t, "call", "-describe", "-json", url)
	assert.Contains(t, r.out, `{"name": "setPrice", "signature": "setPrice(name: str, cents: int)", "doc": `)
	r = pb(t, "call", "-describe", url+"/nothing")
	assert.Equal(t, statusFailed, r.status)
	assert.Contains(t, r.errors, "builtins.KeyError")
	r = pbWith(t, "describe root\ndescribe x\n", nil, "shell", url)
	assert.Equal(t, result{
		2, want, "pb shell: line 2: at character 10, before 'x': x is no variable with a reference\n",
	}, r)
	assert.Equal(t, statusUsage, pb(t, "call", "-describe", url, "find").status)
	assert.Equal(t, statusUsage, pb(t, "call", "-describe").status)
	assert.Equal(t, statusUsage, pb(t, "call", "-describe", "http://x").status)
	assert.Equal(t, statusConnection, pb(t, "call", "-describe", "pb+unix:///does/not/exist").status)
}

// TestDescribeUnknown asks peers that do not tell.
func TestDescribeUnknown(t *testing.T) {
	for _, s := range servers(t) {
		r := pb(t, "call", "-describe", s.url)
		assert.Equal(t, statusFailed, r.status, s.name)
		assert.Contains(t, r.errors, "the peer does not tell what it publishes", s.name)
		assert.Contains(t, r.errors, "twisted.spread.pb.Error: ", s.name)
		assert.Empty(t, r.out)
	}
}

// guest is an avatar.
type guest struct{ flavors.Avatar }

func (*guest) PerspectiveHello(string) string { return "" }

func TestDescribeLogin(t *testing.T) {
	users, err := cred.NewInMemory(map[string]cred.Entry{"moe": cred.Plaintext("secret")})
	require.NoError(t, err)
	enter := func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*guest, func(), error) {
		return &guest{}, nil, nil
	}
	ln, err := broker.Listen(pbtest.NewRuntime(t), "pb://127.0.0.1:0", broker.Login(enter, users), broker.WithDescribe())
	require.NoError(t, err)
	r := pb(t, "call", "-describe", ln.URL())
	assert.Equal(t, result{0, "a login: log in with -u or -anonymous to see the methods\n", ""}, r)
	r = pb(t, "call", "-describe", "-u", "moe", "-p", "secret", ln.URL())
	assert.Equal(t, result{0, "guest\n  hello(str) -> str\n", ""}, r)
}

func TestDescribeHostile(t *testing.T) {
	text := list{"unicode", "\x1b[31m\n" + strings.Repeat("x", 1000)}
	method := list{"dictionary", list{list{"unicode", "name"}, text}, list{list{"unicode", "signature"}, text},
		list{list{"unicode", "doc"}, text}}
	answers := map[string]banana.Expr{
		"no dictionary": 1,
		"methods":       list{"dictionary", list{list{"unicode", "methods"}, 1}},
		"escape codes": list{"dictionary", list{list{"unicode", "type"}, text},
			list{list{"unicode", "published"}, list{"list", text, text}},
			list{list{"unicode", "methods"}, list{"list", method}}},
	}
	for name, answer := range answers {
		url := answering(t, func(banana.Profile) []byte { return expr(t, list{"answer", 1, answer}) })
		r := pb(t, "call", "-describe", url)
		if name == "escape codes" {
			assert.Equal(t, 0, r.status, r.errors)
			assert.Contains(t, r.out, `\x1b[31m xxx`)
		} else {
			assert.Equal(t, statusConnection, r.status, "%s: %s", name, r.errors)
		}
		assert.NotContains(t, r.out+r.errors, "\x1b")
		for _, line := range strings.Split(r.out, "\n") {
			assert.Less(t, len(line), 1100)
		}
	}
}

// TestShellMethods completes the methods that the peer tells.
func TestShellMethods(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("script(1) is missing; it is in the package bsdutils")
	}
	url := shop(t)
	in, writer := io.Pipe()
	shell := program(t.Context(), "shell", url)
	cmd := exec.CommandContext(t.Context(), "script", "-qec", shell.Path+" shell "+url, "/dev/null")
	cmd.Env = shell.Env
	out := newWatched()
	cmd.Stdin, cmd.Stdout = in, out
	require.NoError(t, cmd.Start())
	write := func(text string) { _, _ = io.WriteString(writer, text) }
	write("root.sto\t'tea')\r")
	out.line(t, "(10, False)")
	write("desc\troot\r")
	out.line(t, "Find returns an article.")
	write("quit\r")
	writer.Close()
	require.NoError(t, cmd.Wait())
}
