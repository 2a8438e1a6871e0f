package banana

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// stock is a process that answers questions with stock Twisted.
type stock struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func startStock(t *testing.T) *stock {
	t.Helper()
	needStock(t)
	cmd := exec.Command(stockPython, "testdata/gen_golden.py", "--serve")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, in.Close())
		assert.NoError(t, cmd.Wait())
	})
	return &stock{in, bufio.NewReaderSize(out, 4<<20)}
}

func (s *stock) ask(t require.TestingT, question map[string]any, answer any) {
	line, err := json.Marshal(question)
	require.NoError(t, err)
	_, err = s.in.Write(append(line, '\n'))
	require.NoError(t, err)
	line, err = s.out.ReadBytes('\n')
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(line, answer))
}

func (s *stock) decode(t require.TestingT, p Profile, chunks ...[]byte) (answer stockDecoded) {
	texts := []string{}
	for _, chunk := range chunks {
		texts = append(texts, hex.EncodeToString(chunk))
	}
	s.ask(t, map[string]any{"profile": p.String(), "chunks": texts}, &answer)
	return answer
}

func (s *stock) encode(t require.TestingT, p Profile, value any) (answer stockEncoded) {
	s.ask(t, map[string]any{"profile": p.String(), "value": value}, &answer)
	return answer
}

func TestStockEncodesTheSame(t *testing.T) {
	peer := startStock(t)
	rapid.Check(t, func(t *rapid.T) {
		p := stockProfile().Draw(t, "profile")
		e := anyExpr(4).Draw(t, "expr")
		b, err := EncodeExpr(p, e)
		require.NoError(t, err)
		answer := peer.encode(t, p, toJSONValue(e))
		assert.Equal(t, []byte(answer.Hex), b)
	})
}

func TestStockDecodesTheSame(t *testing.T) {
	peer := startStock(t)
	rapid.Check(t, func(t *rapid.T) {
		p := stockProfile().Draw(t, "profile")
		stream := anyWire().Draw(t, "stream")
		chunks := chunksOf(t, stream)
		want := peer.decode(t, p, chunks...)
		values, rest, err := decodeStream(p, Limits{}, chunks...)
		if want.Values == nil {
			want.Values = []jsonValue{}
		}
		require.Equal(t, want.Values, toJSONValues(values))
		require.Equal(t, want.Error != "", err != nil, "stock: %q, we: %v", want.Error, err)
		if err == nil {
			require.Equal(t, want.Incomplete, rest > 0)
		}
	})
}

func TestStockLimitsAreDefaults(t *testing.T) {
	peer := startStock(t)
	repeat := func(kind string, of any, n int) map[string]any {
		return map[string]any{kind: []any{of, n}}
	}
	for _, n := range []int{DefaultString, DefaultString + 1} {
		answer := peer.encode(t, ProfilePB, repeat("repeat", "78", n))
		assert.Equal(t, answer.Error != "", Limits{}.CheckString(n) != nil, "string of %d", n)
	}
	for _, n := range []int{DefaultList, DefaultList + 1} {
		answer := peer.encode(t, ProfilePB, repeat("repeatlist", map[string]any{"int": "1"}, n))
		assert.Equal(t, answer.Error != "", Limits{}.CheckList(n) != nil, "list of %d", n)
	}
	// The longest string that stock sends goes through our Scanner.
	answer := peer.encode(t, ProfilePB, repeat("repeat", "78", DefaultString))
	ends, err := scanAll(t, ProfilePB, Limits{}, [][]byte{answer.Hex})
	require.NoError(t, err)
	assert.Equal(t, []int{len(answer.Hex)}, ends, fmt.Sprint(len(answer.Hex)))
}
