package broker_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// FuzzReceive feeds a server arbitrary bytes after the negotiation, through the whole of the receiving side: scanner,
// decoder, broker, objects. The connection may be closed for it; the server must go on serving others.
func FuzzReceive(f *testing.F) { fuzzReceive(f, banana.ProfilePB, &service{}) }

// FuzzReceiveExtended is FuzzReceive for dialect pb+1.
func FuzzReceiveExtended(f *testing.F) {
	l := &link{}
	l.gate("x").Complete(l, nil)
	fuzzReceive(f, banana.ProfilePB1, l,
		`[message 1 root next 2 [tuple] [dictionary]]`, `[settled 1]`, `[cancel 1]`, `[goaway bye]`,
		`[message 2 [promise 1] depthOf 2 [tuple [promise 1]] [dictionary [[unicode x] [promise 1]]]]`,
		`[message 3 [promise 3] echo 2 [tuple [list [promise 3] [array i2 "\x01\x02"]]] [dictionary]
			[dictionary [[unicode timeout] 1]]]`,
		`[message 4 root when 2 [tuple [unicode x]] [dictionary]]`,
		`[message 5 root when 2 [tuple [unicode never]] [dictionary]]`,
		`[message 6 [promise 5] note 1 [tuple [remote 3] [local root]] [dictionary]]`,
	)
}

func fuzzReceive(f *testing.F, profile banana.Profile, root any, more ...string) {
	f.Helper()
	for _, text := range append(more,
		`[version 6]`,
		`[message 1 root add 1 [tuple 1 2] [dictionary]]`,
		`[message 1 root echo 1 [tuple [list [reference 1 [list [dereference 1]]]]] [dictionary [[unicode x] 1]]]`,
		`[message 1 root hold 1 [tuple [unicode a] [remote 7]] [dictionary]]`,
		`[message 1 root echo 1 [tuple [local 1] [cached 2] [lcache 3] ["a.B" [dictionary]]] [dictionary]]`,
		`[cachemessage 1 2 add 0 [tuple] [dictionary]]`,
		`[answer 1 2]`, `[error 1 [None]]`, `[decref 1]`, `[decache 1]`, `[uncache 1]`, `[didNotUnderstand x]`, `[nonsense]`,
		`[]`,
	) {
		e, err := wire.Parse(text)
		require.NoError(f, err)
		b, err := banana.EncodeExpr(profile, e)
		require.NoError(f, err)
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	require.NoError(f, err)
	f.Cleanup(func() { _ = rt.Close(f.Context()) })
	pipe := newPipeListener()
	_, err = broker.ListenOn(rt, pipe, root, broker.WithPublished("bystander", &service{}))
	require.NoError(f, err)

	f.Fuzz(func(t *testing.T, data []byte) {
		hostile, theirs := net.Pipe()
		pipe.Conns <- theirs
		go func() { _, _ = io.Copy(io.Discard, hostile) }()
		_ = hostile.SetWriteDeadline(time.Now().Add(wire.Timeout))
		_, _ = hostile.Write(append(banana.AppendChoice(nil, profile), data...))
		_ = hostile.Close()

		ours, theirs := net.Pipe()
		pipe.Conns <- theirs
		bystander := wire.New(t, ours)
		bystander.Join()
		bystander.Write(`[message 1 bystander add 1 [tuple 20 22] [dictionary]]`)
		bystander.Want(`[answer 1 42]`)
		bystander.Close()
	})
}
