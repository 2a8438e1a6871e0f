package flavors

import (
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/rs/zerolog"
)

// Internal is for this module's packages only.
var Internal exporter

type exporter struct{}

// Export returns what this module's packages need of this one and users do not.
func (exporter) Export(seam.Token) export { return export{} }

type export struct{}

// Weight returns what the call counts for against the limits of memory.
func (export) Weight(inv *Invocation) int { return inv.weight }

// RemoteError returns a [PBError] that counts as sent by the peer. The text is clipped to [MaxFailureText].
func (export) RemoteError(text string) error {
	f := PBError.New(clipText(text, MaxFailureText))
	f.remote = true
	return f
}

// Original returns the struct that embeds c, nil if it has not been sent yet.
func (export) Original(c *Cacheable) any {
	core := c.core.Load()
	if core == nil {
		return nil
	}
	return core.Value()
}

// State returns what encodes as the state of v alone, as of a [Copyable].
func (export) State(v any) jelly.Jellyable { return plainState{v} }

// CopyOf returns the struct behind a *[Cached], nil if handle is none.
func (export) CopyOf(handle any) any {
	if c, ok := handle.(interface{ copied() any }); ok {
		return c.copied()
	}
	return nil
}

// Copy returns the struct that embeds r.
func (export) Copy(r *RemoteCache) any { return r.core.Load().Value() }

// NameOfCopy names the type of the struct that embeds r, for logs.
func (export) NameOfCopy(r *RemoteCache) string {
	if core := r.core.Load(); core != nil {
		return core.typeName()
	}
	return "copy"
}

// InTurnOfCopy runs f in the copy's turn. If it cannot, it calls drop, or returns an error.
func (export) InTurnOfCopy(r *RemoteCache, f func(), drop func(cause error)) error {
	return r.core.Load().post(&turn{run: f, drop: drop})
}

// MarkStale notes that the copy no longer shows what its original does.
func (export) MarkStale(r *RemoteCache, cause error) { r.core.Load().stale(cause) }

// MarkUpdated notes the time of an update, in the copy's turn.
func (export) MarkUpdated(r *RemoteCache) { r.core.Load().updated() }

// LogPanicOfCopy logs a panic of the copy's code.
func (export) LogPanicOfCopy(r *RemoteCache, log *zerolog.Logger, p *PanicError) {
	r.core.Load().logPanic(log, p)
}
