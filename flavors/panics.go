package flavors

import (
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/rs/zerolog"
)

// PanicError is the error of a call whose method panicked. The peer does not get the value.
type PanicError = actor.PanicError

// panicCount counts panics within a time, so that a peer that can cause them cannot fill the log.
type panicCount struct {
	mu    sync.Mutex
	since time.Time
	n     int
}

// level returns the level at which to log one more panic: error within the limit, debug beyond it. last reports that
// the limit has just been reached.
func (c *panicCount) level(limit supervision.Limit) (level zerolog.Level, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.since) > limit.Within {
		c.since, c.n = now, 0
	}
	c.n++
	if most := max(limit.Restarts, 1); c.n > most {
		return zerolog.DebugLevel, false
	} else if c.n == most {
		return zerolog.ErrorLevel, true
	}
	return zerolog.ErrorLevel, false
}
