package jelly

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/banana"
)

// around appends f with AppendAround and puts the long strings back in their places.
func around(t require.TestingT, f *Fragment, fill func([]byte, any) ([]byte, error)) []byte {
	type gap struct {
		at int
		l  *Long
	}
	var gaps []gap
	own, err := f.AppendAround([]byte("before"), fill, func(before []byte, l *Long) {
		gaps = append(gaps, gap{len(before), l})
	})
	require.NoError(t, err)
	var all []byte
	done := 0
	for _, g := range gaps {
		all = append(append(all, own[done:g.at]...), g.l.Bytes()...)
		done = g.at
		g.l.Done()
	}
	return append(all, own[done:]...)[len("before"):]
}

// longValue draws values with long strings between shared lists, numbers and holes.
func longValue(t *rapid.T, shared []any, depth int) any {
	kinds := 7
	if depth == 0 {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return int64(rapid.IntRange(0, 1000).Draw(t, "number"))
	case 1:
		return bytes.Repeat([]byte{byte(rapid.IntRange(0, 255).Draw(t, "byte"))}, longFrom+rapid.IntRange(-1, 2).Draw(t, "n"))
	case 2:
		return string(bytes.Repeat([]byte("s"), longFrom+rapid.IntRange(-1, 2).Draw(t, "n")))
	case 3:
		return shared
	case 4:
		return holed{}
	}
	list := make([]any, rapid.IntRange(0, 4).Draw(t, "length"))
	for i := range list {
		list[i] = longValue(t, shared, depth-1)
	}
	return list
}

// holed is a value that only the owner of a connection can write.
type holed struct{}

func (holed) JellyTo(e *Encoder, _ any) error {
	e.Hole("hole")
	return nil
}

func fillHole(dst []byte, _ any) ([]byte, error) { return banana.AppendInt(dst, 77), nil }

// Long strings that are left out of a fragment stand where they would be in it.
func TestAppendAround(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		profiles := []banana.Profile{banana.ProfileNone, banana.ProfilePB, banana.ProfilePB1}
		profile := rapid.SampledFrom(profiles).Draw(t, "profile")
		f := NewFragment(Context{Profile: profile, Limits: banana.Limits{Frame: 64 << 20}})
		defer f.Free()
		var args []any
		for range rapid.IntRange(0, 4).Draw(t, "args") {
			args = append(args, longValue(t, []any{int64(1), []byte("x")}, 3))
		}
		require.NoError(t, f.JellyTuple(args))
		require.NoError(t, f.JellyDict(nil))
		whole, err := f.Append(nil, fillHole)
		require.NoError(t, err)
		require.Len(t, whole, f.Len()+2*f.Holes(), "Len counts long strings, and no holes")
		require.LessOrEqual(t, f.OwnLen(), len(whole)+longHead*f.Longs())
		longs := f.Longs()
		got := around(t, f, fillHole)
		require.True(t, bytes.Equal(whole, got), "%d long strings, %d and %d bytes", longs, len(whole), len(got))

		var r banana.Reader
		r.Reset(whole, profile)
		var d Decoder
		var tuple Tuple
		require.NoError(t, d.DecodeTuple(&r, &tuple))
		require.Len(t, tuple, len(args))
		for i, arg := range args {
			if b, ok := arg.([]byte); ok {
				require.Equal(t, b, tuple[i])
			}
		}
	})
}

// A value may change once the fragment is made.
func TestLongStringIsSnapshot(t *testing.T) {
	b := bytes.Repeat([]byte("a"), longFrom)
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	require.NoError(t, f.Jelly(b))
	assert.Equal(t, 1, f.Longs())
	assert.Zero(t, f.Holes())
	assert.False(t, f.Personal())
	b[0] = 'b'
	assert.Equal(t, byte('a'), around(t, f, nil)[4])
}

// user counts how often it was told that its bytes are not needed any more.
type user struct{ told int }

func (u *user) HoleDone() { u.told++ }

// lender writes its bytes without a copy, and then fails if it has an error.
type lender struct {
	b    []byte
	user *user
	err  error
}

func (l *lender) JellyTo(e *Encoder, _ any) error {
	if err := e.Lent(l.b, l.user); err != nil {
		return err
	}
	return l.err
}

