package command

import (
	"math/big"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func drawNumber(t *rapid.T, what string) Number {
	if rapid.Bool().Draw(t, what+" is short") {
		return Number{Int: rapid.Int64().Draw(t, what)}
	}
	n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, banana.MaxIntBits/8).Draw(t, what))
	if rapid.Bool().Draw(t, what+" is negative") {
		n.Neg(n)
	}
	if n.IsInt64() {
		return Number{Int: n.Int64()}
	}
	return Number{Big: n}
}

// drawCommand draws a command of dialect p, and its word if it has one.
func drawCommand(t *rapid.T, p banana.Profile) (cmd Command, text string) {
	cmd.Name = Name(rapid.IntRange(1, len(forms)-1).
		Filter(func(n int) bool { return forms[n].in(p) }).Draw(t, "name"))
	for _, e := range forms[cmd.Name].elements {
		switch e.kind {
		case count:
			cmd.ID.Int = rapid.Int64().Draw(t, e.name)
		case number:
			cmd.ID = drawNumber(t, e.name)
		case object:
			if cmd.Object.Promise = p.IsExtended() && rapid.Bool().Draw(t, "promise"); cmd.Object.Promise {
				cmd.Object.ID = drawNumber(t, e.name)
			} else if cmd.Object.Name = rapid.String().Draw(t, e.name); cmd.Object.Name == "" {
				cmd.Object.ID = drawNumber(t, e.name)
			}
		case method:
			cmd.Method = rapid.String().Draw(t, e.name)
		case flag:
			cmd.WantsAnswer = rapid.Bool().Draw(t, e.name)
			cmd.Keep = cmd.WantsAnswer && cmd.Name == Message && p.IsExtended() && rapid.Bool().Draw(t, "keep")
		case word:
			text = rapid.String().Draw(t, e.name)
		case metadata:
			cmd.HasMetadata = p.IsExtended() && rapid.Bool().Draw(t, e.name)
		}
	}
	return cmd, text
}

// TestRoundTrip writes commands and reads them again.
func TestRoundTrip(t *testing.T) {
	var r Reader // The same for all, so that it meets names again.
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom([]banana.Profile{banana.ProfilePB, banana.ProfilePB1, banana.ProfileNone}).
			Draw(t, "dialect")
		cmd, word := drawCommand(t, p)
		frame := appendCommand(nil, p, &cmd, word)
		values := cmd.Values()
		if cmd.HasMetadata {
			values++
		}
		for range values {
			frame = banana.AppendInt(frame, 7)
		}
		var in banana.Reader
		in.Reset(frame, p)
		var got Command
		require.NoError(t, r.Read(&in, &got))
		require.Equal(t, cmd, got)
		if cmd.Name == DidNotUnderstand || cmd.Name == Goaway {
			gotWord, err := ReadWord(&in)
			require.NoError(t, err)
			require.Equal(t, word, gotWord)
		}
		for range values {
			require.NoError(t, in.Skip())
		}
		require.Empty(t, in.Rest())
	})
}

// FuzzRead checks that Read stands any bytes, and that what it accepts is written so that it reads the same again.
func FuzzRead(f *testing.F) {
	for _, g := range golden {
		for p, text := range g.texts() {
			f.Add(unhex(f, text), byte(p))
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte, dialect byte) {
		p := banana.Profile(dialect % 3)
		read := func(frame []byte) (cmd Command, word string, ok bool) {
			var r Reader
			var in banana.Reader
			in.Reset(frame, p)
			if err := r.Read(&in, &cmd); err != nil {
				return cmd, "", false
			}
			if cmd.Name == Unknown || cmd.Name == DidNotUnderstand || cmd.Name == Goaway {
				var err error
				word, err = ReadWord(&in)
				require.NoError(t, err)
			}
			return cmd, word, true
		}
		cmd, word, ok := read(frame)
		if !ok || cmd.Name == Unknown {
			return
		}
		written := appendCommand(nil, p, &cmd, word)
		// The count of a list must not be larger than what follows.
		values := cmd.Values()
		if cmd.HasMetadata {
			values++
		}
		again, wordAgain, ok := read(append(written, make([]byte, values)...))
		require.True(t, ok)
		require.Equal(t, cmd, again)
		require.Equal(t, word, wordAgain)
		require.Equal(t, written, appendCommand(nil, p, &again, wordAgain))
	})
}
