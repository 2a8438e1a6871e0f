package main

import (
	"fmt"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// The names under which ponds travel: those of the classes in the stock program.
const (
	copyPondClass   = "copy_sender.CopyPond"
	senderPondClass = "copy2_classes.SenderPond"
)

// CopyPond is sent with all its fields that have a pb tag.
type CopyPond struct {
	flavors.Copyable
	Color    string `pb:"color"`
	NumFrogs int    `pb:"numFrogs"`
}

// TypeToCopy names the class for the receiver.
func (*CopyPond) TypeToCopy() string { return copyPondClass }

// CountFrogs prints their number.
func (p *CopyPond) CountFrogs() { fmt.Printf("%d frogs\n", p.NumFrogs) }

// SenderPond keeps to itself how many frogs and how many toads it has: the receiver learns their sum.
type SenderPond struct {
	flavors.Copyable
	numFrogs, numToads int
}

// TypeToCopy names the class for the receiver.
func (*SenderPond) TypeToCopy() string { return senderPondClass }

// StateToCopy is what goes over the wire.
func (p *SenderPond) StateToCopy() any { return map[string]any{"frogsAndToads": p.Count()} }

// Count is all that the receiver can do as well.
func (p *SenderPond) Count() int { return p.numFrogs + p.numToads }

// ReceivedCopyPond is what the receiver makes of a CopyPond.
type ReceivedCopyPond struct {
	Color    string `pb:"color"`
	NumFrogs int    `pb:"numFrogs"`
}

// ReceiverPond is what the receiver makes of a SenderPond. It takes its state itself.
type ReceiverPond struct{ frogsAndToads int }

// SetCopyableState gets what StateToCopy gave, from a peer that may send anything.
func (p *ReceiverPond) SetCopyableState(state any) error {
	dict, ok := state.(*jelly.Dict)
	if !ok {
		return fmt.Errorf("the state of a pond is a dictionary, not %T", state)
	}
	n, ok := dict.GetName("frogsAndToads")
	if !ok {
		return fmt.Errorf("the state of a pond has frogsAndToads")
	}
	return jelly.Assign(&p.frogsAndToads, n)
}

// classes are those that the receiver lets in. Any other is refused.
func classes() (*jelly.Registry, error) {
	r := jelly.NewRegistry()
	if err := flavors.RegisterCopy[ReceivedCopyPond](r, copyPondClass); err != nil {
		return nil, err
	}
	return r, flavors.RegisterCopy[ReceiverPond](r, senderPondClass)
}
