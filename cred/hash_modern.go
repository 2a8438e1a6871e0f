package cred

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Argon2idParams are what a password's argon2id hash costs.
type Argon2idParams struct {
	MemoryKiB uint32
	Time      uint32 // passes over the memory
	Threads   uint8
}

// DefaultArgon2id is 19 MiB, two passes, one thread: the first recommendation of OWASP's Password Storage Cheat
// Sheet.
func DefaultArgon2id() Argon2idParams {
	return Argon2idParams{MemoryKiB: 19 * 1024, Time: 2, Threads: 1}
}

// DefaultBcryptCost is what a bcrypt hash costs, as a power of two: OWASP asks for 10 at least, and Go's own
// default is 10.
const DefaultBcryptCost = 12

// HashLimits bound what checking one stored hash may cost: whoever can write into the store of users
// must not be able to stop the machine. An entry beyond them is refused when it is read.
type HashLimits struct {
	// Argon2id bounds each of the parameters. Default: 256 MiB, 16 passes, 16 threads.
	Argon2id Argon2idParams
	// BcryptCost bounds the cost. Default: 15, some two seconds.
	BcryptCost int
}

// DefaultHashLimits returns the limits that hold where none were given.
func DefaultHashLimits() HashLimits {
	return HashLimits{Argon2id: Argon2idParams{MemoryKiB: 256 * 1024, Time: 16, Threads: 16}, BcryptCost: 15}
}

// Lengths that an argon2id entry may have, in bytes. RFC 9106 wants a salt of 8 at least and recommends 16, and a
// hash of 16 at least for passwords.
const (
	argon2MinSalt = 8
	argon2MinHash = 16
	argon2MaxHash = 64
	argon2Salt    = 16 // of the entries that we make
	argon2Hash    = 32
)

type argon2idEntry struct {
	params Argon2idParams
	salt   []byte
	hash   []byte
}

// parseArgon2id reads the PHC string format: $argon2id$v=19$m=19456,t=2,p=1$salt$hash, base 64 without padding.
func parseArgon2id(text string, limits HashLimits) (Entry, error) {
	fields := strings.Split(text, "$")
	if len(fields) != 6 {
		return nil, fmt.Errorf(
			"cred: an argon2id entry must be $argon2id$v=19$m=…,t=…,p=…$salt$hash; this one has %d fields, not 5",
			len(fields)-1,
		)
	}
	if fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, fmt.Errorf(
			"cred: an argon2id entry of another version than v=%d: store this password anew",
			argon2.Version,
		)
	}
	var e argon2idEntry
	if err := e.parseParams(fields[3], limits.Argon2id); err != nil {
		return nil, err
	}
	var err error
	if e.salt, err = base64.RawStdEncoding.Strict().DecodeString(fields[4]); err != nil || len(e.salt) < argon2MinSalt ||
		len(e.salt) > MaxSaltBytes {
		return nil, fmt.Errorf(
			"cred: the salt of an argon2id entry must be %d to %d bytes in base64 without padding",
			argon2MinSalt,
			MaxSaltBytes,
		)
	}
	if e.hash, err = base64.RawStdEncoding.Strict().DecodeString(fields[5]); err != nil || len(e.hash) < argon2MinHash ||
		len(e.hash) > argon2MaxHash {
		return nil, fmt.Errorf(
			"cred: the hash of an argon2id entry must be %d to %d bytes in base64 without padding",
			argon2MinHash,
			argon2MaxHash,
		)
	}
	return e, nil
}

