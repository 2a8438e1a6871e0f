package supervision

import (
	"fmt"
	"io"
	"sync/atomic"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Leases manages the leases of a Runtime. It needs no goroutine, and the cost of a lease does not depend on their
// number.
type Leases struct {
	rt    *actor.Runtime
	count atomic.Int64
}

type leasesKey struct{}

// LeasesOf returns the Runtime's leases.
func LeasesOf(rt *actor.Runtime) *Leases {
	return rt.Extension(leasesKey{}, func() any { return &Leases{rt: rt} }).(*Leases)
}

// Lease is held until it is released.
type Lease struct {
	leases   *Leases
	release  func()
	released atomic.Bool
	cancel   atomic.Pointer[func() bool]
}

// Hold returns a lease that runs release exactly once: when the lease is released, when the actor at holder has
// stopped, or at once if that actor does not exist. A restart of the holder does not end the lease. release may run in
// any goroutine, also before Hold returns, and must not block.
func (l *Leases) Hold(holder *protoactor.PID, release func()) *Lease {
	lease := l.lease(release)
	lease.endsWith(l.runtime().WhenStopped(holder, lease.Release))
	return lease
}

// Format prints a fixed text, whatever the verb, because other goroutines may be changing the leases.
func (l *Leases) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<leases>") }

// Len returns the number of leases that are held.
func (l *Leases) Len() int {
	if l == nil {
		return 0
	}
	return int(l.count.Load())
}

func (l *Leases) runtime() *actor.Runtime {
	if l == nil {
		return nil
	}
	return l.rt
}

func (l *Leases) lease(release func()) *Lease {
	if l == nil {
		l = new(Leases)
	}
	l.count.Add(1)
	return &Lease{leases: l, release: release}
}

// endsWith stores the function that cancels the notification of the holder's end.
func (l *Lease) endsWith(cancel func() bool) {
	l.cancel.Store(&cancel)
	if l.released.Load() {
		cancel() // released before cancel was stored
	}
}

// Release ends the lease if it has not ended. It may be called from any goroutine.
func (l *Lease) Release() {
	if l == nil || l.leases == nil || !l.released.CompareAndSwap(false, true) {
		return
	}
	l.leases.count.Add(-1)
	if cancel := l.cancel.Load(); cancel != nil {
		(*cancel)()
	}
	if l.release == nil {
		return
	}
	if p := usercode.Do(l.release); p != nil {
		usercode.Log(func() {
			l.leases.rt.Logger().Error().Str("panic", usercode.PanicText(p.Value)).Bytes("stack", p.Stack).
				Msg("a lease's release function panicked")
		})
	}
}

// Format prints a fixed text, whatever the verb, because the lease may end meanwhile.
func (l *Lease) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<lease>") }

// Held reports whether the lease has not ended.
func (l *Lease) Held() bool { return l != nil && l.leases != nil && !l.released.Load() }
