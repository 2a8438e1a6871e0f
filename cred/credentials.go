package cred

import (
	"crypto/md5" //nolint:gosec // the protocol of Perspective Broker prescribes it
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Kind names a kind of credentials; a portal finds the checker by it. A kind of one's own should be named after
// the package that defines it.
type Kind string

// The kinds of this package's credentials.
const (
	KindAnonymous         Kind = "anonymous"
	KindUsernamePassword  Kind = "username-password"
	KindChallengeResponse Kind = "challenge-response"
	KindClientCertificate Kind = "client-certificate"
	KindUnixPeer          Kind = "unix-peer"
)

// kinds are those that a portal can look for before anybody logs in.
func kinds() []Kind {
	return []Kind{KindAnonymous, KindUsernamePassword, KindChallengeResponse, KindClientCertificate, KindUnixPeer}
}

// Credentials are what somebody presents to be let in. Other kinds than those of this package can be made; they
// need a [Checker] that knows them.
type Credentials interface {
	// Kind says which checker to ask.
	Kind() Kind
	// Claim is who they claim to be, for the log alone. It must not contain a secret.
	Claim() string
}

// Anonymous is an explicit wish to come in without saying who one is: IAnonymous.
type Anonymous struct{}

// Kind implements Credentials.
func (Anonymous) Kind() Kind { return KindAnonymous }

// Claim implements Credentials.
func (Anonymous) Claim() string { return "" }

// UsernamePassword is a name with a password in plain text: IUsernamePassword. It can be checked against whatever
// is stored, and so must only ever cross an encrypted connection.
type UsernamePassword struct {
	Username string
	Password Secret
}

// Kind implements Credentials.
func (UsernamePassword) Kind() Kind { return KindUsernamePassword }

// Claim implements Credentials.
func (c UsernamePassword) Claim() string { return c.Username }

// CheckPassword says whether the password is this one, in constant time.
func (c UsernamePassword) CheckPassword(password Secret) bool {
	return equal(string(c.Password), string(password))
}

// ChallengeResponse is a name and the answer to a challenge: IUsernameMD5Password. The answer is that of [Respond].
type ChallengeResponse struct {
	Username  string
	Challenge []byte
	Response  []byte
}

// Kind implements Credentials.
func (ChallengeResponse) Kind() Kind { return KindChallengeResponse }

// Claim implements Credentials.
func (c ChallengeResponse) Claim() string { return c.Username }

// Limits on what is looked at before a password is checked. They keep the work of a refusal small.
const (
	// MaxUsernameBytes is how long a name may be: the length of a file name on most systems, and more than any
	// directory's uid.
	MaxUsernameBytes = 255
	// MaxPasswordBytes is how long a password may be. Some hashes take a thousand rounds over the whole of it.
	MaxPasswordBytes = 1024
)

// CheckUsername returns a refusal with [ReasonMalformed] for names that no store of users can hold: the empty one,
// those longer than [MaxUsernameBytes], and those with control characters in them. Checkers call it before they
// look anything up.
func CheckUsername(name string) *Refused {
	switch {
	case name == "":
		return Refuse(ReasonMalformed, "the username is empty")
	case len(name) > MaxUsernameBytes:
		return Refuse(
			ReasonMalformed,
			"the username has %d bytes, more than the %d of MaxUsernameBytes",
			len(name),
			MaxUsernameBytes,
		)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return Refuse(ReasonMalformed, "the username contains control characters")
	}
	return nil
}

// CheckUsernamePassword returns a refusal with [ReasonMalformed] for a name that [CheckUsername] refuses and for a
// password longer than [MaxPasswordBytes].
func CheckUsernamePassword(c UsernamePassword) *Refused {
	if len(c.Password) > MaxPasswordBytes {
		return Refuse(
			ReasonMalformed,
			"the password has %d bytes, more than the %d of MaxPasswordBytes",
			len(c.Password),
			MaxPasswordBytes,
		)
	}
	return CheckUsername(c.Username)
}

// AvatarID says which avatar a checker has let in. It is comparable, so it can be a map's key.
//
// The zero value names nobody and no portal lets it in, and the anonymous user is not somebody with an empty
// name: a slip in a checker or in a password file must not turn into a login.
type AvatarID struct {
	name      string
	anonymous bool
}

// ID is the avatar id of the user with that name. The id of an empty name is the zero value.
func ID(name string) AvatarID { return AvatarID{name: name} }

// AnonymousID is the avatar id of all who did not say who they are.
func AnonymousID() AvatarID { return AvatarID{anonymous: true} }

// Name returns the user's name, and nothing for the anonymous user.
func (id AvatarID) Name() string { return id.name }

// Anonymous says whether this is the anonymous user.
func (id AvatarID) Anonymous() bool { return id.anonymous }

// IsZero says whether this names nobody at all.
func (id AvatarID) IsZero() bool { return id == AvatarID{} }

// String is for logs: the name, "(anonymous)" or "(nobody)".
func (id AvatarID) String() string {
	switch {
	case id.anonymous:
		return "(anonymous)"
	case id.name == "":
		return "(nobody)"
	}
	return id.name
}

// redacted is what a Secret looks like wherever it is printed.
const redacted = "(secret)"

// Secret is a password. It is printed, logged and marshalled as "(secret)", in exported fields of structures too;
// string(s) is the way to the text. Package fmt does not ask what stands in an unexported field how it wants to be
// printed, so there it shows. An untyped constant can be used as a Secret.
type Secret string

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// Format implements fmt.Formatter, so that no verb and no flag shows the text.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements encoding.TextMarshaler, which encoding/json and the loggers use.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// equal compares in a time that depends on the length of got alone: hashing first hides where the texts differ
// and how long the right one is.
func equal(got, want string) bool {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// ChallengeBytes is the length of a challenge, as stock Twisted sends it.
const ChallengeBytes = 16

// NewChallenge returns a challenge that nobody has seen before.
func NewChallenge() []byte {
	challenge := make([]byte, ChallengeBytes)
	_, _ = rand.Read(challenge) // It never fails: crypto/rand ends the process rather than return weak bytes.
	return challenge
}

// Respond answers a challenge as a client: md5(md5(password) + challenge).
func Respond(challenge []byte, password Secret) []byte {
	return RespondMD5(challenge, md5.Sum([]byte(password)))
}

// RespondMD5 is Respond for those who have only md5(password).
func RespondMD5(challenge []byte, digest [md5.Size]byte) []byte {
	response := md5.Sum(append(digest[:], challenge...))
	return response[:]
}

// CheckPassword says whether the response was made with this password, in constant time.
func (c ChallengeResponse) CheckPassword(password Secret) bool {
	return c.CheckMD5Password(md5.Sum([]byte(password)))
}

// CheckMD5Password says whether the response was made with the password of this digest, in constant time. No
// response is right for an empty challenge: whoever can choose it can answer once for ever.
func (c ChallengeResponse) CheckMD5Password(digest [md5.Size]byte) bool {
	right := subtle.ConstantTimeCompare(c.Response, RespondMD5(c.Challenge, digest)) == 1
	return right && len(c.Challenge) > 0
}
