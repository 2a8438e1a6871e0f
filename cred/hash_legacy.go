package cred

import (
	"crypto/md5"  //nolint:gosec // apr1 and {MD5} are made of it
	"crypto/sha1" //nolint:gosec // {SHA} and {SSHA} are made of it
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
)

// itoa64 are the digits of crypt(3)'s own base 64, least significant first.
const itoa64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// MaxSaltBytes is how long the salt of an entry may be. No common tool writes more than 32.
const MaxSaltBytes = 64

func base64Text(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// newMD5Entry refuses the empty password, for which a challenge could be answered.
func newMD5Entry(digest [md5.Size]byte) (Entry, error) {
	if digest == md5.Sum(nil) {
		return nil, errEmptyPassword
	}
	return md5Entry{digest}, nil
}

func parseMD5(text string) (Entry, error) {
	digest, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(digest) != md5.Size {
		return nil, fmt.Errorf("cred: a {MD5} entry must have %d bytes in base64 behind it", md5.Size)
	}
	return newMD5Entry([md5.Size]byte(digest))
}

// sha1Entry is {SHA}, and with a salt {SSHA}: sha1(password + salt), salt.
type sha1Entry struct {
	digest [sha1.Size]byte
	salt   []byte // nil for {SHA}
}

func parseSHA1(text string) (Entry, error) {
	digest, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(digest) != sha1.Size {
		return nil, fmt.Errorf("cred: a {SHA} entry must have %d bytes in base64 behind it", sha1.Size)
	}
	return sha1Entry{digest: [sha1.Size]byte(digest)}, nil
}

func parseSSHA1(text string) (Entry, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) <= sha1.Size || len(b) > sha1.Size+MaxSaltBytes {
		return nil, fmt.Errorf(
			"cred: a {SSHA} entry must have %d bytes and up to %d of salt in base64 behind it",
			sha1.Size,
			MaxSaltBytes,
		)
	}
	return sha1Entry{[sha1.Size]byte(b), b[sha1.Size:]}, nil
}

func (e sha1Entry) Scheme() Scheme {
	if e.salt == nil {
		return SchemeSHA1
	}
	return SchemeSSHA1
}

func (e sha1Entry) String() string { return string(e.Scheme()) }

func (e sha1Entry) Format(f fmt.State, _ rune) { show(f, e) }

func (e sha1Entry) Encode() string {
	prefix := prefixSHA
	if e.salt != nil {
		prefix = prefixSSHA
	}
	return prefix + base64Text(append(e.digest[:], e.salt...))
}

func (e sha1Entry) verify(password []byte) bool {
	hash := sha1.New()
	hash.Write(password)
	hash.Write(e.salt)
	return subtle.ConstantTimeCompare(hash.Sum(nil), e.digest[:]) == 1
}

// apr1Entry is Apache's variant of the md5-crypt of BSD.
type apr1Entry struct{ salt, hash string }

// apr1HashChars is the length of the hash in an apr1 entry: 128 bits in base 64.
const apr1HashChars = 22

func parseAPR1(text string) (Entry, error) {
	salt, hash, ok := strings.Cut(text[len(prefixAPR1):], "$")
	if !ok || salt == "" || len(salt) > 8 || len(hash) != apr1HashChars || strings.Trim(salt+hash, itoa64) != "" {
		return nil, fmt.Errorf(
			"cred: an apr1 entry must be $apr1$, up to 8 characters of salt, $ and %d of hash",
			apr1HashChars,
		)
	}
	return apr1Entry{salt, hash}, nil
}

func (apr1Entry) Scheme() Scheme               { return SchemeAPR1 }
func (apr1Entry) String() string               { return string(SchemeAPR1) }
func (e apr1Entry) Format(f fmt.State, _ rune) { show(f, e) }

func (e apr1Entry) Encode() string { return prefixAPR1 + e.salt + "$" + e.hash }

func (e apr1Entry) verify(password []byte) bool {
	return subtle.ConstantTimeCompare([]byte(apr1(password, e.salt)), []byte(e.hash)) == 1
}

// apr1 computes the hash as Apache's htpasswd does, quirks included: where the password's length has a bit that is
// set, a zero byte goes in, and where it has not, the password's first byte.
func apr1(password []byte, salt string) string {
	inner := md5.New()
	inner.Write(password)
	inner.Write([]byte(salt))
	inner.Write(password)
	mixed := inner.Sum(nil)

	outer := md5.New()
	outer.Write(password)
	outer.Write([]byte(prefixAPR1 + salt))
	for left := len(password); left > 0; left -= md5.Size {
		outer.Write(mixed[:min(left, md5.Size)])
	}
	for bits := len(password); bits > 0; bits >>= 1 {
		if bits&1 == 1 {
			outer.Write([]byte{0})
		} else {
			outer.Write(password[:1])
		}
	}
	sum := outer.Sum(nil)

	for round := range 1000 {
		hash := md5.New()
		write := func(of bool) {
			if of {
				hash.Write(password)
			} else {
				hash.Write(sum)
			}
		}
		write(round%2 == 1)
		if round%3 != 0 {
			hash.Write([]byte(salt))
		}
		if round%7 != 0 {
			hash.Write(password)
		}
		write(round%2 == 0)
		sum = hash.Sum(nil)
	}
	return apr1Text([md5.Size]byte(sum))
}

// apr1Text writes the bytes in crypt's order: in threes that lie six apart, and the twelfth alone.
func apr1Text(sum [md5.Size]byte) string {
	text := make([]byte, 0, apr1HashChars)
	digits := func(v uint, n int) {
		for range n {
			text = append(text, itoa64[v&63])
			v >>= 6
		}
	}
	for i := range 5 {
		last := i + 12
		if i == 4 {
			last = 5
		}
		digits(uint(sum[i])<<16|uint(sum[i+6])<<8|uint(sum[last]), 4)
	}
	digits(uint(sum[11]), 2)
	return string(text)
}
