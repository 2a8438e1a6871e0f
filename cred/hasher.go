package cred

import (
	"context"
	"crypto/md5" //nolint:gosec // apr1 and {MD5} are made of it
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // {SHA} and {SSHA} are made of it
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Hasher checks and makes entries. It limits the number of hashes computed at a time, because each needs a processor
// and argon2id also memory, and anyone can cause one by a login attempt. Checkers can share a Hasher. It is safe for
// concurrent use.
type Hasher struct {
	slots  chan struct{} // holds a token for each hash being computed
	limits HashLimits
	params Argon2idParams
	onHash func(Scheme)
}

// HasherOption configures a Hasher. The With functions of this package return options.
type HasherOption interface{ applyHasher(*Hasher) }

type hasherOption func(*Hasher)

func (o hasherOption) applyHasher(h *Hasher) { o(h) }

// NewHasher returns a new Hasher.
func NewHasher(opts ...HasherOption) *Hasher {
	h := &Hasher{
		slots:  make(chan struct{}, runtime.GOMAXPROCS(0)),
		limits: DefaultHashLimits(),
		params: DefaultArgon2id(),
	}
	for _, o := range opts {
		if o != nil {
			o.applyHasher(h)
		}
	}
	return h
}

// WithConcurrentHashes sets how many hashes are computed at a time; others wait. Default: runtime.GOMAXPROCS.
func WithConcurrentHashes(n int) HasherOption {
	return hasherOption(func(h *Hasher) { h.slots = make(chan struct{}, max(n, 1)) })
}

// WithHashLimits limits the cost of a stored hash. Default: DefaultHashLimits.
func WithHashLimits(limits HashLimits) HasherOption {
	return hasherOption(func(h *Hasher) { h.limits = limits })
}

// WithArgon2id sets the cost of the entries that [Hasher.Argon2id] makes. Default: DefaultArgon2id.
func WithArgon2id(params Argon2idParams) HasherOption {
	return hasherOption(func(h *Hasher) { h.params = params })
}

// WithHashObserver calls f with the scheme for every password that is hashed to be checked. f must not block. Default:
// none.
func WithHashObserver(f func(Scheme)) HasherOption {
	return hasherOption(func(h *Hasher) { h.onHash = f })
}

// Parse parses an entry's text, with the Hasher's limits.
func (h *Hasher) Parse(text string) (Entry, error) { return parseEntry(text, h.limits) }

// Verify reports whether the entry matches the password. It waits while too many hashes are being computed and returns
// an error if the context ends first. A hash that was started is completed.
func (h *Hasher) Verify(ctx context.Context, entry Entry, password Secret) (bool, error) {
	if isNil(entry) {
		return false, errors.New("cred: there is no entry to verify a password against")
	}
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	if h.onHash != nil {
		h.onHash(entry.Scheme())
	}
	return entry.verify([]byte(password)), nil
}

// Argon2id hashes the password with argon2id.
func (h *Hasher) Argon2id(ctx context.Context, password Secret) (Entry, error) {
	p, limits := h.params, h.limits.Argon2id
	if p.Time < 1 || p.Threads < 1 || p.MemoryKiB < 8*uint32(p.Threads) ||
		p.Time > limits.Time || p.Threads > limits.Threads || p.MemoryKiB > limits.MemoryKiB {
		return nil, fmt.Errorf(
			"cred: argon2id with m=%d,t=%d,p=%d, outside the limits of 1 to m=%d,t=%d,p=%d and 8 KiB for each thread",
			p.MemoryKiB,
			p.Time,
			p.Threads,
			limits.MemoryKiB,
			limits.Time,
			limits.Threads,
		)
	}
	if len(password) > MaxPasswordBytes {
		return nil, errLongPassword(len(password))
	}
	if err := h.enter(ctx); err != nil {
		return nil, err
	}
	defer h.leave()
	e := argon2idEntry{params: p, salt: make([]byte, argon2Salt)}
	_, _ = rand.Read(e.salt) // never fails
	e.hash = e.compute([]byte(password), argon2Hash)
	return e, nil
}

// Bcrypt hashes the password with bcrypt at that cost, for stores shared with other programs. bcrypt takes at most 72
// bytes.
func (h *Hasher) Bcrypt(ctx context.Context, password Secret, cost int) (Entry, error) {
	if cost < bcrypt.MinCost || cost > h.limits.BcryptCost {
		return nil, fmt.Errorf("cred: bcrypt of cost %d, outside %d to %d", cost, bcrypt.MinCost, h.limits.BcryptCost)
	}
	if err := h.enter(ctx); err != nil {
		return nil, err
	}
	defer h.leave()
	text, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		return nil, fmt.Errorf("cred: cannot make a bcrypt entry: %w", err)
	}
	return bcryptEntry{string(text)}, nil
}

