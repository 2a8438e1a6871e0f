package broker

import (
	"context"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Cause is the kind of a connection's end, by which [ConnStats] counts.
type Cause uint8

// The causes.
const (
	// ClosedHere: this side closed it, or its runtime was closed.
	ClosedHere Cause = iota
	// ClosedByPeer: the peer closed it in good order.
	ClosedByPeer
	// ClosedForProtocol: the peer broke the protocol or one of the [Limits].
	ClosedForProtocol
	// ClosedForTime: the peer did not read, negotiate, log in or show a sign of life in time.
	ClosedForTime
	// ClosedByNetwork: reading or writing failed.
	ClosedByNetwork

	causes
)

var causeNames = [causes]string{"here", "peer", "protocol", "time", "network"}

// String is a short name, the same in every release.
func (c Cause) String() string {
	if c >= causes {
		return "unknown"
	}
	return causeNames[c]
}

// MarshalText makes causes readable as keys of JSON.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// causeOf tells the kind of an end by the cause of the connection's context.
func causeOf(err error) Cause {
	var protocol *ProtocolError
	switch reasonOf(err) {
	case RefusedHandshake, RefusedStall, RefusedSilence, RefusedLoginDeadline:
		return ClosedForTime
	}
	switch {
	case usercode.Is(err, ErrClosed), usercode.Is(err, context.Canceled):
		return ClosedHere
	case usercode.Is(err, ErrPeerClosed):
		return ClosedByPeer
	case usercode.AsInto(err, &protocol), usercode.Is(err, ErrBackedUp):
		return ClosedForProtocol
	}
	return ClosedByNetwork
}
