package broker

import (
	"context"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// CloseReason names what ended a connection. Names do not change between releases.
//
//	"here"      this side or its runtime closed the connection
//	"peer"      the peer closed it in good order
//	"protocol"  the peer broke the protocol or one of the [Limits]
//	"time"      the peer did not read, negotiate, log in or answer a keepalive in time
//	"network"   reading or writing failed
type CloseReason string

const (
	closedHere     CloseReason = "here"
	closedByPeer   CloseReason = "peer"
	closedProtocol CloseReason = "protocol"
	closedTime     CloseReason = "time"
	closedNetwork  CloseReason = "network"
)

// closeReasonOf classifies the cause of a connection's context.
func closeReasonOf(err error) CloseReason {
	switch rejectionOf(err) {
	case rejectHandshake, rejectStall, rejectSilence, rejectLoginDeadline:
		return closedTime
	}
	var protocol *ProtocolError
	switch {
	case usercode.Is(err, ErrClosed), usercode.Is(err, context.Canceled):
		return closedHere
	case usercode.Is(err, ErrPeerClosed):
		return closedByPeer
	case usercode.AsInto(err, &protocol), usercode.Is(err, ErrBackedUp):
		return closedProtocol
	}
	return closedNetwork
}
