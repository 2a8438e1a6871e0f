package cred

import (
	"log/slog"
	"time"
)

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
