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

// Kind names a kind of credentials. A portal selects the checker by it. Your own kind should be named after the package
// that defines it.
type Kind string

// The kinds of this package's credentials.
const (
	KindAnonymous         Kind = "anonymous"
	KindUsernamePassword  Kind = "username-password"
	KindChallengeResponse Kind = "challenge-response"
	KindClientCertificate Kind = "client-certificate"
	KindUnixPeer          Kind = "unix-peer"
)

// kinds returns the kinds of this package.
func kinds() []Kind {
	return []Kind{KindAnonymous, KindUsernamePassword, KindChallengeResponse, KindClientCertificate, KindUnixPeer}
}

// Credentials are what a user presents to log in. Your own types need a [Checker] that knows them.
type Credentials interface {
	// Kind selects the checker.
	Kind() Kind
	// Claim returns the claimed identity, for the log. It must not contain a secret.
	Claim() string
}

// Anonymous are the credentials of an anonymous user: IAnonymous.
type Anonymous struct{}

// Kind implements Credentials.
func (Anonymous) Kind() Kind { return KindAnonymous }

// Claim implements Credentials.
func (Anonymous) Claim() string { return "" }

// UsernamePassword is a name with a plaintext password: IUsernamePassword. It can be checked against every stored entry
// and must only be sent over an encrypted connection.
type UsernamePassword struct {
	Username string
	Password Secret
}

// Kind implements Credentials.
func (UsernamePassword) Kind() Kind { return KindUsernamePassword }

// Claim implements Credentials.
func (c UsernamePassword) Claim() string { return c.Username }

// CheckPassword reports whether the password is equal, in constant time.
func (c UsernamePassword) CheckPassword(password Secret) bool {
	return equal(string(c.Password), string(password))
}

// ChallengeResponse is a name with the response to a challenge, as made by [Respond]: IUsernameMD5Password.
type ChallengeResponse struct {
	Username  string
	Challenge []byte
	Response  []byte
}

// Kind implements Credentials.
func (ChallengeResponse) Kind() Kind { return KindChallengeResponse }

// Claim implements Credentials.
func (c ChallengeResponse) Claim() string { return c.Username }

// Limits that are checked before a password. They keep the work of a refusal small.
const (
	// MaxUsernameBytes is the maximum length of a name: that of a file name on most systems.
	MaxUsernameBytes = 255
	// MaxPasswordBytes is the maximum length of a password. Some hashes process it a thousand times.
	MaxPasswordBytes = 1024
)

// CheckUsername refuses names that no store can hold, with [ReasonMalformed]: empty ones, those longer than
// [MaxUsernameBytes], and those with control characters. Checkers call it before any lookup.
func CheckUsername(name string) *Refused {
	switch {
	case name == "":
		return Refuse(ReasonMalformed, "the username is empty")
	case len(name) > MaxUsernameBytes:
		return Refuse(ReasonMalformed, "the username has %d bytes, more than the %d of MaxUsernameBytes",
			len(name), MaxUsernameBytes)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return Refuse(ReasonMalformed, "the username contains control characters")
	}
	return nil
}

// CheckUsernamePassword refuses names that [CheckUsername] refuses and passwords longer than [MaxPasswordBytes], with
// [ReasonMalformed].
func CheckUsernamePassword(c UsernamePassword) *Refused {
	if len(c.Password) > MaxPasswordBytes {
		return Refuse(ReasonMalformed, "the password has %d bytes, more than the %d of MaxPasswordBytes",
			len(c.Password), MaxPasswordBytes)
	}
	return CheckUsername(c.Username)
}

// AvatarID identifies an avatar. It is comparable, so it can be a map key.
//
// The zero value identifies no avatar, and no portal accepts it. The anonymous user is not a user with an empty name,
// so an empty name by mistake never becomes a login.
type AvatarID struct {
	name      string
	anonymous bool
}

// ID returns the avatar id of the user with that name. The id of an empty name is the zero value.
func ID(name string) AvatarID { return AvatarID{name: name} }

// AnonymousID returns the avatar id of anonymous users.
func AnonymousID() AvatarID { return AvatarID{anonymous: true} }

// Name returns the user's name. It is empty for the anonymous user.
func (id AvatarID) Name() string { return id.name }

// Anonymous reports whether id is that of the anonymous user.
func (id AvatarID) Anonymous() bool { return id.anonymous }

// IsZero reports whether id identifies no avatar.
func (id AvatarID) IsZero() bool { return id == AvatarID{} }

// String returns the name, "(anonymous)" or "(nobody)", for logs.
func (id AvatarID) String() string {
	switch {
	case id.anonymous:
		return "(anonymous)"
	case id.name == "":
		return "(nobody)"
	}
	return id.name
}

// redacted is the printed form of a Secret.
const redacted = "(secret)"

// Secret is a password. It is printed, logged and marshalled as "(secret)", also as an exported field of a struct;
// string(s) returns the text. Package fmt does not call the methods of unexported fields, so there it shows the text.
// An untyped constant can be used as a Secret.
type Secret string

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// Format implements fmt.Formatter: no verb and no flag shows the text.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements encoding.TextMarshaler, for encoding/json and loggers.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// equal compares in a time that depends only on the length of got. Hashing first hides the position of a difference and
// the length of want.
func equal(got, want string) bool {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// ChallengeBytes is the length of a challenge, as stock Twisted sends it.
const ChallengeBytes = 16

// NewChallenge returns a new random challenge.
func NewChallenge() []byte {
	challenge := make([]byte, ChallengeBytes)
	_, _ = rand.Read(challenge) // never fails
	return challenge
}

// Respond returns a client's response to a challenge: md5(md5(password) + challenge).
func Respond(challenge []byte, password Secret) []byte {
	return RespondMD5(challenge, md5.Sum([]byte(password)))
}

// RespondMD5 is Respond for a client that has only md5(password).
func RespondMD5(challenge []byte, digest [md5.Size]byte) []byte {
	response := md5.Sum(append(digest[:], challenge...))
	return response[:]
}

// CheckPassword reports whether the response was made with this password, in constant time.
func (c ChallengeResponse) CheckPassword(password Secret) bool {
	return c.CheckMD5Password(md5.Sum([]byte(password)))
}

// CheckMD5Password reports whether the response was made with the password of this digest, in constant time. It rejects
// every response to an empty challenge, because such a response could be replayed.
func (c ChallengeResponse) CheckMD5Password(digest [md5.Size]byte) bool {
	right := subtle.ConstantTimeCompare(c.Response, RespondMD5(c.Challenge, digest)) == 1
	return right && len(c.Challenge) > 0
}
