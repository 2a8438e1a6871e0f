package cred

import (
	"log/slog"
	"time"
)

type checkerConfig struct {
	hasher  *Hasher
	logger  *slog.Logger
	timeout time.Duration
}

func newCheckerConfig(opts []CheckerOption) checkerConfig {
	c := checkerConfig{logger: slog.Default(), timeout: DefaultStoreTimeout}
	for _, o := range opts {
		if o != nil {
			o.applyChecker(&c)
		}
	}
	if c.hasher == nil {
		c.hasher = NewHasher()
	}
	return c
}

type checkerOption func(*checkerConfig)

func (o checkerOption) applyChecker(c *checkerConfig) { o(c) }

func (o LoggerOption) applyChecker(c *checkerConfig) { o.set(&c.logger) }

// WithHasher sets who computes the hashes. Checkers that share one share its bound on the number of hashes at a
// time. Default: a Hasher of the checker's own, made by NewHasher without options.
func WithHasher(hasher *Hasher) CheckerOption {
	return checkerOption(func(c *checkerConfig) { c.hasher = hasher })
}

// DefaultStoreTimeout is how long a store of users may take to answer one question.
const DefaultStoreTimeout = 5 * time.Second

// WithStoreTimeout sets how long a store of users outside the process may take to answer one question. Default:
// DefaultStoreTimeout.
func WithStoreTimeout(d time.Duration) CheckerOption {
	return checkerOption(func(c *checkerConfig) { c.timeout = d })
}
