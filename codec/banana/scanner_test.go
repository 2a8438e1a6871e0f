package banana

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// checkInvariants asserts what the comment on the fields of Scanner promises.
func checkInvariants(t require.TestingT, s *Scanner) {
	if s.pos == 0 && s.cur == 0 {
		return
	}
	require.LessOrEqual(t, s.pos, s.cur)
	require.LessOrEqual(t, s.cur+s.owed, s.limits.Frame)
	require.LessOrEqual(t, len(s.open), s.limits.Depth)
	before := 0
	for _, done := range s.open {
		require.LessOrEqual(t, before, done)
		require.Less(t, done, s.owed)
		before = done
	}
}

// modelNext is a naive model of Next for a whole buffer: it starts from the beginning each time.
func modelNext(b []byte, p Profile, l Limits) (n int, failure string) {
	var missing []int // of each open list; a closed list is a 0 that is dropped
	for at := 0; ; {
		after := 0
		for _, m := range missing {
			after += m
		}
		if len(missing) > 0 {
			missing[len(missing)-1]--
			after--
		}
		digits := bytes.IndexFunc(b[at:], func(r rune) bool { return r >= 0x80 })
		if digits < 0 {
			digits = len(b) - at
		}
		for i := 1; i <= digits; i++ {
			switch {
			case i > l.Prefix:
				return 0, "prefix"
			case at+i+1+after > l.Frame:
				return 0, "frame"
			}
		}
		if at+digits == len(b) {
			return 0, ""
		}
		number := bigOf(b[at : at+digits])
		small := func(limit int) bool { return number.IsInt64() && number.Int64() <= int64(limit) }
		end := at + digits + 1
		switch kind := Kind(b[end-1]); kind {
		case Int, Neg, LongInt, LongNeg:
		case Float:
			end += 8
		case String:
			if !small(l.String) {
				return 0, "string"
			}
			end += int(number.Int64())
		case List:
			if !small(l.List) {
				return 0, "list"
			}
			if len(missing) == l.Depth {
				return 0, "depth"
			}
			missing = append(missing, int(number.Int64()))
			after += int(number.Int64())
		case Vocab:
			if p == ProfileNone || !small(31) || number.Sign() == 0 {
				return 0, "syntax"
			}
		default:
			return 0, "syntax"
		}
		if end+after > l.Frame {
			return 0, "frame"
		}
		if end > len(b) {
			return 0, ""
		}
		at = end
		for len(missing) > 0 && missing[len(missing)-1] == 0 {
			missing = missing[:len(missing)-1]
		}
		if len(missing) == 0 {
			return at, ""
		}
	}
}

func failureOf(err error) string {
	var limit *LimitError
	var syntax *SyntaxError
	switch {
	case errors.As(err, &limit):
		return string(limit.Limit)
	case errors.As(err, &syntax):
		return "syntax"
	}
	return ""
}

// The Scanner agrees with the model after each byte: errors and ends are neither late nor early.
func TestScannerMatchesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyProfile().Draw(t, "profile")
		l := anyLimits(Limits{Prefix: 9, String: 9, List: 4, Depth: 4, Frame: 60}).Draw(t, "limits")
		stream := anyWire().Draw(t, "stream")
		var s Scanner
		s.Init(p, l)
		start := 0
		for end := 1; end <= len(stream); end++ {
			want, failure := modelNext(stream[start:end], p, l)
			n, err := s.Next(stream[start:end])
			require.Equal(t, want, n, "%x", stream[start:end])
			require.Equal(t, failure, failureOf(err), "%x: %v", stream[start:end], err)
			if err != nil {
				return
			}
			checkInvariants(t, &s)
			start += n
		}
	})
}

// scanAll returns the ends of all frames in a stream that arrives in chunks. It overwrites scanned bytes, so none can
// be read twice: that shows that the work is linear.
func scanAll(t require.TestingT, p Profile, l Limits, chunks [][]byte) (ends []int, err error) {
	var (
		s    Scanner
		buf  []byte
		at   int
		dead int // how much of buf is overwritten
	)
	s.Init(p, l)
	for _, chunk := range chunks {
		buf = append(buf, chunk...)
		for {
			n, err := s.Next(buf)
			if err != nil {
				_, again := s.Next(buf)
				require.Same(t, err, again, "an error is final")
				return ends, err
			}
			checkInvariants(t, &s)
			if n == 0 {
				break
			}
			at += n
			ends = append(ends, at)
			buf, dead = buf[n:], 0
		}
		for ; dead < min(s.pos, len(buf)); dead++ {
			buf[dead] = 0xff
		}
	}
	return ends, nil
}

