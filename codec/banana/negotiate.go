package banana

import (
	"fmt"
	"strconv"
	"strings"
)

// Profile is a dialect of Banana. The two ends of a connection agree on one
// before anything else; see [ChooseProfile].
type Profile uint8

const (
	// ProfileNone spells every string out. Negotiation itself uses it.
	ProfileNone Profile = iota

	// ProfilePB writes the words of the vocabulary, [Symbol], as numbers.
	ProfilePB
)

// String returns the name that travels in the negotiation: "none" or "pb".
func (p Profile) String() string {
	switch p {
	case ProfileNone:
		return "none"
	case ProfilePB:
		return "pb"
	}
	return "Profile(" + strconv.Itoa(int(p)) + ")"
}

// ParseProfile returns the profile of that name, and whether there is one.
func ParseProfile(name []byte) (Profile, bool) {
	switch string(name) {
	case "none":
		return ProfileNone, true
	case "pb":
		return ProfilePB, true
	}
	return ProfileNone, false
}

// A connection begins with a negotiation, in ProfileNone throughout: whoever
// accepted it sends a list with the names of its profiles, and whoever opened
// it answers with one of these names. Both then go on in that profile; the
// client may do so without waiting.

// HandshakeFrame is a Limits.Frame for the negotiation: nobody has been
// authenticated yet, and a peer's list of profiles is a few dozen bytes long.
const HandshakeFrame = 4096

// NegotiationError says that two peers have no profile in common.
type NegotiationError struct {
	// Theirs is what the peer offered or chose.
	Theirs []string
	// Ours are the profiles that we would have spoken.
	Ours []Profile
}

func (e *NegotiationError) Error() string {
	ours := make([]string, len(e.Ours))
	for i, p := range e.Ours {
		ours[i] = p.String()
	}
	return fmt.Sprintf("banana: no profile in common: the peer named %q, we speak %q", e.Theirs, ours)
}

// Profiles returns the profiles that this package speaks, best first. They are
// what is offered and accepted where a function below is given none.
func Profiles() []Profile { return []Profile{ProfilePB, ProfileNone} }

func orAll(profiles []Profile) []Profile {
	if len(profiles) == 0 {
		return Profiles()
	}
	return profiles
}

// AppendOffer writes what the accepting side says first: its profiles, best
// first. Without profiles it offers all.
func AppendOffer(b []byte, profiles ...Profile) []byte {
	profiles = orAll(profiles)
	b = AppendList(b, len(profiles))
	for _, p := range profiles {
		b = AppendString(b, ProfileNone, p.String())
	}
	return b
}

// AppendChoice writes the connecting side's answer to an offer.
func AppendChoice(b []byte, p Profile) []byte {
	return AppendString(b, ProfileNone, p.String())
}

// ChooseProfile reads an offer and returns the first profile in it that is also
// in known (all, if known is empty). Like Twisted it passes over whatever else
// is in the list. The error is a *NegotiationError if there is no such profile.
func ChooseProfile(offer []byte, known ...Profile) (Profile, error) {
	known = orAll(known)
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
		// Peek has seen that there is a token.
		token, _ := r.Next()
		if p, ok := find(token.Bytes, known); ok {
			return p, nil
		}
		theirs = append(theirs, quotable(token.Bytes))
	}
	return ProfileNone, &NegotiationError{Theirs: theirs, Ours: known}
}

// ParseChoice reads the answer to an offer. The profile must be one of those
// offered (all, if offered is empty); otherwise the error is a
// *NegotiationError.
func ParseChoice(choice []byte, offered ...Profile) (Profile, error) {
	offered = orAll(offered)
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

// find returns the profile of that name if it is among those given.
func find(name []byte, among []Profile) (Profile, bool) {
	p, ok := ParseProfile(name)
	if !ok {
		return ProfileNone, false
	}
	for _, q := range among {
		if p == q {
			return p, true
		}
	}
	return ProfileNone, false
}

// quotable keeps a peer's profile name at a length that an error can quote.
func quotable(name []byte) string {
	if len(name) > seenBytes {
		return strings.ToValidUTF8(string(name[:seenBytes]), "") + "…"
	}
	return string(name)
}
