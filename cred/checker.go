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

// Checker decides whether credentials are good and whose they are. It is called by many logins at a time.
type Checker interface {
	// Accepts says whether this checker can check that kind of credentials. It is asked at every login, before
	// anything is looked up.
	Accepts(kind Kind) bool
	// Check returns the avatar id of whoever the credentials belong to. Otherwise it returns [Refuse] where they
	// are not good and [Fault] where it could not find out; any other error is taken for a fault of the store.
	Check(ctx context.Context, credentials Credentials) (AvatarID, error)
}

// Only restricts a checker to some of the kinds that it accepts, for a portal in which another checker is to
// check the rest.
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

// AllowAnonymous is the checker that lets in everybody who presents [Anonymous], as [AnonymousID].
func AllowAnonymous() Checker { return anonymous{} }

type anonymous struct{}

func (anonymous) Accepts(kind Kind) bool { return kind == KindAnonymous }

func (anonymous) Check(_ context.Context, c Credentials) (AvatarID, error) {
	if _, ok := c.(Anonymous); !ok {
		return AvatarID{}, unhandled(c)
	}
	return AnonymousID(), nil
}

// unhandled is what a checker says of credentials that it should not have been asked about.
func unhandled(c Credentials) *Refused {
	return Refuse(ReasonUnhandled, "the checker cannot check %T", c)
}

// CheckerOption configures the checkers of this package that check passwords, whatever the store. The options are
// made by the With functions of this package.
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

// complete makes what is made only where nobody gave it.
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

// WithHasher sets who computes the hashes. Checkers that share one share its bound on the number of hashes at a
// time. Default: a Hasher of the checker's own, made by NewHasher without options.
func WithHasher(hasher *Hasher) CheckerOption {
	return checkerOption(func(c *checkerConfig) { c.hasher = hasher })
}

// Column says what the password column of a file or of a table contains.
type Column int

// What a password column can contain.
const (
	// ColumnEntries contains what ParseEntry reads.
	ColumnEntries Column = iota + 1
	// ColumnPlaintext contains the password itself.
	ColumnPlaintext
	// ColumnMD5Hex contains md5(password) in hexadecimal.
	ColumnMD5Hex
)

// ColumnOption is the option that [WithColumn] makes; [PasswordFile] and [SQL] take it.
type ColumnOption struct{ column Column }

// WithColumn sets what the password column contains. Default: ColumnPlaintext for [NewPasswordFile], as in
// Twisted, and ColumnEntries for [NewSQL].
func WithColumn(column Column) ColumnOption { return ColumnOption{column} }

func (o ColumnOption) applyFile(c *fileConfig) { c.column = o.column }
func (o ColumnOption) applySQL(c *sqlConfig)   { c.column = o.column }

// DefaultStoreTimeout is how long a store of users outside the process may take to answer one question.
const DefaultStoreTimeout = 5 * time.Second

// valid says whether this is one of the constants.
func (c Column) valid() error {
	switch c {
	case ColumnEntries, ColumnPlaintext, ColumnMD5Hex:
		return nil
	}
	return fmt.Errorf("cred: there is no Column %d: give ColumnEntries, ColumnPlaintext or ColumnMD5Hex", c)
}

// entry reads what stands in the column. Text that is no entry makes an unusable one: its user is locked out, with
// the reason in the log, and nobody else is.
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

// parsePlaintext refuses the empty password, which stock Twisted lets in: it is a line that somebody has not
// completed.
func parsePlaintext(text string) (Entry, error) {
	if text == "" {
		return nil, errEmptyPassword
	}
	if len(text) > MaxPasswordBytes {
		return nil, fmt.Errorf(
			"cred: a password of %d bytes, more than the %d of MaxPasswordBytes",
			len(text),
			MaxPasswordBytes,
		)
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

// decoy is an entry that no password fits and that costs what an entry of this column costs, as far as that is
// known before one was read.
func (c Column) decoy(hasher *Hasher) Entry {
	noise := newStandKey()
	switch c {
	case ColumnPlaintext:
		return Plaintext(Secret(noise[:]))
	case ColumnMD5Hex:
		return md5Entry{[md5.Size]byte(noise[:])}
	}
	salt := newStandKey()
	return argon2idEntry{params: hasher.params, salt: salt[:argon2Salt], hash: noise[:]}
}
