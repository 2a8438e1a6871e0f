package main

import (
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/exampletest"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/require"
)

func TestUpdates(t *testing.T) {
	s := exampletest.New(t)
	end := s.Start(run, "receiver", "-listen", "pb://127.0.0.1:0")
	require.NoError(t, s.Run(run, "sender", "-connect", s.Line("listening ")))
	for _, line := range []string{
		"I have [2] ducks", " cache - sitting", "got pond:", "[2] ducks:  ['one duck', 'two duck']", " cache - addDuck",
		"I have [3] ducks",
		"[3] ducks:  ['one duck', 'two duck', 'ugly duckling']", " cache - removeDuck",
		"[2] ducks:  ['two duck', 'ugly duckling']",
		"dropping pond",
	} {
		s.Line(line)
	}
	require.NoError(t, end(), "the sender has ended it")
}

func TestNoPond(t *testing.T) {
	r := &Receiver{shutdown: make(chan struct{})}
	require.ErrorIs(t, r.RemoteCheckDucks(), errNoPond)
	r.RemoteShutdown()
	r.RemoteShutdown()
	<-r.shutdown
}

func TestRefusedPond(t *testing.T) {
	s := exampletest.New(t)
	rt := pbtest.NewRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Receiver{shutdown: make(chan struct{})})
	require.NoError(t, err)
	err = s.Run(run, "sender", "-connect", ln.URL())
	require.ErrorIs(t, err, flavors.InsecureJelly)
	require.ErrorContains(t, err, "takePond")
}

func TestInvalidArguments(t *testing.T) {
	s := exampletest.New(t)
	require.ErrorContains(t, s.Run(run), "receiver -listen URL")
	require.ErrorContains(t, s.Run(run, "duck"), `there is no "duck"`)
	require.Error(t, s.Run(run, "receiver", "-listen", "gopher://x"))
	require.Error(t, s.Run(run, "sender", "-connect", "gopher://x"))
	for _, end := range []string{"receiver", "sender"} {
		require.ErrorContains(t, s.Run(run, end, "-nonsense"), "-nonsense")
	}
}