// enter waits for a slot. It returns an error if the context has ended, even if a slot is free.
func (h *Hasher) enter(ctx context.Context) error {
	switch {
	case h == nil || h.slots == nil:
		return errors.New("cred: the Hasher is nil, or was not made by NewHasher")
	case ctx == nil:
		return errNoContext
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Hasher) leave() { <-h.slots }

// Argon2idParams is the cost of an argon2id hash.
type Argon2idParams struct {
	MemoryKiB uint32
	Time      uint32 // passes over the memory
	Threads   uint8
}

// DefaultArgon2id returns 19 MiB, two passes, one thread: the first recommendation of OWASP's Password Storage Cheat
// Sheet.
func DefaultArgon2id() Argon2idParams {
	return Argon2idParams{MemoryKiB: 19 * 1024, Time: 2, Threads: 1}
}

// DefaultBcryptCost is the recommended cost of a bcrypt hash, as a power of two. OWASP asks for at least 10, which is
// also Go's default.
const DefaultBcryptCost = 12

// HashLimits limits the cost of checking one stored hash: write access to the store of users must not be enough to
// overload the machine. An entry beyond the limits is rejected when it is parsed.
type HashLimits struct {
	// Argon2id limits each of the parameters. Default: 256 MiB, 16 passes, 16 threads.
	Argon2id Argon2idParams
	// BcryptCost limits the cost. Default: 15, about two seconds.
	BcryptCost int
}

// DefaultHashLimits returns the default limits.
func DefaultHashLimits() HashLimits {
	return HashLimits{Argon2id: Argon2idParams{MemoryKiB: 256 * 1024, Time: 16, Threads: 16}, BcryptCost: 15}
}

// Lengths of the parts of an argon2id entry, in bytes. RFC 9106 requires a salt of at least 8, recommends 16, and
// requires a hash of at least 16 for passwords.
const (
	argon2MinSalt = 8
	argon2MinHash = 16
	argon2MaxHash = 64
	argon2Salt    = 16 // of entries made by Argon2id
	argon2Hash    = 32
)

type argon2idEntry struct {
	params Argon2idParams
	salt   []byte
	hash   []byte
}

// parseArgon2id parses the PHC string format: $argon2id$v=19$m=19456,t=2,p=1$salt$hash, in base64 without padding.
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

// parseParams parses "m=19456,t=2,p=1". The format prescribes these three in this order.
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
			"cred: an argon2id entry with m=%d,t=%d,p=%d exceeds the HashLimits m=%d,t=%d,p=%d: "+
				"raise them or hash this password again",
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

// bcryptMaxPassword is how many bytes of a password bcrypt uses.
const bcryptMaxPassword = 72

// verify uses the first 72 bytes of the password, like every bcrypt.
func (e bcryptEntry) verify(password []byte) bool {
	if len(password) > bcryptMaxPassword {
		password = password[:bcryptMaxPassword]
	}
	return bcrypt.CompareHashAndPassword([]byte(e.text), password) == nil
}

// itoa64 are the digits of crypt(3)'s base64, least significant first.
const itoa64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// MaxSaltBytes is the maximum length of an entry's salt. No common tool writes more than 32.
const MaxSaltBytes = 64

func base64Text(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// newMD5Entry rejects the empty password, whose response anyone can compute.
func newMD5Entry(digest [md5.Size]byte) (Entry, error) {
	if digest == md5.Sum(nil) {
		return nil, errEmptyPassword
	}
	return md5Entry{digest}, nil
}

func parseMD5(text string) (Entry, error) {
	digest, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(digest) != md5.Size {
		return nil, fmt.Errorf("cred: {MD5} must be followed by %d bytes in base64", md5.Size)
	}
	return newMD5Entry([md5.Size]byte(digest))
}

// sha1Entry is {SHA} or, with a salt, {SSHA}: sha1(password + salt) followed by the salt.
type sha1Entry struct {
	digest [sha1.Size]byte
	salt   []byte // nil for {SHA}
}

func parseSHA1(text string) (Entry, error) {
	digest, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(digest) != sha1.Size {
		return nil, fmt.Errorf("cred: {SHA} must be followed by %d bytes in base64", sha1.Size)
	}
	return sha1Entry{digest: [sha1.Size]byte(digest)}, nil
}

func parseSSHA1(text string) (Entry, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) <= sha1.Size || len(b) > sha1.Size+MaxSaltBytes {
		return nil, fmt.Errorf("cred: {SSHA} must be followed by %d bytes and a salt of up to %d, in base64",
			sha1.Size, MaxSaltBytes)
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

// apr1Entry is Apache's variant of BSD's md5-crypt.
type apr1Entry struct{ salt, hash string }

// apr1HashChars is the length of the hash in an apr1 entry: 128 bits in base64.
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

// apr1 computes the hash like Apache's htpasswd. For each bit of the password's length it adds a zero byte if the bit
// is set and otherwise the password's first byte.
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

// apr1Text writes the bytes in crypt's order: groups of three that are six apart, then byte 11.
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

func errLongPassword(n int) error {
	return fmt.Errorf("cred: a password of %d bytes, more than the %d of MaxPasswordBytes", n, MaxPasswordBytes)
}
