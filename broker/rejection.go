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

// Rejection names the reason why a call, a message, a login or a connection was rejected. Names do not change between
// releases; releases may add names.
//
//	"exports"           the peer would hold more references than Limits.Exports
//	"caches"            either side would keep more copies than Limits.Caches
//	"imports"           this side would hold more of the peer's objects than Limits.Imports
//	"calls in"          more than Limits.CallsIn calls of the peer are unanswered
//	"bytes in"          the peer's unanswered calls have more than Limits.BytesIn bytes
//	"memory total"      Limits.MemoryTotal is reached
//	"promises"          more than 1,024 results are kept for the peer
//	"calls out"         more than Limits.CallsOut of our calls are unanswered
//	"write high water"  a CallRemote while more than Limits.WriteHighWater bytes wait to be written
//	"write backlog"     the peer does not read: Limits.MaxWriteBacklog
//	"state timeout"     a Cacheable did not supply its state within Limits.StateTimeout
//	"given back"        the peer does not acknowledge originals that were returned to it
//	"closing"           this side is shutting down
//	"prefix"            a Banana header is longer than Limits.Banana.Prefix
//	"string"            a string is longer than Limits.Banana.String
//	"list"              a list is longer than Limits.Banana.List
//	"depth"             values are nested deeper than Limits.Nesting or Limits.Banana.Depth
//	"frame"             a message is longer than Limits.Banana.Frame or, before a login, WithFrameBeforeLogin
//	"syntax"            the bytes received are not Banana
//	"truncated"         the peer closed the connection in the middle of a message
//	"profile"           the sides have no Banana profile in common
//	"version"           the peer speaks another version of PB
//	"command"           a command is malformed
//	"unknown command"   a command is unknown; it is answered with didNotUnderstand
//	"value"             a value is not valid Jelly, or not what the command takes
//	"insecure"          a class or type is not allowed
//	"unknown object"    no object has the id or name
//	"count"             a decref, decache or uncache for something that the peer does not hold
//	"answer"            an answer to a call that was not made
//	"handshake"         the peer did not negotiate within Limits.Handshake
//	"stall"             a write, or a large message, made no progress within Limits.Stall
//	"silence"           the peer did not answer a keepalive (WithKeepalive)
//	"login"             the credentials or the requested perspective were not accepted
//	"throttled"         too many attempts to log in (WithThrottle)
//	"login deadline"    no login within WithLoginDeadline
//	"logins at once"    too many logins of one connection are in progress (WithLoginsAtOnce)
//	"sessions"          too many users on one connection (WithSessions)
//	"challenges"        too many challenges on one connection (WithSessions)
//	"logged out"        a call of a user who has logged out
//	"strangers"         a connection without a login was dropped in favour of others (Limits.Strangers)
type Rejection string

const (
	rejectExports        Rejection = "exports"
	rejectCaches         Rejection = "caches"
	rejectImports        Rejection = "imports"
	rejectCallsIn        Rejection = "calls in"
	rejectBytesIn        Rejection = "bytes in"
	rejectMemoryTotal    Rejection = "memory total"
	rejectPromises       Rejection = "promises"
	rejectCallsOut       Rejection = "calls out"
	rejectWriteHighWater Rejection = "write high water"
	rejectWriteBacklog   Rejection = "write backlog"
	rejectState          Rejection = "state timeout"
	rejectGivenBack      Rejection = "given back"
	rejectClosing        Rejection = "closing"
	rejectPrefix         Rejection = "prefix"
	rejectString         Rejection = "string"
	rejectList           Rejection = "list"
	rejectDepth          Rejection = "depth"
	rejectFrame          Rejection = "frame"
	rejectSyntax         Rejection = "syntax"
	rejectTruncated      Rejection = "truncated"
	rejectProfile        Rejection = "profile"
	rejectVersion        Rejection = "version"
	rejectCommand        Rejection = "command"
	rejectUnknownCommand Rejection = "unknown command"
	rejectValue          Rejection = "value"
	rejectInsecure       Rejection = "insecure"
	rejectUnknownObject  Rejection = "unknown object"
	rejectCount          Rejection = "count"
	rejectAnswer         Rejection = "answer"
	rejectHandshake      Rejection = "handshake"
	rejectStall          Rejection = "stall"
	rejectSilence        Rejection = "silence"
	rejectLogin          Rejection = "login"
	rejectThrottled      Rejection = "throttled"
	rejectLoginDeadline  Rejection = "login deadline"
	rejectLoginsAtOnce   Rejection = "logins at once"
	rejectSessions       Rejection = "sessions"
	rejectChallenges     Rejection = "challenges"
	rejectLoggedOut      Rejection = "logged out"
	rejectStrangers      Rejection = "strangers"
)

// rejectionError is an error with a fixed text that is counted under a rejection.
type rejectionError struct {
	text   string
	counts Rejection
}

func (e *rejectionError) Error() string        { return e.text }
func (e *rejectionError) rejection() Rejection { return e.counts }

var limitRejections = map[banana.Limit]Rejection{
	banana.LimitPrefix: rejectPrefix,
	banana.LimitString: rejectString,
	banana.LimitList:   rejectList,
	banana.LimitDepth:  rejectDepth,
	jelly.LimitNesting: rejectDepth,
	banana.LimitFrame:  rejectFrame,
}

// rejectionOf returns the rejection under which err counts, or "" if err is not a rejection.
func rejectionOf(err error) Rejection {
	var (
		own      interface{ rejection() Rejection }
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
		return ""
	case usercode.AsInto(err, &own):
		return own.rejection()
	case usercode.AsInto(err, &limit):
		return limitRejections[limit.Limit]
	case usercode.AsInto(err, &decode) && decode.Limit != "":
		return limitRejections[decode.Limit]
	case usercode.AsInto(err, &profile):
		return rejectProfile
	case usercode.AsInto(err, &insecure), usercode.Is(err, flavors.InsecureJelly):
		return rejectInsecure
	case usercode.Is(err, jelly.ErrTooManyReferences):
		return rejectImports
	case usercode.Is(err, io.ErrUnexpectedEOF):
		return rejectTruncated
	case usercode.AsInto(err, &failure) && usercode.Is(failure, flavors.PBError):
		return rejectUnknownObject
	case decode != nil, usercode.AsInto(err, &unjelly), usercode.AsInto(err, &syntax):
		return rejectValue
	case usercode.Is(err, os.ErrDeadlineExceeded):
		return rejectStall
	}
	return ""
}

// loginRejection distinguishes an attempt that was throttled from one with wrong credentials.
func loginRejection(refused *cred.Refused) Rejection {
	if refused.Reason() == cred.ReasonThrottled {
		return rejectThrottled
	}
	return rejectLogin
}
