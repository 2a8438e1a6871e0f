package main

import (
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/exampletest"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/require"
)

func TestPondsArrive(t *testing.T) {
	s := exampletest.New(t)
	end := s.Start(run, "receiver", "-listen", "pb://127.0.0.1:0")
	url := s.Line("listening ")
	require.NoError(t, s.Run(run, "sender", "-connect", url))
	for _, line := range []string{"7 frogs", "copy_sender.CopyPond", " got pond: *main.ReceivedCopyPond",
		"pond arrived safe and sound"} {
		s.Line(line)
	}
	require.NoError(t, s.Run(run, "sender", "-connect", url, "-copy2"))
	for _, line := range []string{"count 7", " got pond: *main.ReceiverPond", " count 7"} {
		s.Line(line)
	}

	// The receiver refuses other classes, and ends when it is told to.
	rt := pbtest.NewRuntime(t)
	conn, err := broker.Dial(t.Context(), rt, url)
	require.NoError(t, err)
	_, err = flavors.Call[string](t.Context(), conn.Root(), "takePond", 5)
	require.ErrorIs(t, err, flavors.TypeError)
	_, err = flavors.Call[any](t.Context(), conn.Root(), "shutdown")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, end())
}

// TestUnregisteredPonds wants the sender to report that the receiver has not registered the class.
func TestUnregisteredPonds(t *testing.T) {
	s := exampletest.New(t)
	rt := pbtest.NewRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Receiver{shutdown: make(chan struct{})})
	require.NoError(t, err)
	require.NoError(t, s.Run(run, "sender", "-connect", ln.URL()))
	s.Line("error during takePond:")
	s.Line(" InsecureJelly")
}

func TestStatesOfPonds(t *testing.T) {
	p := &ReceiverPond{}
	require.ErrorContains(t, p.SetCopyableState(5), "a dictionary, not int")
	require.ErrorContains(t, p.SetCopyableState(jelly.NewDict()), "has frogsAndToads")
	require.NoError(t, p.SetCopyableState(jelly.NewDict(jelly.Entry{Key: "frogsAndToads", Value: int64(7)})))
	require.Equal(t, 7, p.frogsAndToads)
}

func TestInvalidArguments(t *testing.T) {
	s := exampletest.New(t)
	require.ErrorContains(t, s.Run(run), "receiver -listen URL")
	require.ErrorContains(t, s.Run(run, "pond"), `there is no "pond"`)
	require.Error(t, s.Run(run, "receiver", "-listen", "gopher://x"))
	require.Error(t, s.Run(run, "sender", "-connect", "gopher://x"))
	for _, end := range []string{"receiver", "sender"} {
		require.ErrorContains(t, s.Run(run, end, "-nonsense"), "-nonsense")
	}
}
