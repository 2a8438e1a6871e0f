package banana

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Profile is a dialect of Banana. The two ends of a connection begin by agreeing on one; see [ChooseProfile].
type Profile uint8

const (
	// ProfileNone spells every string out. The negotiation uses it.
	ProfileNone Profile = iota

	// ProfilePB writes the words of the vocabulary as numbers; see [Symbol].
	ProfilePB

	// ProfilePB1 is ProfilePB with the extensions of this module. Stock peers do not know it.
	ProfilePB1
)

// String returns the profile's name in the negotiation: "none", "pb" or "pb+1".
func (p Profile) String() string {
	switch p {
	case ProfileNone:
		return "none"
	case ProfilePB:
		return "pb"
	case ProfilePB1:
		return "pb+1"
	}
	return "Profile(" + strconv.Itoa(int(p)) + ")"
}

// IsKnown reports whether p is a profile of this package.
func (p Profile) IsKnown() bool { return p <= ProfilePB1 }

// HasVocabulary reports whether the words of the vocabulary are written as numbers.
func (p Profile) HasVocabulary() bool { return p == ProfilePB || p == ProfilePB1 }

// IsExtended reports whether p has the extensions of this module.
func (p Profile) IsExtended() bool { return p == ProfilePB1 }

// parseProfile returns the profile with this name, and whether there is one.
func parseProfile(name []byte) (Profile, bool) {
	switch string(name) {
	case "none":
		return ProfileNone, true
	case "pb":
		return ProfilePB, true
	case "pb+1":
		return ProfilePB1, true
	}
	return ProfileNone, false
}

// A connection begins with a negotiation in ProfileNone: the accepting side sends a list with the names of its
// profiles, and the connecting side answers with one of the names. Both continue in that profile, the connecting side
// without waiting.

// HandshakeFrame is a Limits.Frame for the negotiation, when the peer is not authenticated. A list of profiles is a few
// dozen bytes long.
const HandshakeFrame = 4096

// NegotiationError reports that the two ends have no profile in common.
type NegotiationError struct {
	// Theirs are the names that the peer offered or chose.
	Theirs []string
	// Ours are the profiles that this end accepts.
	Ours []Profile
}

func (e *NegotiationError) Error() string {
	ours := make([]string, len(e.Ours))
	for i, p := range e.Ours {
		ours[i] = p.String()
	}
	return fmt.Sprintf("banana: no profile in common: the peer named %q, we speak %q", e.Theirs, ours)
}

// orStock returns profiles or, if there are none, those of Twisted, best first.
func orStock(profiles []Profile) []Profile {
	if len(profiles) == 0 {
		return []Profile{ProfilePB, ProfileNone}
	}
	return profiles
}

// AppendOffer appends the accepting side's offer: its profiles, best first. Without profiles it offers those of
// Twisted: pb, then none.
func AppendOffer(b []byte, profiles ...Profile) []byte {
	profiles = orStock(profiles)
	b = AppendList(b, len(profiles))
	for _, p := range profiles {
		b = AppendString(b, ProfileNone, p.String())
	}
	return b
}

// AppendChoice appends the connecting side's answer to an offer.
func AppendChoice(b []byte, p Profile) []byte {
	return AppendString(b, ProfileNone, p.String())
}

// ChooseProfile reads an offer and returns its first profile that is also in known, or is one of Twisted's if known is
// empty. Like Twisted it ignores anything else in the list. The error is a [*NegotiationError] if there is no such
// profile.
func ChooseProfile(offer []byte, known ...Profile) (Profile, error) {
	known = orStock(known)
	var r Reader
	r.Reset(offer, ProfileNone)
	head, err := r.Next()
	if err != nil {
		return ProfileNone, withinExpression(err, 0)
	}
	if head.Kind != List {
		return ProfileNone, &SyntaxError{What: fmt.Sprintf(
			"the peer began with an element of type %s, not with its list of profiles", head.Kind)}
	}
	var theirs []string
	for range head.Int {
		if r.Peek() != String {
			if err := r.Skip(); err != nil {
				return ProfileNone, withinExpression(err, r.Offset())
			}
			continue
		}
		// Peek has shown that there is a token.
		token, _ := r.Next()
		if p, ok := find(token.Bytes, known); ok {
			return p, nil
		}
		theirs = append(theirs, quotable(token.Bytes))
	}
	return ProfileNone, &NegotiationError{Theirs: theirs, Ours: known}
}

// ParseChoice reads the answer to an offer. If the profile is not in offered, or not one of Twisted's if offered is
// empty, the error is a [*NegotiationError].
func ParseChoice(choice []byte, offered ...Profile) (Profile, error) {
	offered = orStock(offered)
	var r Reader
	r.Reset(choice, ProfileNone)
	token, err := r.Next()
	if err != nil {
		return ProfileNone, withinExpression(err, 0)
	}
	if token.Kind != String {
		return ProfileNone, &SyntaxError{What: fmt.Sprintf(
			"the peer answered with an element of type %s, not with the name of a profile", token.Kind)}
	}
	if p, ok := find(token.Bytes, offered); ok {
		return p, nil
	}
	return ProfileNone, &NegotiationError{Theirs: []string{quotable(token.Bytes)}, Ours: offered}
}

// find returns the profile with this name if it is in among.
func find(name []byte, among []Profile) (Profile, bool) {
	p, ok := parseProfile(name)
	if !ok {
		return ProfileNone, false
	}
	return p, slices.Contains(among, p)
}

// quotable shortens a peer's profile name for an error.
func quotable(name []byte) string {
	if len(name) > seenBytes {
		return strings.ToValidUTF8(string(name[:seenBytes]), "") + "…"
	}
	return string(name)
}
