package flavors

import (
	"sync"
	"time"

	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/rs/zerolog"
)

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

// logPanic logs a panic of user code that belongs to an object. A caller that panics again with p does not log it
// again.
func (c *objectCore) logPanic(log *zerolog.Logger, p *PanicError, fields ...func(*zerolog.Event)) {
	limit := supervision.TreeOf(c.runtime()).ObjectLimit()
	level, last := c.panics.level(limit)
	usercode.Log(func() {
		e := log.WithLevel(level).Str("object", c.typeName())
		for _, f := range fields {
			f(e)
		}
		e.Str("panic", usercode.PanicText(p.Value)).Bytes("stack", p.Stack).Msg(p.What + " panicked")
	})
	if last {
		usercode.Log(func() {
			log.Warn().Str("object", c.typeName()).Dur("within", limit.Within).
				Msg("this object panics often; further panics within this time are logged at the debug level")
		})
	}
}
