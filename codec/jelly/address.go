package jelly

import (
	"errors"
	"fmt"
)

// An address names an object by a kind and an id, which mean the same in several processes: [address kind id], both
// strings. Only the extended profile has it.

// MaxAddress is the maximum length in bytes of the kind and the id of an address together.
const MaxAddress = 1024

// addressName is the type of an address.
const addressName = "address"

// Address writes an address, under an extended profile only. The receiver must have set [Decoder.Addresses]. The list
// counts as open until JellyTo returns.
func (e *Encoder) Address(kind, id string) error {
	switch {
	case !e.ctx.Profile.IsExtended():
		return &EncodeError{Err: errors.New("an address can be written under an extended profile only")}
	case len(kind)+len(id) > MaxAddress:
		return &EncodeError{What: "too long", Err: fmt.Errorf("an address of %d bytes", len(kind)+len(id))}
	}
	if err := e.openNamed(addressName, 2); err != nil {
		return err
	}
	if err := e.String(kind); err != nil {
		return err
	}
	return e.String(id)
}

// readAddress reads the n elements of an address.
func (d *Decoder) readAddress(start, n int) (*Unbound, error) {
	if n != 2 {
		return nil, d.fail(start, "an address has a kind and an id, and nothing else")
	}
	u := &Unbound{Tag: addressName, Offset: start, address: true}
	for i := range n {
		at := d.r.Offset()
		t, err := d.r.Next()
		switch {
		case err != nil:
			return nil, d.malformed(err)
		case !t.IsText():
			return nil, d.fail(at, "the kind and the id of an address must be strings, not "+t.Kind.String())
		}
		if u.Name = t.AppendText(u.Name); len(u.Name) > MaxAddress {
			return nil, d.fail(at, fmt.Sprintf("an address is longer than %d bytes", MaxAddress))
		}
		if i == 0 {
			u.extras = len(u.Name)
		}
	}
	return u, nil
}

// IsAddress reports whether u is an address.
func (u *Unbound) IsAddress() bool { return u.address }

// Address returns the kind and the id of an address, and two empty strings for anything else.
func (u *Unbound) Address() (kind, id string) {
	if !u.address {
		return "", ""
	}
	return string(u.Name[:u.extras]), string(u.Name[u.extras:])
}
