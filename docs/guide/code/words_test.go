package code

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
)

//guide:begin words

// ErrEmpty is the exception pond.Empty. Its parent is pb.Error, so Twisted logs no traceback.
var ErrEmpty = flavors.NewException("pond.Empty", flavors.PBError)

type Pond struct {
	flavors.Root
	ducks []string
}

func (p *Pond) RemoteTake() (string, error) {
	if len(p.ducks) == 0 {
		return "", ErrEmpty.New("no ducks left")
	}
	last := len(p.ducks) - 1
	duck := p.ducks[last]
	p.ducks = p.ducks[:last]
	return duck, nil
}

// AddOptions are keyword arguments, which may also be passed by position.
type AddOptions struct {
	Times int `pb:"times,default=1"`
}

func (p *Pond) RemoteAdd(name string, o AddOptions) int {
	for range o.Times {
		p.ducks = append(p.ducks, name)
	}
	return len(p.ducks)
}

// RemoteTakeLater does not wait. Other calls run meanwhile, and the continuation runs in a turn of the pond.
func (p *Pond) RemoteTakeLater(inv *flavors.Invocation, bell *flavors.RemoteReference) *actor.Deferred {
	return bell.CallRemote("wait").Then(inv, func(_ any, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return p.RemoteTake()
	})
}

//guide:end

//guide:begin kinds

// RemoteKinds takes what Python calls str and bytes.
func (*Pond) RemoteKinds(text string, data []byte) (string, []byte) { return text, data }

//guide:end

// Bell rings at once.
type Bell struct{ flavors.Referenceable }

func (*Bell) RemoteWait() {}

//guide:begin failures
func take(ctx context.Context, root *flavors.RemoteReference) (string, error) {
	duck, err := flavors.Call[string](ctx, root, "take")
	if errors.Is(err, ErrEmpty) {
		return "none", nil
	}
	return duck, err
}

//guide:end

//guide:begin keywords
func addTwo(ctx context.Context, root *flavors.RemoteReference) (int, error) {
	return flavors.Call[int](ctx, root, "add", "Dewey", flavors.Kw{"times": 2})
}

//guide:end

// TestWordsWithGo runs our client with a server in each language.
func TestWordsWithGo(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	for name, server := range map[string]func(*testing.T) string{
		"Go": func(t *testing.T) string { return wordsServer(t).URL() },
		"Python": func(t *testing.T) string {
			stock.Require(t)
			return "pb://" + stock.Start(t, "words.py", "serve", "0").Addr()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			conn, err := broker.Dial(ctx, rt, server(t))
			require.NoError(t, err)
			root := conn.Root()
			n, err := addTwo(ctx, root)
			require.NoError(t, err)
			assert.Equal(t, 4, n)
			duck, err := flavors.Call[string](ctx, root, "takeLater", &Bell{})
			require.NoError(t, err)
			assert.Equal(t, "Dewey", duck)
			for _, want := range []string{"Dewey", "Daisy", "Donald", "none"} {
				duck, err := take(ctx, root)
				require.NoError(t, err)
				assert.Equal(t, want, duck)
			}
		})
	}
}

// TestWordsWithPython runs a stock client with our server.
func TestWordsWithPython(t *testing.T) {
	stock.Require(t)
	client := stock.Start(t, "words.py", "call", wordsServer(t).Addr().String())
	for _, line := range []string{
		"took Daisy", "added 3", "later Dewey", "took Dewey Donald none", "kinds ('text', b'bytes')",
	} {
		client.WaitLine(line)
	}
	assert.Zero(t, client.Exit())
}

func wordsServer(t *testing.T) *broker.Listener {
	ln, err := broker.Listen(pbtest.NewRuntime(t), "pb://127.0.0.1:0", &Pond{ducks: []string{"Donald", "Daisy"}})
	require.NoError(t, err)
	return ln
}
