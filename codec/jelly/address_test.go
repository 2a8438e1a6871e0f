package jelly

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/banana"
)

// addressed is written as an address.
type addressed struct{ kind, id string }

func (a *addressed) JellyTo(e *Encoder, _ any) error { return e.Address(a.kind, a.id) }

func encodeAddress(a *addressed, p banana.Profile) ([]byte, error) {
	f := NewFragment(Context{Profile: p})
	defer f.Free()
	if err := f.Jelly([]any{a}); err != nil {
		return nil, err
	}
	return f.Append(nil, nil)
}

// TestAddressRoundTrip: kinds and ids are any strings, words of the vocabulary included, wherever a value stands.
func TestAddressRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "list", "remote", "\xff\x00"}))
		want := &addressed{text.Draw(rt, "kind"), text.Draw(rt, "id")}
		frame, err := encodeAddress(want, banana.ProfilePB1)
		require.NoError(rt, err)

		d := Decoder{Addresses: true}
		v, err := decodeAll(&d, frame, banana.ProfilePB1)
		require.NoError(rt, err)
		require.Len(rt, d.Unbound(), 1)
		u := d.Unbound()[0]
		kind, id := u.Address()
		require.Equal(rt, *want, addressed{kind, id})
		require.True(rt, u.IsAddress())
		require.False(rt, u.IsReference() || u.IsInstance())
		u.Bind("the object")
		require.Equal(rt, []any{"the object"}, v)

		raw, err := rawOf(&d, frame, banana.ProfilePB1)
		require.NoError(rt, err)
		require.Equal(rt, 1, raw.Holes())
		d.Unbound()[0].Bind(want)
		require.Equal(rt, frame, passed(rt, raw, banana.ProfilePB1))
	})
}

// TestAddressRefused: by peers that may not send addresses, and where the form is not that of an address.
func TestAddressRefused(t *testing.T) {
	long := strings.Repeat("x", MaxAddress)
	for name, c := range map[string]struct {
		expr    []any
		profile banana.Profile
		trusted bool
		want    string
	}{
		"not trusted":       {x("address", "a", "b"), banana.ProfilePB1, false, "may not name objects by addresses"},
		"other dialect":     {x("address", "a", "b"), banana.ProfilePB, true, "address"},
		"no id":             {x("address", "a"), banana.ProfilePB1, true, "a kind and an id"},
		"too much":          {x("address", "a", "b", 7), banana.ProfilePB1, true, "nothing else"},
		"kind is a number":  {x("address", 5, "b"), banana.ProfilePB1, true, "must be strings"},
		"id is a list":      {x("address", "a", x("list")), banana.ProfilePB1, true, "must be strings"},
		"id is a reference": {x("address", "a", x("remote", 1)), banana.ProfilePB1, true, "must be strings"},
		"kind is long":      {x("address", long+"x", ""), banana.ProfilePB1, true, "longer than 1024"},
		"both are long":     {x("address", long, "x"), banana.ProfilePB1, true, "longer than 1024"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decoder{Addresses: c.trusted}
			frame, err := banana.EncodeExpr(c.profile, x("list", c.expr))
			require.NoError(t, err)
			_, err = decodeAll(&d, frame, c.profile)
			require.ErrorContains(t, err, c.want)
			_, err = rawOf(&d, frame, c.profile)
			require.ErrorContains(t, err, c.want)
			require.Empty(t, d.Unbound())
		})
	}
}

func TestAddressNotWritten(t *testing.T) {
	for name, c := range map[string]struct {
		of      *addressed
		profile banana.Profile
	}{
		"stock peer": {&addressed{"a", "b"}, banana.ProfilePB},
		"too long":   {&addressed{strings.Repeat("x", MaxAddress), "y"}, banana.ProfilePB1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := encodeAddress(c.of, c.profile)
			var refused *EncodeError
			require.ErrorAs(t, err, &refused)
		})
	}
}

// TestAddressLimits: an address makes a reference, and counts as one. A peer has counted none, so it is no mention.
func TestAddressLimits(t *testing.T) {
	frame, err := banana.EncodeExpr(banana.ProfilePB1, x("list", x("address", "a", "b"), x("address", "a", "b")))
	require.NoError(t, err)
	d := Decoder{Addresses: true, References: 1}
	_, err = decodeAll(&d, frame, banana.ProfilePB1)
	require.ErrorIs(t, err, ErrTooManyReferences)
	_, err = rawOf(&d, frame, banana.ProfilePB1)
	require.ErrorIs(t, err, ErrTooManyReferences)
	var r banana.Reader
	r.Reset(frame, banana.ProfilePB1)
	assert.Zero(t, CountMentions(r, 1))
	taster := NewSecurityOptions().AllowBasicTypes().AllowTypes("list")
	_, err = decodeAll(&Decoder{Addresses: true, Taster: taster}, frame, banana.ProfilePB1)
	require.ErrorContains(t, err, "not allowed")
}
