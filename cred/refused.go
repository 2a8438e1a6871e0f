package cred

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Reason says why a login was refused. It is for the log alone.
type Reason string

// The reasons that lie with whoever wanted to come in.
const (
	// ReasonUnhandled: no checker of the portal accepts that kind of credentials.
	ReasonUnhandled Reason = "no checker for this kind of credentials"
	// ReasonMalformed: the credentials are such that no store can hold them.
	ReasonMalformed Reason = "malformed credentials"
	// ReasonUnknown: there is nobody of that name, or with that certificate or uid.
	ReasonUnknown Reason = "unknown user"
	// ReasonWrong: the password, the response or the certificate is not right.
	ReasonWrong Reason = "wrong credentials"
	// ReasonDenied: it is them, and they may not have what they asked for.
	ReasonDenied Reason = "not allowed"
	// ReasonThrottled: there were too many attempts.
	ReasonThrottled Reason = "too many attempts"
)

// The reasons that lie with us: [Refused.Fault] says so.
const (
	// ReasonUnusable: what is stored for this user cannot be used to check these credentials.
	ReasonUnusable Reason = "unusable password entry"
	// ReasonStore: the store of users could not be asked.
	ReasonStore Reason = "store of users failed"
	// ReasonRealm: the realm failed to make the avatar.
	ReasonRealm Reason = "realm failed"
	// ReasonEnded: the context of the login ended before there was a decision.
	ReasonEnded Reason = "ended before a decision"
)

// refusal is the text of every refusal, whatever its reason.
const refusal = "cred: login refused"

// Refused is the error of every login that was refused. Its text is always the same, whatever verb it is printed
// with, and it wraps nothing: all of it may be sent to the peer. The methods tell the log what really happened;
// what they return contains no secret, and must not be sent.
type Refused struct {
	reason Reason
	detail string
	cause  error
	kind   Kind
	claim  string
}

// Refuse makes a refusal whose reason lies with whoever wanted to come in. The detail is for the log; it must not
// contain a secret.
func Refuse(reason Reason, detail string, args ...any) *Refused {
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return &Refused{reason: reason, detail: detail}
}

// Fault makes a refusal that is not the fault of whoever wanted to come in. The cause is for the log. When ctx,
// the context of the login, has ended, then that is the reason.
func Fault(ctx context.Context, reason Reason, cause error) *Refused {
	if ctx != nil && ctx.Err() != nil {
		reason = ReasonEnded
	}
	return &Refused{reason: reason, cause: cause}
}

// Error implements error. The text is the same for every refusal.
func (*Refused) Error() string { return refusal }

// GoString implements fmt.GoStringer, lest %#v say more than Error.
func (*Refused) GoString() string { return refusal }

// MarshalText implements encoding.TextMarshaler with the same text.
func (*Refused) MarshalText() ([]byte, error) { return []byte(refusal), nil }

// Reason says why.
func (r *Refused) Reason() Reason { return r.reason }

// Fault says whether something of ours failed, rather than the credentials. Somebody should look into it.
func (r *Refused) Fault() bool {
	switch r.reason {
	case ReasonUnusable, ReasonStore, ReasonRealm, ReasonEnded:
		return true
	}
	return false
}

// Detail says more about the reason, if there is more to say.
func (r *Refused) Detail() string {
	if r.cause != nil {
		return usercode.ErrorText(r.cause)
	}
	return r.detail
}

// Cause is the error behind a fault, or nil. It is not wrapped, so that neither errors.As nor a printed chain
// brings it to the peer.
func (r *Refused) Cause() error { return r.cause }

// Kind is the kind of credentials that were presented, if the refusal came from a portal.
func (r *Refused) Kind() Kind { return r.kind }

// Claim is who they claimed to be, if the refusal came from a portal.
func (r *Refused) Claim() string { return r.claim }

// Log is one line for the log: reason, kind, claim and detail.
func (r *Refused) Log() string {
	line := string(r.reason)
	if r.kind != "" {
		line += " (" + string(r.kind)
		if r.claim != "" {
			line += " of " + strconv.Quote(shorten(r.claim))
		}
		line += ")"
	}
	if detail := r.Detail(); detail != "" {
		line += ": " + detail
	}
	return line
}

// LogValue implements slog.LogValuer: a logger gets the reason, where Error gives the peer's text.
func (r *Refused) LogValue() slog.Value { return slog.StringValue(r.Log()) }

// by returns the refusal with what was presented, without changing r, which may be shared.
func (r *Refused) by(c Credentials) *Refused {
	told := *r
	told.kind, told.claim = c.Kind(), c.Claim()
	return &told
}

// refusedBy makes a Refused of whatever a checker or a realm of the user's own has returned.
func refusedBy(ctx context.Context, err error, otherwise Reason) *Refused {
	var refused *Refused
	if usercode.AsInto(err, &refused) && refused != nil {
		return refused
	}
	return Fault(ctx, otherwise, err)
}

// shorten keeps a peer from filling our log with a name.
func shorten(claim string) string {
	if len(claim) > MaxUsernameBytes {
		return claim[:MaxUsernameBytes] + "…"
	}
	return claim
}
