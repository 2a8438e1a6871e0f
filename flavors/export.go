package flavors

import (
	"context"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/seam"
)

// Internal is for this module's packages only.
var Internal exporter

type exporter struct{}

// Export returns what this module's packages need of this one and users do not.
func (exporter) Export(seam.Token) export { return export{} }

type export struct{}

// CallSoon is [RemoteReference.CallRemote], but waits for room on the connection.
func (export) CallSoon(ctx context.Context, r *RemoteReference, method string, args ...any) *actor.Deferred {
	return r.callSoon(ctx, method, args...)
}

// CallNoAnswerSoon is [RemoteReference.CallRemoteNoAnswer], but waits for room on the connection.
func (export) CallNoAnswerSoon(ctx context.Context, r *RemoteReference, method string, args ...any) error {
	return r.callNoAnswerSoon(ctx, method, args...)
}

// WaitSent waits until the connection has sent what it was given, up to its high-water mark.
func (export) WaitSent(ctx context.Context, r *RemoteReference) error { return r.Conn().WaitSent(ctx) }

// Weight returns what the call counts for against the limits of memory.
func (export) Weight(inv *Invocation) int { return inv.Weight() }

// RemoteError returns a [PBError] that counts as sent by the peer. The text is clipped to [MaxFailureText].
func (export) RemoteError(text string) error {
	f := PBError.New(clipText(text, MaxFailureText))
	f.remote = true
	return f
}
