package cred

import (
	"crypto/md5" //nolint:gosec // what Perspective Broker's challenge can be checked against
	"encoding/hex"
	"errors"
	"fmt"
)

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
