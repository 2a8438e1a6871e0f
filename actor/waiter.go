package actor

// Waiter is the wait for a Deferred that began before anybody could complete it.
type Waiter struct{ listener }

// takeWaiter returns a Waiter from the Runtime's pool. Pools are not shared between Runtimes, because a
// channel made in a testing/synctest bubble is valid only there.
func (rt *Runtime) takeWaiter() *Waiter {
	if rt != nil {
		if w, ok := rt.waiters.Get().(*Waiter); ok {
			return w
		}
	}
	return &Waiter{listener{waiter: make(chan struct{}, 1)}}
}

func (rt *Runtime) giveWaiter(w *Waiter) {
	if rt != nil {
		rt.waiters.Put(w)
	}
}
