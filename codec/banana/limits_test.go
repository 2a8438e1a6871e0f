package banana

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func nestedLists(depth int) []byte {
	return append(bytes.Repeat([]byte{1, byte(List)}, depth-1), 0, byte(List))
}

func TestLimitBoundaries(t *testing.T) {
	header := func(n int, kind Kind) []byte { return append(appendHeader(nil, uint64(n)), byte(kind)) }
	repeat := func(n int, b ...byte) []byte { return bytes.Repeat(b, n) }
	cases := []struct {
		name   string
		limits Limits
		ok     []byte // is accepted so far
		bad    []byte // is refused, with
		want   LimitError
	}{
		{
			"prefix by default", Limits{},
			append(repeat(64, 1), byte(Int)), repeat(65, 1),
			LimitError{Limit: LimitPrefix, Max: 64, Seen: strings.Repeat("\x01", 32)},
		},
		{
			"prefix of a list's element", Limits{Prefix: 2},
			[]byte{1, byte(List), 1, 1, byte(Int)}, []byte{1, byte(List), 1, 1, 1},
			LimitError{Limit: LimitPrefix, Max: 2, Offset: 2},
		},
		{
			"string by default, at its header", Limits{},
			header(640*1024, String), header(640*1024+1, String),
			LimitError{Limit: LimitString, Max: 640 * 1024},
		},
		{
			"string", Limits{String: 3},
			[]byte("\x01\x80\x03\x82abc"), []byte("\x01\x80\x04\x82"),
			LimitError{Limit: LimitString, Max: 3, Offset: 2},
		},
		{
			"string of 2^35", Limits{Frame: 1 << 29},
			nil, []byte{0, 0, 0, 0, 0, 1, byte(String)},
			LimitError{Limit: LimitString, Max: 640 * 1024},
		},
		{
			"list by default, at its header", Limits{},
			header(640*1024, List), header(640*1024+1, List),
			LimitError{Limit: LimitList, Max: 640 * 1024},
		},
		{
			"list", Limits{List: 2},
			[]byte("\x02\x80\x81\x81"), []byte("\x01\x80\x03\x80"),
			LimitError{Limit: LimitList, Max: 2, Offset: 2},
		},
		{
			"depth by default", Limits{},
			nestedLists(DefaultDepth), nestedLists(DefaultDepth + 1),
			LimitError{Limit: LimitDepth, Max: DefaultDepth, Offset: 2 * DefaultDepth},
		},
		{
			"depth 1", Limits{Depth: 1},
			[]byte("\x02\x80\x81\x81"), []byte("\x01\x80\x00\x80"),
			LimitError{Limit: LimitDepth, Max: 1, Offset: 2},
		},
		{
			"frame by default", Limits{String: 16 << 20},
			header(16<<20-5, String), header(16<<20-4, String),
			LimitError{Limit: LimitFrame, Max: 16 << 20},
		},
		{
			"frame, string", Limits{Frame: 5},
			[]byte("\x03\x82abc"), []byte("\x04\x82"),
			LimitError{Limit: LimitFrame, Max: 5},
		},
		{
			"frame, float", Limits{Frame: 9},
			append([]byte{byte(Float)}, repeat(8, 0)...), []byte{0, byte(Float)},
			LimitError{Limit: LimitFrame, Max: 9},
		},
		{
			"frame, a list whose elements cannot fit", Limits{Frame: 10},
			append([]byte{8, byte(List)}, repeat(8, byte(Int))...), []byte{9, byte(List)},
			LimitError{Limit: LimitFrame, Max: 10},
		},
		{
			"frame, a string that leaves no room for the others", Limits{Frame: 10},
			[]byte("\x03\x80\x04\x82abcd\x81\x81"), []byte("\x03\x80\x05\x82"),
			LimitError{Limit: LimitFrame, Max: 10, Offset: 2},
		},
		{
			"frame, a header that leaves no room for the others", Limits{Frame: 6},
			[]byte("\x02\x80\x00\x00\x81\x81"), []byte("\x02\x80\x00\x00\x00"),
			LimitError{Limit: LimitFrame, Max: 6, Offset: 2},
		},
		{
			"frame, nested lists", Limits{Frame: 6},
			[]byte("\x02\x80\x01\x80\x81\x81"), []byte("\x02\x80\x02\x80"),
			LimitError{Limit: LimitFrame, Max: 6, Offset: 2},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := scanAll(t, ProfilePB, c.limits, [][]byte{c.ok})
			require.NoError(t, err)
			for i, chunks := range [][][]byte{{c.bad}, bytewise(c.bad)} {
				_, err = scanAll(t, ProfilePB, c.limits, chunks)
				assert.Equal(t, &c.want, err, "chunking %d", i)
			}
			_, err = scanAll(t, ProfilePB, c.limits, [][]byte{c.bad[:len(c.bad)-1]})
			assert.NoError(t, err, "refused too early")
		})
	}
}

func TestLimitsWithDefaults(t *testing.T) {
	assert.Equal(t, Limits{64, 655360, 655360, 2048, 16777216}, Limits{}.WithDefaults())
	assert.Equal(t, Limits{64, 655360, 655360, 2048, 16777216}, Limits{-1, -2, -3, -4, -5}.WithDefaults())
	assert.Equal(t, Limits{1, 2, 3, 4, 5}, Limits{1, 2, 3, 4, 5}.WithDefaults())
	huge := int(^uint(0) >> 1)
	assert.Equal(
		t,
		Limits{1 << 29, 1 << 29, 1 << 29, 1 << 29, 1 << 29},
		Limits{huge, huge, huge, huge, huge}.WithDefaults(),
	)
}
