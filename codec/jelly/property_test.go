package jelly

import (
	"bufio"
	"encoding/binary"
	"io"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/stock"
)

// Fragments have the bytes of the model.
func TestFragmentMatchesModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := drawGraph(rt)
		profile := rapid.SampledFrom([]banana.Profile{banana.ProfilePB, banana.ProfileNone}).Draw(rt, "profile")
		want, err := modelEncode(v, profile)
		require.NoError(rt, err)
		got := encodeOne(t, v, profile)
		if string(want) != string(got) {
			require.Equal(rt, format(t, want, profile), format(t, got, profile))
			rt.Fatalf("the expressions are alike, the bytes are not")
		}
	})
}

// Decoded values are encoded to the same bytes, also by a decoder that has been used before.
func TestRoundTrip(t *testing.T) {
	d := Decoder{Taster: trusting()}
	rapid.Check(t, func(rt *rapid.T) {
		sent := encodeOne(t, drawGraph(rt), banana.ProfilePB)
		v, err := decodeAll(&d, sent, banana.ProfilePB)
		require.NoError(rt, err)
		require.Equal(rt, format(t, sent, banana.ProfilePB), format(t, encodeOne(t, v, banana.ProfilePB), banana.ProfilePB))
		fresh := Decoder{Taster: trusting(), AliasFrom: 1}
		v, err = decodeAll(&fresh, sent, banana.ProfilePB)
		require.NoError(rt, err)
		require.Equal(rt, sent, encodeOne(t, v, banana.ProfilePB))
	})
}

// Every prefix of a frame, and every frame with a changed byte, gives a value or an error.
func TestDamagedFrames(t *testing.T) {
	d := Decoder{Taster: trusting()}
	rapid.Check(t, func(rt *rapid.T) {
		sent := encodeOne(t, drawGraph(rt), banana.ProfilePB)
		for cut := range sent {
			_, err := decodeAll(&d, sent[:cut], banana.ProfilePB)
			require.Error(rt, err)
		}
		for range 20 {
			damaged := append([]byte(nil), sent...)
			damaged[rapid.IntRange(0, len(sent)-1).Draw(rt, "place")] = rapid.Byte().Draw(rt, "byte")
			if v, err := decodeAll(&d, damaged, banana.ProfilePB); err == nil {
				f := NewFragment(Context{Profile: banana.ProfilePB})
				assert.NoError(rt, f.Jelly(v))
				f.Free()
			}
		}
	})
}

// stockEcho is a stock process that unjellies and jellies its input.
type stockEcho struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

func startEcho(t *testing.T) *stockEcho {
	stock.Require(t)
	cmd := exec.CommandContext(t.Context(), stock.Python, "testdata/gen_golden.py", "--echo")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close() // It ends when its input does.
		_ = cmd.Wait()
	})
	return &stockEcho{t, in, bufio.NewReader(out)}
}

func (s *stockEcho) echo(frame []byte) []byte {
	s.t.Helper()
	_, err := s.in.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	require.NoError(s.t, err)
	var head [4]byte
	_, err = io.ReadFull(s.out, head[:])
	require.NoError(s.t, err)
	back := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err = io.ReadFull(s.out, back)
	require.NoError(s.t, err)
	return back
}

// Stock unjellies our bytes and jellies the value to the same bytes.
func TestStockRoundTrip(t *testing.T) {
	peer := startEcho(t)
	rapid.Check(t, func(rt *rapid.T) {
		sent := encodeOne(t, drawGraphForStock(rt), banana.ProfilePB)
		back := peer.echo(sent)
		if string(back) != string(sent) {
			require.Equal(rt, format(t, sent, banana.ProfilePB), format(t, back, banana.ProfilePB))
			rt.Fatalf("the expressions are alike, the bytes are not")
		}
	})
}
