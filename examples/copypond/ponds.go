package main

import (
	"fmt"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// The class names of the stock program.
const (
	copyPondClass   = "copy_sender.CopyPond"
	senderPondClass = "copy2_classes.SenderPond"
)

// CopyPond sends all fields that have a pb tag.
type CopyPond struct {
	flavors.Copyable
	Color    string `pb:"color"`
	NumFrogs int    `pb:"numFrogs"`
}

// TypeToCopy implements the flavor's class name.
func (*CopyPond) TypeToCopy() string { return copyPondClass }

// CountFrogs prints the number of frogs.
func (p *CopyPond) CountFrogs() { fmt.Printf("%d frogs\n", p.NumFrogs) }

// SenderPond does not send its numbers of frogs and toads, only their sum.
type SenderPond struct {
	flavors.Copyable
	numFrogs, numToads int
}

// TypeToCopy names the class for the receiver.
func (*SenderPond) TypeToCopy() string { return senderPondClass }

// StateToCopy returns the state to send.
func (p *SenderPond) StateToCopy() any { return map[string]any{"frogsAndToads": p.Count()} }

// Count prints the sum, as the receiver can too.
func (p *SenderPond) Count() int { return p.numFrogs + p.numToads }

// ReceivedCopyPond is the received copy of a CopyPond.
type ReceivedCopyPond struct {
	Color    string `pb:"color"`
	NumFrogs int    `pb:"numFrogs"`
}

// ReceiverPond is the received copy of a SenderPond. It sets its state itself.
type ReceiverPond struct{ frogsAndToads int }

// SetCopyableState sets the state. The peer may send anything, so it checks the type.
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

// classes registers the classes that the receiver accepts.
func classes() (*jelly.Registry, error) {
	r := jelly.NewRegistry()
	if err := flavors.RegisterCopy[ReceivedCopyPond](r, copyPondClass); err != nil {
		return nil, err
	}
	return r, flavors.RegisterCopy[ReceiverPond](r, senderPondClass)
}
