package broker

import (
	"context"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/cred"
)

// The bounds of what waits for a turn.
const (
	// maxTurns is how many logins of one address may wait. Each has a goroutine.
	maxTurns = 256
	// maxTurnWait is how long a login waits at most.
	maxTurnWait = cred.DefaultMaxWait
)

// loginTurns has the logins of each address that are checked, or wait for it.
//
// A login that is checked counts as failed until it succeeds, so that guessing in parallel gains nothing. But users
// whose programs log in at the same time, such as after a restart of the server, are no guessers, however long the
// checker takes. So only as many logins of one address are checked at a time as failures are free, and the others wait
// until these have ended.
type loginTurns struct {
	atOnce int

	mu sync.Mutex
	at map[string]*addressTurns // guarded by mu
}

type addressTurns struct {
	checked chan struct{} // has an element for each login that is checked
	logins  int           // with those that wait; guarded by the mutex of loginTurns
}

// newLoginTurns returns those of a root with a throttle.
func newLoginTurns(t *cred.Throttle) *loginTurns {
	return &loginTurns{atOnce: max(t.FreeFailures(), 1), at: map[string]*addressTurns{}}
}

// enter waits until it is the turn of a login of an address. Without an error, leave must be called.
func (l *loginTurns) enter(ctx context.Context, address string) (leave func(), err error) {
	a := l.join(address)
	if a == nil {
		return nil, cred.Refuse(cred.ReasonThrottled, "%d logins of this address wait", maxTurns)
	}
	timer := time.NewTimer(maxTurnWait)
	defer timer.Stop()
	select {
	case a.checked <- struct{}{}:
		return func() { <-a.checked; l.quit(address, a) }, nil
	case <-timer.C:
		err = cred.Refuse(cred.ReasonThrottled, "others of this address were checked for %v", maxTurnWait)
	case <-ctx.Done():
		err = cred.Fault(ctx, cred.ReasonEnded, context.Cause(ctx))
	}
	l.quit(address, a)
	return nil, err
}

// join returns nil if too many logins of the address wait.
func (l *loginTurns) join(address string) *addressTurns {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.at[address]
	if a == nil {
		a = &addressTurns{checked: make(chan struct{}, l.atOnce)}
		l.at[address] = a
	}
	if a.logins-l.atOnce >= maxTurns {
		return nil
	}
	a.logins++
	return a
}

func (l *loginTurns) quit(address string, a *addressTurns) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.logins--; a.logins == 0 {
		delete(l.at, address)
	}
}
