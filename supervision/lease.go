package supervision

import (
	"fmt"
	"io"
	"sync/atomic"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Leases are what the actors of a Runtime hold. They cost no goroutine, and a lease the same however
// many there are.
type Leases struct {
	rt    *actor.Runtime
	count atomic.Int64
}

type leasesKey struct{}

// LeasesOf returns the Runtime's leases.
func LeasesOf(rt *actor.Runtime) *Leases {
	return rt.Extension(leasesKey{}, func() any { return &Leases{rt: rt} }).(*Leases)
}

// Lease is something that is held until it is released.
type Lease struct {
	leases   *Leases
	release  func()
	released atomic.Bool
	cancel   atomic.Pointer[func() bool]
}

// Hold runs release exactly once: when the lease is released, or when the actor at holder has ended, in whatever
// way, and at once if there is none. A restart of the holder is not an end. release may run in any
// goroutine, also before Hold returns, and must not block.
func (l *Leases) Hold(holder *protoactor.PID, release func()) *Lease {
	lease := l.lease(release)
	lease.endsWith(l.runtime().WhenStopped(holder, lease.Release))
	return lease
}

// HoldInstance is Hold for the present instance of the actor whose turn it is: a restart ends it too. Actors that were
// not made from the Runtime's Props cannot be asked; for them it is Hold.
func (l *Leases) HoldInstance(on actor.Turn, release func()) *Lease {
	lease := l.lease(release)
	if cancel, ok := actor.WhenInstanceEnds(on, lease.Release); ok {
		lease.endsWith(cancel)
		return lease
	}
	if on == nil {
		lease.Release() // Nobody holds it.
		return lease
	}
	lease.endsWith(l.runtime().WhenStopped(on.Self(), lease.Release))
	return lease
}

// Format prints one word, whatever the verb: leases change meanwhile.
func (l *Leases) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<leases>") }

// Len returns how many leases are held.
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

// endsWith remembers how to forget about the holder.
func (l *Lease) endsWith(cancel func() bool) {
	l.cancel.Store(&cancel)
	if l.released.Load() {
		cancel() // whoever released it may have come before there was anything to cancel
	}
}

// Release ends the lease, unless it has ended. It may be called from anywhere.
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
				Msg("a function that was to run at the end of a lease panicked")
		})
	}
}

// Format prints one word, whatever the verb: a lease may end meanwhile.
func (l *Lease) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<lease>") }

// Held tells whether the lease has not ended.
func (l *Lease) Held() bool { return l != nil && l.leases != nil && !l.released.Load() }
