package cred

import (
	"context"
	"crypto/md5" //nolint:gosec // what Perspective Broker's challenge can be checked against
	"errors"
	"fmt"
	"io"
	"strings"
)

// Scheme is the way in which a password is stored.
type Scheme string

// The schemes, each with the text of an entry.
const (
	SchemePlaintext Scheme = "plaintext" // {CLEARTEXT}password
	SchemeMD5       Scheme = "md5"       // {MD5}base64, unsalted: the input of PB's challenge
	SchemeSHA1      Scheme = "sha1"      // {SHA}base64, unsalted: htpasswd -s
	SchemeSSHA1     Scheme = "ssha1"     // {SSHA}base64, salted: slappasswd
	SchemeAPR1      Scheme = "apr1"      // $apr1$salt$hash: htpasswd -m
	SchemeBcrypt    Scheme = "bcrypt"    // $2y$cost$…: htpasswd -B
	SchemeArgon2id  Scheme = "argon2id"  // $argon2id$v=19$m=…,t=…,p=…$salt$hash: the PHC string format
)

// Entry is a user's stored password. [Plaintext], [MD5], [ParseEntry] and the methods of [Hasher] make entries; a
// [Hasher] checks them. Printing an entry shows only its scheme.
type Entry interface {
	// Scheme returns how the password is stored.
	Scheme() Scheme
	// Encode returns the text that ParseEntry reads. It is as secret as the password, or nearly so.
	Encode() string
	// String returns the scheme.
	fmt.Stringer
	// Format prints the scheme, whatever the verb.
	fmt.Formatter

	// verify computes the whole hash in any case and compares.
	verify(password []byte) bool
}

// show prints the scheme of an entry.
func show(f fmt.State, e Entry) { _, _ = io.WriteString(f, string(e.Scheme())) }

// answerable is implemented by entries that can check a challenge's response.
type answerable interface {
	answers(c ChallengeResponse) bool
}

// CanAnswer reports whether a [ChallengeResponse] can be checked against the entry. Only plaintext and md5 entries
// contain what the response is made from.
func CanAnswer(entry Entry) bool {
	_, ok := entry.(answerable)
	return ok
}

// Plaintext returns an entry that stores the password itself.
func Plaintext(password Secret) Entry { return plaintext{password} }

type plaintext struct{ password Secret }

func (plaintext) Scheme() Scheme   { return SchemePlaintext }
func (e plaintext) Encode() string { return prefixCleartext + string(e.password) }
func (plaintext) String() string   { return string(SchemePlaintext) }

func (e plaintext) Format(f fmt.State, _ rune) { show(f, e) }

func (e plaintext) verify(password []byte) bool { return equal(string(password), string(e.password)) }

func (e plaintext) answers(c ChallengeResponse) bool { return c.CheckPassword(e.password) }

// MD5 returns an entry that stores md5(password). Stock Twisted's login needs no more, so for that login the md5 is as
// sensitive as the password.
func MD5(password Secret) Entry { return md5Entry{md5.Sum([]byte(password))} }

type md5Entry struct{ digest [md5.Size]byte }

func (md5Entry) Scheme() Scheme   { return SchemeMD5 }
func (e md5Entry) Encode() string { return prefixMD5 + base64Text(e.digest[:]) }
func (md5Entry) String() string   { return string(SchemeMD5) }

func (e md5Entry) Format(f fmt.State, _ rune) { show(f, e) }

func (e md5Entry) verify(password []byte) bool {
	digest := md5.Sum(password)
	return equal(string(digest[:]), string(e.digest[:]))
}

func (e md5Entry) answers(c ChallengeResponse) bool { return c.CheckMD5Password(e.digest) }

// unusable is the entry for text that cannot be parsed. Its user exists but cannot log in, and the log has the reason.
type unusable struct{ err error }

func (unusable) Scheme() Scheme       { return "unusable" }
func (unusable) Encode() string       { return "" }
func (unusable) String() string       { return "unusable" }
func (unusable) verify(_ []byte) bool { return false }

func (e unusable) Format(f fmt.State, _ rune) { show(f, e) }

// ParseEntry parses an entry's text, with the default [HashLimits].
func ParseEntry(text string) (Entry, error) { return parseEntry(text, DefaultHashLimits()) }

// MaxEntryBytes is the maximum length of an entry's text. It exceeds that of every password and hash.
const MaxEntryBytes = 2048

// The prefixes of RFC 2307 and of Apache's htpasswd.
const (
	prefixCleartext = "{CLEARTEXT}"
	prefixMD5       = "{MD5}"
	prefixSHA       = "{SHA}"
	prefixSSHA      = "{SSHA}"
	prefixAPR1      = "$apr1$"
	prefixArgon2id  = "$argon2id$"
)