// requireSameBytewise scans a stream whole, and byte by byte, and requires the ends and errors of the model both times,
// and the same costs. Byte by byte, no element is scanned in one of the faster ways.
func requireSameBytewise(t require.TestingT, stream []byte, p Profile, l Limits, prices *Prices) {
	var whole, each Scanner
	whole.SetPrices(prices)
	each.SetPrices(prices)
	whole.Init(p, l)
	each.Init(p, l)
	for {
		want, failure := modelNext(stream, p, l)
		n, err := whole.Next(stream)
		require.Equal(t, want, n)
		require.Equal(t, failure, failureOf(err))
		if err == nil {
			checkInvariants(t, &whole)
		}
		var end int
		var eachErr error
		for i := 0; i <= len(stream) && end == 0 && eachErr == nil; i++ {
			end, eachErr = each.Next(stream[:i])
		}
		require.Equal(t, n, end)
		require.Equal(t, err, eachErr)
		if n == 0 {
			return
		}
		require.Equal(t, each.Cost(), whole.Cost())
		stream = stream[n:]
	}
}

// TestScannerUsual scans streams of all kinds of elements with all kinds of limits and prices.
func TestScannerUsual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyLimits(Limits{Prefix: 12, String: 20, List: 20, Depth: 5, Frame: 200}).Draw(t, "limits")
		p := anyProfile().Draw(t, "profile")
		var stream []byte
		for range rapid.IntRange(1, 6).Draw(t, "expressions") {
			stream = append(stream, anyWire().Draw(t, "wire")...)
		}
		prices := &Prices{List: 100_000, Slot: 10_000, Number: 700, Big: 50, String: 3000, Word: 1}
		for i := range prices.Head {
			prices.Head[i] = 1_000_000 * i
		}
		if rapid.Bool().Draw(t, "names have prices") {
			prices.Named = func(name []byte) (int, bool) { return 77 * len(name), len(name)%2 == 0 }
			prices.Array = func(code []byte) int { return 5 + len(code) }
		}
		if rapid.Bool().Draw(t, "free") {
			prices = nil
		}
		requireSameBytewise(t, stream, p, l, prices)
	})
}

func TestScannerChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyProfile().Draw(t, "profile")
		l := Limits{Prefix: 10, Depth: 3, Frame: rapid.IntRange(5, 80).Draw(t, "Frame")}
		stream := anyWire().Draw(t, "stream")
		whole, wholeErr := scanAll(t, p, l, [][]byte{stream})
		cut, cutErr := scanAll(t, p, l, chunksOf(t, stream))
		assert.Equal(t, whole, cut)
		assert.Equal(t, wholeErr, cutErr)
		each, eachErr := scanAll(t, p, l, bytewise(stream))
		assert.Equal(t, whole, each)
		assert.Equal(t, wholeErr, eachErr)
	})
}

func TestScannerTwoChunks(t *testing.T) {
	one := aCall(nil)
	stream := append(
		bytes.Clone(one),
		AppendFloat(AppendBytes(AppendList(nil, 2), ProfilePB, bytes.Repeat([]byte("x"), 200)), 1.5)...)
	stream = append(stream, one...)
	want := []int{len(one), len(stream) - len(one), len(stream)}
	for i := range stream {
		ends, err := scanAll(t, ProfilePB, Limits{}, [][]byte{stream[:i], stream[i:]})
		require.NoError(t, err)
		require.Equal(t, want, ends, "cut at %d", i)
	}
}

// The body of a string is skipped by its length, not looked at: here it is nothing but type bytes.
func TestScannerSkipsBodies(t *testing.T) {
	stream := AppendBytes(AppendList(nil, 2), ProfilePB, bytes.Repeat([]byte{0xff}, 10_000))
	stream = AppendInt(stream, 1)
	ends, err := scanAll(t, ProfilePB, Limits{}, bytewise(stream))
	require.NoError(t, err)
	assert.Equal(t, []int{len(stream)}, ends)
}

