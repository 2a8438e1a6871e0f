package cred

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/crypto/bcrypt"
)

// Hasher checks and makes entries. It bounds how many hashes are being computed at a time: each takes a processor
// and, with argon2id, its memory, and anybody may ask for one by logging in. Checkers can share one. It is safe
// for concurrent use.
type Hasher struct {
	slots  chan struct{} // a hash is computed while its token is in here
	limits HashLimits
	params Argon2idParams
	onHash func(Scheme)
}

// HasherOption configures a Hasher. The options are made by the With functions of this package.
type HasherOption interface{ applyHasher(*Hasher) }

type hasherOption func(*Hasher)

func (o hasherOption) applyHasher(h *Hasher) { o(h) }

// NewHasher makes a Hasher.
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

// WithConcurrentHashes sets how many hashes may be computed at a time; others wait. Default: as many as the
// process has processors, runtime.GOMAXPROCS.
func WithConcurrentHashes(n int) HasherOption {
	return hasherOption(func(h *Hasher) { h.slots = make(chan struct{}, max(n, 1)) })
}

// WithHashLimits sets what one stored hash may cost. Default: DefaultHashLimits.
func WithHashLimits(limits HashLimits) HasherOption {
	return hasherOption(func(h *Hasher) { h.limits = limits })
}

// WithArgon2id sets what the entries cost that [Hasher.Argon2id] makes. Default: DefaultArgon2id.
func WithArgon2id(params Argon2idParams) HasherOption {
	return hasherOption(func(h *Hasher) { h.params = params })
}

// WithHashObserver has f called for every password that is hashed to be checked, with the scheme. It counts the
// work of logins, and must not wait. Default: nobody is told.
func WithHashObserver(f func(Scheme)) HasherOption {
	return hasherOption(func(h *Hasher) { h.onHash = f })
}

// Parse reads an entry from the text that is stored, under the Hasher's limits.
func (h *Hasher) Parse(text string) (Entry, error) { return parseEntry(text, h.limits) }

// Verify says whether the entry is that password's. It waits for its turn; its only error is that the context
// ended before that. A hash that was begun is completed.
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

// Argon2id makes an entry that stores the password well.
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
		return nil, fmt.Errorf(
			"cred: a password of %d bytes, more than the %d of MaxPasswordBytes",
			len(password),
			MaxPasswordBytes,
		)
	}
	if err := h.enter(ctx); err != nil {
		return nil, err
	}
	defer h.leave()
	e := argon2idEntry{params: p, salt: make([]byte, argon2Salt)}
	_, _ = rand.Read(e.salt) // It never fails.
	e.hash = e.compute([]byte(password), argon2Hash)
	return e, nil
}

// Bcrypt makes a bcrypt entry of that cost, for stores that others read too. bcrypt takes at most 72 bytes.
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

// enter waits for a turn. A context that has ended already gets none, even where one is free.
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