// refusedSchemes are recognized but not implemented.
var refusedSchemes = [...]struct{ prefix, name string }{
	{"$1$", "md5-crypt"},
	{"$5$", "sha256-crypt"},
	{"$6$", "sha512-crypt"},
	{"$7$", "scrypt"},
	{"$y$", "yescrypt"},
	{"$gy$", "gost-yescrypt"},
	{"$argon2i$", "argon2i"},
	{"$argon2d$", "argon2d"},
	{"$pbkdf2", "pbkdf2"},
	{"{CRYPT}", "crypt"},
}

func parseEntry(text string, limits HashLimits) (Entry, error) {
	if len(text) > MaxEntryBytes {
		return nil, fmt.Errorf("cred: a password entry of %d bytes, more than the %d of MaxEntryBytes",
			len(text), MaxEntryBytes)
	}
	switch {
	case strings.HasPrefix(text, prefixCleartext):
		return parsePlaintext(text[len(prefixCleartext):])
	case strings.HasPrefix(text, prefixMD5):
		return parseMD5(text[len(prefixMD5):])
	case strings.HasPrefix(text, prefixSHA):
		return parseSHA1(text[len(prefixSHA):])
	case strings.HasPrefix(text, prefixSSHA):
		return parseSSHA1(text[len(prefixSSHA):])
	case strings.HasPrefix(text, prefixAPR1):
		return parseAPR1(text)
	case strings.HasPrefix(text, prefixArgon2id):
		return parseArgon2id(text, limits)
	case isBcrypt(text):
		return parseBcrypt(text, limits)
	}
	for _, refused := range refusedSchemes {
		if strings.HasPrefix(text, refused.prefix) {
			return nil, fmt.Errorf("cred: %s entries are not supported: hash this password again, as argon2id or bcrypt",
				refused.name)
		}
	}
	if isDESCrypt(text) {
		return nil, errors.New("cred: this looks like the DES crypt of old Unix systems, which is easy to break: " +
			"hash this password again, as argon2id or bcrypt")
	}
	return nil, fmt.Errorf("cred: a password entry of unknown scheme: it must begin with %s, %s, %s, %s, %s, $2y$ or %s",
		prefixCleartext, prefixMD5, prefixSHA, prefixSSHA, prefixAPR1, prefixArgon2id)
}

// isDESCrypt recognizes the thirteen characters that htpasswd -d writes.
func isDESCrypt(text string) bool {
	return len(text) == 13 && strings.Trim(text, itoa64) == ""
}

// verifyChallenge checks a response against an entry. If the entry cannot check it, verifyChallenge does the same work
// and discards the result.
func verifyChallenge(entry Entry, c ChallengeResponse) (right, can bool) {
	if entry, ok := entry.(answerable); ok {
		return entry.answers(c), true
	}
	c.CheckPassword("")
	return false, false
}

// checkEntry checks credentials with a password against the entry of their user, which is nil for an unknown user. For
// an unknown user and an unusable entry, it checks decoy instead, to do the same work, and discards the result.
func checkEntry(ctx context.Context, hasher *Hasher, credentials Credentials, entry, decoy Entry) *Refused {
	work := entry
	bad, isBad := entry.(unusable)
	if entry == nil || isBad {
		work = decoy
	}
	var right bool
	can := true
	switch c := credentials.(type) {
	case UsernamePassword:
		var err error
		if right, err = hasher.Verify(ctx, work, c.Password); err != nil {
			return Fault(ctx, ReasonEnded, err)
		}
	case ChallengeResponse:
		right, can = verifyChallenge(work, c)
	default:
		return unhandled(credentials)
	}
	switch {
	case entry == nil:
		return Refuse(ReasonUnknown, "")
	case isBad:
		return Fault(ctx, ReasonUnusable, bad.err)
	case !can:
		return Fault(ctx, ReasonUnusable,
			fmt.Errorf("a challenge cannot be checked against a password stored as %s, only as plaintext or md5", entry))
	case !right:
		return Refuse(ReasonWrong, "")
	}
	return nil
}

// claimed returns the name in the credentials, if a store of users can hold it.
func claimed(credentials Credentials) (string, *Refused) {
	switch c := credentials.(type) {
	case UsernamePassword:
		return c.Username, CheckUsernamePassword(c)
	case ChallengeResponse:
		return c.Username, CheckUsername(c.Username)
	}
	return "", unhandled(credentials)
}
