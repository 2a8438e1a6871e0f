package cred

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Reason is why a login was refused. It is for the log only.
type Reason string

// The reasons that are the user's.
const (
	// ReasonUnhandled means that no checker of the portal accepts that kind of credentials.
	ReasonUnhandled Reason = "no checker for this kind of credentials"
	// ReasonMalformed means that no store can hold such credentials.
	ReasonMalformed Reason = "malformed credentials"
	// ReasonUnknown means that there is no user with that name, certificate or uid.
	ReasonUnknown Reason = "unknown user"
	// ReasonWrong means that the password, the response or the certificate is wrong.
	ReasonWrong Reason = "wrong credentials"
	// ReasonDenied means that the user may not have what was requested.
	ReasonDenied Reason = "not allowed"
	// ReasonThrottled means that there were too many attempts.
	ReasonThrottled Reason = "too many attempts"
)

// The reasons that are the server's. [Refused.Fault] returns true for them.
const (
	// ReasonUnusable means that the user's stored password cannot be used to check these credentials.
	ReasonUnusable Reason = "unusable password entry"
	// ReasonStore means that the store of users could not be queried.
	ReasonStore Reason = "store of users failed"
	// ReasonRealm means that the realm failed to make the avatar.
	ReasonRealm Reason = "realm failed"
	// ReasonEnded means that the login's context ended before a decision.
	ReasonEnded Reason = "ended before a decision"
)

// refusal is the text of every refusal.
const refusal = "cred: login refused"

// Refused is the error of every refused login. Its text is always the same, whatever the verb, and it wraps nothing, so
// all of it may be sent to the peer. Its methods return the details, which contain no secret but must not be sent.
type Refused struct {
	reason Reason
	detail string
	cause  error
	public error
	kind   Kind
	claim  string
}

// RefuseOpenly returns a refusal whose reason the peer is told: err is sent as it is, for clients that need its text or
// its type. An application that uses it for unknown users helps others to guess names.
func RefuseOpenly(err error) *Refused {
	if err == nil {
		err = errors.New(refusal)
	}
	return &Refused{reason: ReasonDenied, detail: usercode.ErrorText(err), public: err}
}

// Public returns the error of [RefuseOpenly] that may be sent to the peer, nil for all other refusals.
func (r *Refused) Public() error { return r.public }

// Refuse returns a refusal for a reason of the user's. detail is for the log and must not contain a secret.
func Refuse(reason Reason, detail string, args ...any) *Refused {
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return &Refused{reason: reason, detail: detail}
}

// Fault returns a refusal for a reason of the server's. cause is for the log. If ctx, the context of the login, has
// ended, the reason is ReasonEnded.
func Fault(ctx context.Context, reason Reason, cause error) *Refused {
	if ctx != nil && ctx.Err() != nil {
		reason = ReasonEnded
	}
	return &Refused{reason: reason, cause: cause}
}

// Error implements error. The text is the same for every refusal.
func (*Refused) Error() string { return refusal }

// GoString implements fmt.GoStringer, so that %#v shows no more than Error.
func (*Refused) GoString() string { return refusal }

// MarshalText implements encoding.TextMarshaler with the same text.
func (*Refused) MarshalText() ([]byte, error) { return []byte(refusal), nil }

// Reason returns why the login was refused.
func (r *Refused) Reason() Reason { return r.reason }

// Fault reports whether the server failed rather than the credentials, so that an administrator should look into it.
func (r *Refused) Fault() bool {
	switch r.reason {
	case ReasonUnusable, ReasonStore, ReasonRealm, ReasonEnded:
		return true
	}
	return false
}

// Detail returns more about the reason, or an empty string.
func (r *Refused) Detail() string {
	if r.cause != nil {
		return usercode.ErrorText(r.cause)
	}
	return r.detail
}

// Cause returns the error behind a fault, or nil. It is not wrapped, so that neither errors.As nor a printed chain
// reveals it to the peer.
func (r *Refused) Cause() error { return r.cause }

// Kind returns the kind of the credentials, if the refusal came from a portal.
func (r *Refused) Kind() Kind { return r.kind }

// Claim returns the claimed identity, if the refusal came from a portal.
func (r *Refused) Claim() string { return r.claim }

// Log returns a line for the log with reason, kind, claim and detail.
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

// LogValue implements slog.LogValuer. It returns what Log returns.
func (r *Refused) LogValue() slog.Value { return slog.StringValue(r.Log()) }

// by returns a copy of the refusal with the kind and claim of the credentials.
func (r *Refused) by(c Credentials) *Refused {
	told := *r
	told.kind, told.claim = c.Kind(), c.Claim()
	return &told
}

// refusedBy makes a Refused from the error of a checker or realm.
func refusedBy(ctx context.Context, err error, otherwise Reason) *Refused {
	var refused *Refused
	if usercode.AsInto(err, &refused) && refused != nil {
		return refused
	}
	return Fault(ctx, otherwise, err)
}

// shorten keeps a peer from filling the log with a name.
func shorten(claim string) string {
	if len(claim) > MaxUsernameBytes {
		return claim[:MaxUsernameBytes] + "…"
	}
	return claim
}
