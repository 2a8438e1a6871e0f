package command

import (
	"math/big"
	"strings"
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

// TestRepeatedNames reads calls with the same names one after the other, in forms that an encoder may choose.
func TestRepeatedNames(t *testing.T) {
	calls := map[string]string{
		"as usual":                 "\x07\x80\x1a\x87\x05\x81\x04\x82root\x03\x82add\x01\x81",
		"an object with a number":  "\x07\x80\x1a\x87\x05\x81\x04\x81\x03\x82add\x01\x81",
		"headers with zeros":       "\x07\x80\x1a\x87\x05\x00\x81\x04\x00\x82root\x03\x00\x82add\x01\x00\x81",
		"a negative id":            "\x07\x80\x1a\x87\x05\x83\x04\x82root\x03\x82add\x01\x81",
		"another method":           "\x07\x80\x1a\x87\x05\x81\x04\x82root\x03\x82sub\x01\x81",
		"another object":           "\x07\x80\x1a\x87\x05\x81\x04\x82leaf\x03\x82add\x01\x81",
		"a prefix of the method":   "\x07\x80\x1a\x87\x05\x81\x04\x82root\x02\x82ad\x01\x81",
		"a word of the vocabulary": "\x07\x80\x1a\x87\x05\x81\x04\x82root\x08\x87\x01\x81",
		"no answer":                "\x07\x80\x1a\x87\x05\x81\x04\x82root\x03\x82add\x00\x81",
		"an answer that is named":  "\x07\x80\x1a\x87\x05\x81\x04\x82root\x03\x82add\x02\x81",
		"a negative flag":          "\x07\x80\x1a\x87\x05\x81\x04\x82root\x03\x82add\x01\x83",
		"an id of 70 bits": "\x07\x80\x1a\x87" +
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x85\x04\x82root\x03\x82add\x01\x81",
		"a promise": "\x07\x80\x1a\x87\x05\x81\x02\x80\x07\x82promise\x04\x81\x03\x82add\x01\x81",
		"an object of 70 bits": "\x07\x80\x1a\x87\x05\x81" +
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x85\x03\x82add\x01\x81",
		"a long name": "\x07\x80\x1a\x87\x05\x81\x04\x82root" +
			"\x64\x82" + strings.Repeat("m", 100) + "\x01\x81",
		"an object with an empty name": "\x07\x80\x1a\x87\x05\x81\x00\x82\x03\x82add\x01\x81",
	}
	read := func(t *testing.T, r *Reader, frame string, p banana.Profile) (cmd Command, offset int) {
		var in banana.Reader
		in.Reset([]byte(frame), p)
		require.NoError(t, r.Read(&in, &cmd))
		return cmd, in.Offset()
	}
	for first, before := range calls {
		for second, call := range calls {
			t.Run(first+", then "+second, func(t *testing.T) {
				var used, fresh Reader
				read(t, &used, before, banana.ProfilePB1)
				want, wantAt := read(t, &fresh, call, banana.ProfilePB1)
				for range 2 {
					got, at := read(t, &used, call, banana.ProfilePB1)
					require.Equal(t, want, got)
					require.Equal(t, wantAt, at)
					require.Equal(t, len(call), at)
				}
			})
		}
	}
	t.Run("another dialect", func(t *testing.T) {
		var r Reader
		named, _ := read(t, &r, calls["an answer that is named"], banana.ProfilePB1)
		require.True(t, named.Keep)
		plain, _ := read(t, &r, calls["an answer that is named"], banana.ProfilePB)
		require.False(t, plain.Keep)
	})
}

// FuzzRead checks that Read stands any bytes, that what it accepts is written so that it reads the same again, and that
// it does not matter what a Reader has read before.
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
			err := r.Read(&in, &cmd)
			again, inAgain := cmd, in
			inAgain.Reset(frame, p)
			require.Equal(t, err, r.Read(&inAgain, &again))
			if err != nil {
				return cmd, "", false
			}
			require.Equal(t, cmd, again)
			require.Equal(t, in, inAgain)
			if cmd.Name == Unknown || cmd.Name == DidNotUnderstand || cmd.Name == Goaway {
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
