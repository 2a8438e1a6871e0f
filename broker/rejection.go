package broker

import (
	"io"
	"os"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Reason is why something was refused: a call, a message, a login or a whole connection. Each limit has its own.
type Reason uint8

// The reasons. Which field of [Limits] or which option sets the limit is said in brackets.
const (
	// NotRefused is the zero Reason.
	NotRefused Reason = iota
	// RefusedExports: the peer holds as many references as it may (Limits.Exports).
	RefusedExports
	// RefusedCaches: the peer keeps as many copies as it may, or this side as many of the peer's (Limits.Caches).
	RefusedCaches
	// RefusedImports: this side holds as many of the peer's objects as it may (Limits.Imports).
	RefusedImports
	// RefusedCallsIn: too many calls of the peer's are unanswered (Limits.CallsIn).
	RefusedCallsIn
	// RefusedBytesIn: the peer's unanswered calls have too many bytes (Limits.BytesIn).
	RefusedBytesIn
	// RefusedTotal: the same, while all connections of the runtime together have too much under way (Limits.Total).
	RefusedTotal
	// RefusedCallsOut: too many calls of ours are unanswered (Limits.CallsOut).
	RefusedCallsOut
	// RefusedHighWater: a CallRemote while too much waits to be written (Limits.HighWater).
	RefusedHighWater
	// RefusedPauseWater: the peer did not read and was left, or an update or an answer could not be kept for it
	// (Limits.PauseWater).
	RefusedPauseWater
	// RefusedState: a Cacheable did not give its state in time (Limits.StateTimeout).
	RefusedState
	// RefusedGivenBack: the peer does not say that originals which it was given back are forgotten.
	RefusedGivenBack
	// RefusedClosing: this side is shutting down and takes no more calls.
	RefusedClosing
	// RefusedPrefix: a header of Banana is too long (Limits.Banana.Prefix).
	RefusedPrefix
	// RefusedString: a string is too long (Limits.Banana.String).
	RefusedString
	// RefusedList: a list is too long (Limits.Banana.List).
	RefusedList
	// RefusedDepth: values or lists are nested too deep (Limits.Nesting, Limits.Banana.Depth).
	RefusedDepth
	// RefusedFrame: a message is too long (Limits.Banana.Frame, before a login [WithFrameBeforeLogin]).
	RefusedFrame
	// RefusedSyntax: what came is no Banana.
	RefusedSyntax
	// RefusedTruncated: the peer closed the connection in the middle of a message.
	RefusedTruncated
	// RefusedProfile: there is no profile that both sides speak.
	RefusedProfile
	// RefusedVersion: the peer speaks another version of PB.
	RefusedVersion
	// RefusedCommand: a command has the wrong form.
	RefusedCommand
	// RefusedUnknownCommand: there is no such command; it is answered with didNotUnderstand.
	RefusedUnknownCommand
	// RefusedValue: the values of a message are no Jelly, or not what a call takes.
	RefusedValue
	// RefusedInsecure: a class or type that was not allowed.
	RefusedInsecure
	// RefusedUnknownObject: nothing has the name or number by which an object was mentioned or called.
	RefusedUnknownObject
	// RefusedCount: a decref, decache or uncache of what the peer does not hold.
	RefusedCount
	// RefusedAnswer: an answer to a call that was not made.
	RefusedAnswer
	// RefusedHandshake: the peer did not negotiate in time (Limits.Handshake).
	RefusedHandshake
	// RefusedStall: a write made no progress in time (Limits.Stall).
	RefusedStall
	// RefusedSilence: the peer did not answer when it was asked whether it is there ([WithKeepalive]).
	RefusedSilence
	// RefusedLogin: credentials that do not let in, or a perspective that an identity may not have.
	RefusedLogin
	// RefusedThrottled: too many attempts to log in ([WithThrottle]).
	RefusedThrottled
	// RefusedLoginDeadline: nobody logged in in time ([WithLoginDeadline]).
	RefusedLoginDeadline
	// RefusedLoginsAtOnce: too many logins are under way on the connection ([WithLoginsAtOnce]).
	RefusedLoginsAtOnce
	// RefusedSessions: too many users are in by way of the connection, or get attached to perspectives at once
	// ([WithSessions]).
	RefusedSessions
	// RefusedChallenges: the connection holds too many challenges ([WithSessions]).
	RefusedChallenges
	// RefusedLoggedOut: a call of a user who has logged out, on a connection that lives on.
	RefusedLoggedOut
	// RefusedStrangers: nobody had logged in on the connection, and it was dropped in favour of others (Limits.Strangers,
	// Limits.Total).
	RefusedStrangers

	reasons
)

var reasonNames = [reasons]string{
	"not refused", "exports", "caches", "imports", "calls in", "bytes in", "total", "calls out", "high water", "pause water", "state timeout",
	"given back", "closing", "prefix", "string", "list", "depth", "frame", "syntax", "truncated", "profile", "version", "command",
	"unknown command", "value", "insecure", "unknown object", "count", "answer", "handshake", "stall", "silence", "login", "throttled",
	"login deadline", "logins at once", "sessions", "challenges", "logged out", "strangers",
}

// String is a short name, the same in every release.
func (r Reason) String() string {
	if r >= reasons {
		return "unknown"
	}
	return reasonNames[r]
}

// MarshalText makes reasons readable as keys of JSON.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

var limitReasons = map[banana.Limit]Reason{
	banana.LimitPrefix: RefusedPrefix,
	banana.LimitString: RefusedString,
	banana.LimitList:   RefusedList,
	banana.LimitDepth:  RefusedDepth,
	jelly.LimitNesting: RefusedDepth,
	banana.LimitFrame:  RefusedFrame,
}

// reasonOf tells by an error why a value or a connection was refused; NotRefused if it is no refusal.
func reasonOf(err error) Reason {
	var (
		protocol *ProtocolError
		limit    *banana.LimitError
		syntax   *banana.SyntaxError
		profile  *banana.NegotiationError
		insecure *jelly.InsecureJellyError
		decode   *jelly.DecodeError
		unjelly  *jelly.UnjellyError
		failure  *flavors.Failure
	)
	switch {
	case err == nil:
		return NotRefused
	case usercode.AsInto(err, &protocol) && protocol.Reason != NotRefused:
		return protocol.Reason
	case usercode.Is(err, ErrNoRoom):
		return RefusedTotal
	case usercode.AsInto(err, &limit):
		return limitReasons[limit.Limit]
	case usercode.AsInto(err, &decode) && decode.Limit != "":
		return limitReasons[decode.Limit]
	case usercode.AsInto(err, &profile):
		return RefusedProfile
	case usercode.AsInto(err, &insecure), usercode.Is(err, flavors.InsecureJelly):
		return RefusedInsecure
	case usercode.Is(err, ErrTooManyReferences):
		return RefusedCaches
	case usercode.Is(err, ErrTooManyImports), usercode.Is(err, jelly.ErrTooManyReferences):
		return RefusedImports
	case usercode.Is(err, io.ErrUnexpectedEOF):
		return RefusedTruncated
	case protocol == nil && usercode.AsInto(err, &failure) && usercode.Is(failure, flavors.PBError):
		return RefusedUnknownObject
	case usercode.AsInto(err, &decode), usercode.AsInto(err, &unjelly), protocol == nil && usercode.AsInto(err, &syntax):
		return RefusedValue
	case usercode.AsInto(err, &syntax):
		return RefusedSyntax
	case protocol != nil:
		return RefusedCommand
	case usercode.Is(err, ErrSilent):
		return RefusedSilence
	case usercode.Is(err, errNoLogin):
		return RefusedLoginDeadline
	case usercode.Is(err, ErrBackedUp):
		return RefusedPauseWater
	case usercode.Is(err, os.ErrDeadlineExceeded):
		return RefusedStall
	}
	return NotRefused
}

// loginReason tells a guess that was slowed down from one that was wrong.
func loginReason(refused *cred.Refused) Reason {
	if refused.Reason() == cred.ReasonThrottled {
		return RefusedThrottled
	}
	return RefusedLogin
}