func TestScannerErrors(t *testing.T) {
	cases := []struct {
		stream  string
		profile Profile
		limits  Limits
		want    string
	}{
		{"GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n", ProfileNone, Limits{},
			`banana: no type byte within 64 bytes of prefix, the peer sent "GET / HTTP/1.1\r\nHost: example.or"…: the peer ` +
				`may be speaking another protocol, such as HTTP or TLS`},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", ProfileNone, Limits{},
			"banana: unknown type byte 0xfc (the peer may be speaking another protocol, such as HTTP or TLS), at byte 0 of " +
				"the expression"},
		{"\x02\x80\x01\x81\x88", ProfilePB, Limits{}, "banana: unknown type byte 0x88, at byte 4 of the expression"},
		{
			"\x01\x80\x0b\x87",
			ProfileNone,
			Limits{},
			`banana: a vocabulary element in profile "none", which has no vocabulary, at byte 2 of the expression`,
		},
		{
			"\x20\x87",
			ProfilePB,
			Limits{},
			"banana: no vocabulary word has index 32 (they are 1 to 31), at byte 0 of the expression",
		},
		{
			"\x87",
			ProfilePB,
			Limits{},
			"banana: no vocabulary word has index 0 (they are 1 to 31), at byte 0 of the expression",
		},
		{
			"\x00\x00\x00\x00\x00\x01\x87",
			ProfilePB,
			Limits{},
			"banana: a vocabulary element with a huge index, at byte 0 of the expression",
		},
		{
			"\x05\x82",
			ProfilePB,
			Limits{String: 4},
			`banana: a string of more than 4 bytes (limit "string"), at byte 0 of the expression`,
		},
		{
			"\x05\x80",
			ProfilePB,
			Limits{List: 4},
			`banana: a list of more than 4 elements (limit "list"), at byte 0 of the expression`,
		},
		{
			"\x01\x80\x01\x80",
			ProfilePB,
			Limits{Depth: 1},
			`banana: lists are nested more than 1 levels deep (limit "depth"), at byte 2 of the expression`,
		},
		{
			"\x05\x80",
			ProfilePB,
			Limits{Frame: 4},
			`banana: the expression needs more than 4 bytes (limit "frame"), seen at its byte 0`,
		},
		{
			"\x01\x80\x01\x01\x01",
			ProfilePB,
			Limits{Prefix: 2},
			"banana: no type byte within 2 bytes of prefix, at byte 2 of the expression",
		},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%.12q", c.stream), func(t *testing.T) {
			_, err := scanAll(t, c.profile, c.limits, [][]byte{[]byte(c.stream)})
			assert.EqualError(t, err, c.want)
		})
	}
}

func TestScannerChangesProfile(t *testing.T) {
	var s Scanner // the zero Scanner is in ProfileNone
	assert.Equal(t, ProfileNone, s.Profile())
	stream := aCall(AppendChoice(nil, ProfilePB)) // the client does not wait
	n, err := s.Next(stream)
	require.NoError(t, err)
	assert.Equal(t, 4, n)

	s.Init(ProfilePB, Limits{})
	assert.Equal(t, ProfilePB, s.Profile())
	m, err := s.Next(stream[n:])
	require.NoError(t, err)
	assert.Equal(t, len(stream)-n, m)

	s.Init(ProfileNone, Limits{})
	_, err = s.Next(stream[n:])
	require.Error(t, err)
	s.Init(ProfileNone, Limits{})
	assert.Equal(t, ProfileNone, s.Profile())
	n, err = s.Next(stream)
	require.NoError(t, err)
	assert.Equal(t, 4, n)
}

func TestScannerMisuse(t *testing.T) {
	var s Scanner
	stream := []byte("\x02\x80\x00\x00\x81\x05\x82hello")
	for _, n := range []int{9, 3, 0, 8, 2} { // a buffer that shrinks
		got, err := s.Next(stream[:n])
		require.NoError(t, err)
		require.Zero(t, got)
	}
	n, err := s.Next(stream)
	require.NoError(t, err)
	assert.Equal(t, len(stream), n)
}

func TestScanningDoesNotAllocate(t *testing.T) {
	frame := aCall(nil)
	var s Scanner
	s.Init(ProfilePB, Limits{})
	_, _ = s.Next(frame) // the stack of open lists is allocated once
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for end := range len(frame) + 1 {
			_, _ = s.Next(frame[:end])
		}
	}))
}

func TestScannerNeed(t *testing.T) {
	frame := []byte("\x03\x80\x05\x82hello\x02\x80\x01\x81\x02\x81\x03\x81")
	for cut, want := range map[int]int{0: 1, 1: 2, 2: 5, 3: 6, 4: 11, 8: 11, 9: 11, 10: 12, 11: 14, 12: 15, 16: 17} {
		var s Scanner
		n, err := s.Next(frame[:cut])
		require.NoError(t, err)
		require.Zero(t, n)
		assert.Equal(t, want, s.Need(), "after %d bytes", cut)
		assert.LessOrEqual(t, s.Need(), len(frame))
	}
}