// parseParams reads "m=19456,t=2,p=1": these three, in this order, as the format prescribes.
func (e *argon2idEntry) parseParams(text string, limits Argon2idParams) error {
	fields := strings.Split(text, ",")
	if len(fields) != 3 {
		return fmt.Errorf("cred: the parameters of an argon2id entry must be m=…,t=…,p=…")
	}
	var values [3]uint32
	for i, name := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(fields[i], name)
		value, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || value == 0 || strconv.FormatUint(value, 10) != digits {
			return fmt.Errorf("cred: the parameters of an argon2id entry must be m=…,t=…,p=…, each a positive number")
		}
		values[i] = uint32(value)
	}
	if values[0] > limits.MemoryKiB || values[1] > limits.Time || values[2] > uint32(limits.Threads) {
		return fmt.Errorf(
			"cred: an argon2id entry with m=%d,t=%d,p=%d, beyond the limits m=%d,t=%d,p=%d: store this password anew or raise the HashLimits",
			values[0],
			values[1],
			values[2],
			limits.MemoryKiB,
			limits.Time,
			limits.Threads,
		)
	}
	e.params = Argon2idParams{values[0], values[1], uint8(values[2])}
	if e.params.MemoryKiB < 8*uint32(e.params.Threads) {
		return fmt.Errorf(
			"cred: an argon2id entry with m=%d,p=%d: it takes at least 8 KiB for each thread",
			values[0],
			values[2],
		)
	}
	return nil
}

func (argon2idEntry) Scheme() Scheme { return SchemeArgon2id }
func (argon2idEntry) String() string { return string(SchemeArgon2id) }

func (e argon2idEntry) Format(f fmt.State, _ rune) { show(f, e) }

func (e argon2idEntry) Encode() string {
	return fmt.Sprintf(
		"%sv=%d$m=%d,t=%d,p=%d$%s$%s",
		prefixArgon2id,
		argon2.Version,
		e.params.MemoryKiB,
		e.params.Time,
		e.params.Threads,
		base64.RawStdEncoding.EncodeToString(e.salt),
		base64.RawStdEncoding.EncodeToString(e.hash),
	)
}

func (e argon2idEntry) verify(password []byte) bool {
	return subtle.ConstantTimeCompare(e.compute(password, uint32(len(e.hash))), e.hash) == 1
}

func (e argon2idEntry) compute(password []byte, length uint32) []byte {
	return argon2.IDKey(password, e.salt, e.params.Time, e.params.MemoryKiB, e.params.Threads, length)
}

type bcryptEntry struct{ text string }

// bcryptChars is the length of a bcrypt entry: $2y$, two digits of cost, $, 22 of salt and 31 of hash.
const bcryptChars = 60

func isBcrypt(text string) bool {
	return len(text) > 3 && text[:2] == "$2" && strings.IndexByte("abxy$", text[2]) >= 0
}

func parseBcrypt(text string, limits HashLimits) (Entry, error) {
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil || len(text) != bcryptChars || strings.IndexByte("aby", text[2]) < 0 ||
		strings.Trim(text[7:], itoa64) != "" {
		return nil, fmt.Errorf(
			"cred: a bcrypt entry must be $2a$, $2b$ or $2y$, two digits of cost, $, and 53 characters of salt and hash",
		)
	}
	if cost > limits.BcryptCost {
		return nil, fmt.Errorf(
			"cred: a bcrypt entry of cost %d, beyond the limit %d: store this password anew or raise the HashLimits",
			cost,
			limits.BcryptCost,
		)
	}
	return bcryptEntry{text}, nil
}

func (bcryptEntry) Scheme() Scheme               { return SchemeBcrypt }
func (bcryptEntry) String() string               { return string(SchemeBcrypt) }
func (e bcryptEntry) Format(f fmt.State, _ rune) { show(f, e) }

func (e bcryptEntry) Encode() string { return e.text }

// bcryptMaxPassword is how much of a password bcrypt looks at.
const bcryptMaxPassword = 72

// verify looks at the first 72 bytes of the password, as every bcrypt does.
func (e bcryptEntry) verify(password []byte) bool {
	if len(password) > bcryptMaxPassword {
		password = password[:bcryptMaxPassword]
	}
	return bcrypt.CompareHashAndPassword([]byte(e.text), password) == nil
}
