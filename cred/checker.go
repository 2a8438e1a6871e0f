package cred

import (
	"context"
	"crypto/md5" //nolint:gosec // what Perspective Broker's challenge can be checked against
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Checker decides whether credentials are valid and to whom they belong. Logins call it concurrently.
type Checker interface {
	// Accepts reports whether the checker can check that kind of credentials. It is called at every login, before any
	// lookup.
	Accepts(kind Kind) bool
	// Check returns the avatar id of the credentials' owner. It returns [Refuse] if they are not valid and [Fault] if it
	// could not find out. Any other error counts as a fault of the store.
	Check(ctx context.Context, credentials Credentials) (AvatarID, error)
}

// Only restricts a checker to some of the kinds that it accepts, so that another checker of the portal can check the
// others.
func Only(checker Checker, kinds ...Kind) Checker { return only{checker, kinds} }

type only struct {
	Checker
	kinds []Kind
}

// Accepts implements Checker.
func (o only) Accepts(kind Kind) bool {
	for _, k := range o.kinds {
		if k == kind {
			return o.Checker.Accepts(kind)
		}
	}
	return false
}

// AllowAnonymous returns a checker that accepts [Anonymous] and returns [AnonymousID].
func AllowAnonymous() Checker { return anonymous{} }

type anonymous struct{}

func (anonymous) Accepts(kind Kind) bool { return kind == KindAnonymous }

func (anonymous) Check(_ context.Context, c Credentials) (AvatarID, error) {
	if _, ok := c.(Anonymous); !ok {
		return AvatarID{}, unhandled(c)
	}
	return AnonymousID(), nil
}

// AnonymousByName returns checker, but a login by password or challenge with this name is anonymous, whatever the
// password, and gets [AnonymousID]. Some programs log in with an empty name to register a new user.
func AnonymousByName(checker Checker, name string) Checker { return anonymousByName{checker, name} }

type anonymousByName struct {
	Checker
	name string
}

func (a anonymousByName) Check(ctx context.Context, c Credentials) (AvatarID, error) {
	switch c.Kind() {
	case KindUsernamePassword, KindChallengeResponse:
		if c.Claim() == a.name {
			return AnonymousID(), nil
		}
	}
	return a.Checker.Check(ctx, c)
}

// mayBeAnonymous reports whether the checker may return AnonymousID for credentials.
func mayBeAnonymous(checker Checker, c Credentials) bool {
	for {
		switch x := checker.(type) {
		case anonymousByName:
			if c.Claim() == x.name {
				return c.Kind() == KindUsernamePassword || c.Kind() == KindChallengeResponse
			}
			checker = x.Checker
		case only:
			checker = x.Checker
		default:
			return c.Kind() == KindAnonymous
		}
	}
}

// unhandled is a checker's refusal of credentials that it cannot check.
func unhandled(c Credentials) *Refused {
	return Refuse(ReasonUnhandled, "the checker cannot check %T", c)
}

// CheckerOption configures any of this package's password checkers. The With functions of this package return options.
type CheckerOption interface {
	FileOption
	SQLOption
	applyChecker(*checkerConfig)
}

type checkerConfig struct {
	hasher *Hasher
	logger *slog.Logger
}

func newCheckerConfig() checkerConfig { return checkerConfig{logger: slog.Default()} }

// complete makes the defaults that are only needed if no option set them.
func (c *checkerConfig) complete() {
	if c.hasher == nil {
		c.hasher = NewHasher()
	}
}

type checkerOption func(*checkerConfig)

func (o checkerOption) applyChecker(c *checkerConfig) { o(c) }
func (o checkerOption) applyFile(c *fileConfig)       { o(&c.checkerConfig) }
func (o checkerOption) applySQL(c *sqlConfig)         { o(&c.checkerConfig) }

func (o LoggerOption) applyChecker(c *checkerConfig) { o.set(&c.logger) }
func (o LoggerOption) applyFile(c *fileConfig)       { o.set(&c.logger) }
func (o LoggerOption) applySQL(c *sqlConfig)         { o.set(&c.logger) }

// WithHasher sets the Hasher. Checkers that share a Hasher share its limit on concurrent hashes. Default: a new Hasher
// for each checker.
func WithHasher(hasher *Hasher) CheckerOption {
	return checkerOption(func(c *checkerConfig) { c.hasher = hasher })
}

// Column is the format of the password column of a file or table.
type Column int

// The formats of a password column.
const (
	// ColumnEntries contains text for ParseEntry.
	ColumnEntries Column = iota + 1
	// ColumnPlaintext contains the password itself.
	ColumnPlaintext
	// ColumnMD5Hex contains md5(password) in hexadecimal.
	ColumnMD5Hex
)

// ColumnOption is the option that [WithColumn] returns. [PasswordFile] and [SQL] accept it.
type ColumnOption struct{ column Column }

// WithColumn sets the format of the password column. Default: ColumnPlaintext for [NewPasswordFile], as in Twisted, and
// ColumnEntries for [NewSQL].
func WithColumn(column Column) ColumnOption { return ColumnOption{column} }

func (o ColumnOption) applyFile(c *fileConfig) { c.column = o.column }
func (o ColumnOption) applySQL(c *sqlConfig)   { c.column = o.column }

// DefaultStoreTimeout is how long an external store of users may take to answer a query.
const DefaultStoreTimeout = 5 * time.Second

// valid returns an error unless c is one of the constants.
func (c Column) valid() error {
	switch c {
	case ColumnEntries, ColumnPlaintext, ColumnMD5Hex:
		return nil
	}
	return fmt.Errorf("cred: there is no Column %d: give ColumnEntries, ColumnPlaintext or ColumnMD5Hex", c)
}

// entry parses the text of the column. If the text is no valid entry, it returns an unusable one: that user cannot log
// in, the log has the reason, and no other user is affected.
func (c Column) entry(text string, hasher *Hasher) Entry {
	var entry Entry
	var err error
	switch c {
	case ColumnPlaintext:
		entry, err = parsePlaintext(text)
	case ColumnMD5Hex:
		entry, err = parseMD5Hex(text)
	default:
		entry, err = hasher.Parse(text)
	}
	if err != nil {
		return unusable{err}
	}
	return entry
}

var errEmptyPassword = errors.New("cred: the password is empty")

// parsePlaintext rejects the empty password, which stock Twisted accepts, because such a line is usually incomplete.
func parsePlaintext(text string) (Entry, error) {
	if text == "" {
		return nil, errEmptyPassword
	}
	if len(text) > MaxPasswordBytes {
		return nil, errLongPassword(len(text))
	}
	return Plaintext(Secret(text)), nil
}

func parseMD5Hex(text string) (Entry, error) {
	digest, err := hex.DecodeString(text)
	if err != nil || len(digest) != md5.Size {
		return nil, fmt.Errorf("cred: the md5 of a password must be %d hexadecimal digits", 2*md5.Size)
	}
	return newMD5Entry([md5.Size]byte(digest))
}

// decoy returns an entry that no password matches and whose check costs as much as that of an entry of this column, as
// far as that is known before one was read.
func (c Column) decoy(hasher *Hasher) Entry {
	noise := newDecoyKey()
	switch c {
	case ColumnPlaintext:
		return Plaintext(Secret(noise[:]))
	case ColumnMD5Hex:
		return md5Entry{[md5.Size]byte(noise[:])}
	}
	salt := newDecoyKey()
	return argon2idEntry{params: hasher.params, salt: salt[:argon2Salt], hash: noise[:]}
}