// Whatever becomes of lent bytes, their user is told once.
func TestLentBytes(t *testing.T) {
	long := bytes.Repeat([]byte("a"), longFrom)
	context := Context{Profile: banana.ProfilePB}
	t.Run("freed", func(t *testing.T) {
		f, u := NewFragment(context), &user{}
		require.NoError(t, f.Jelly(&lender{b: long, user: u}))
		assert.Zero(t, u.told)
		f.Free()
		assert.Equal(t, 1, u.told)
	})
	t.Run("given away", func(t *testing.T) {
		f, u := NewFragment(context), &user{}
		require.NoError(t, f.Jelly(&lender{b: long, user: u}))
		var given *Long
		_, err := f.AppendAround(nil, nil, func(_ []byte, l *Long) { given = l })
		require.NoError(t, err)
		f.Free()
		assert.Zero(t, u.told)
		assert.Same(t, &long[0], &given.Bytes()[0], "not copied")
		given.Done()
		assert.Equal(t, 1, u.told)
	})
	t.Run("not given away after an error", func(t *testing.T) {
		f, u := NewFragment(context), &user{}
		require.NoError(t, f.Jelly([]any{&lender{b: long, user: u}, holed{}}))
		failed := errors.New("full")
		_, err := f.AppendAround(nil, func(b []byte, _ any) ([]byte, error) { return b, failed }, func([]byte, *Long) {})
		require.ErrorIs(t, err, failed)
		assert.Zero(t, u.told)
		f.Free()
		assert.Equal(t, 1, u.told)
	})
	t.Run("failed", func(t *testing.T) {
		f, u := NewFragment(context), &user{}
		defer f.Free()
		require.Error(t, f.Jelly(&lender{b: long, user: u, err: errors.New("no")}))
		assert.Equal(t, 1, u.told)
		assert.Zero(t, f.Longs())
		assert.Zero(t, f.Len())
	})
	t.Run("short", func(t *testing.T) {
		f, u := NewFragment(context), &user{}
		defer f.Free()
		require.NoError(t, f.Jelly(&lender{b: []byte("short"), user: u}))
		assert.Equal(t, 1, u.told)
	})
	t.Run("too long", func(t *testing.T) {
		f, u := NewFragment(context), &user{}
		defer f.Free()
		require.Error(t, f.Jelly(&lender{b: make([]byte, banana.DefaultString+1), user: u}))
		assert.Equal(t, 1, u.told)
	})
}

// A long string is encoded without allocations, whether the fragment gives it away or not.
func TestLongStringAllocations(t *testing.T) {
	for name, value := range map[string]any{
		"bytes": bytes.Repeat([]byte("a"), 2*longFrom),
		"text":  strings.Repeat("a", 2*longFrom),
		"lent":  &lender{b: bytes.Repeat([]byte("a"), 2*longFrom), user: &user{}},
	} {
		t.Run(name, func(t *testing.T) {
			var frame []byte
			given := func(_ []byte, l *Long) { l.Done() }
			assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
				f := NewFragment(Context{Profile: banana.ProfilePB})
				require.NoError(t, f.Jelly(value))
				var err error
				frame, err = f.Append(frame[:0], nil)
				require.NoError(t, err)
				frame, err = f.AppendAround(frame[:0], nil, given)
				require.NoError(t, err)
				f.Free()
			}), float64(mostLongAllocs))
		})
	}
}

// Long strings count in the limit of a frame.
func TestLongStringsFrameLimit(t *testing.T) {
	f := NewFragment(Context{Profile: banana.ProfilePB, Limits: banana.Limits{Frame: 3 * longFrom}})
	defer f.Free()
	list := []any{make([]byte, longFrom), make([]byte, longFrom), make([]byte, longFrom)}
	require.ErrorContains(t, f.Jelly(list), "too large")
	require.NoError(t, f.Jelly(list[:2]))
}

// roomCounter is asked for room, and has some or not.
type roomCounter struct {
	asked int
	err   error
}

func (r *roomCounter) TakeRoom() error { r.asked++; return r.err }

// Room is asked for once, before the first byte string that is copied beside the fragment's own memory.
func TestRoom(t *testing.T) {
	long := make([]byte, longFrom)
	full := errors.New("full")
	for name, c := range map[string]struct {
		value any
		err   error
		asked int
	}{
		"short":      {value: []any{long[:longFrom-1], 1, "x"}},
		"long":       {value: long, asked: 1},
		"within":     {value: []any{1, map[string]any{"a": long}, long}, asked: 1},
		"array":      {value: make([]float64, longFrom), asked: 1},
		"no room":    {value: []any{1, long}, err: full, asked: 1},
		"not copied": {value: string(long)},
	} {
		t.Run(name, func(t *testing.T) {
			room := &roomCounter{err: c.err}
			f := NewFragment(Context{Profile: banana.ProfilePB1})
			f.SetRoom(room)
			assert.ErrorIs(t, f.Jelly(c.value), c.err)
			assert.Equal(t, c.asked, room.asked)
			f.Free()
			f = NewFragment(Context{Profile: banana.ProfilePB1})
			require.NoError(t, f.Jelly(long))
			f.Free()
			assert.Equal(t, c.asked, room.asked, "Free has forgotten it")
		})
	}
}
