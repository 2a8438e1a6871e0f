package banana

import "strconv"

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
