package cred

import (
	"crypto/md5" //nolint:gosec // the protocol of Perspective Broker prescribes it
	"crypto/rand"
	"crypto/subtle"
)

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
