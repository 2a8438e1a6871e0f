package cred

import "strings"

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
