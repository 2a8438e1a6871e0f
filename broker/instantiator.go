package broker

import (
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// instantiator is the third codec actor. It runs the application code that makes instances of received copies, and
// nothing else does. It gets one command at a time, in wire order; later commands wait in the broker meanwhile.
type instantiator struct{ c *connection }

// Receive implements protoactor.Actor.
func (i *instantiator) Receive(ctx protoactor.Context) {
	m, ok := ctx.Message().(instantiate)
	if !ok {
		return
	}
	done := &instantiated{cmd: m.cmd}
	sent := false
	defer func() {
		if !sent { // Application code ended the goroutine, which ends this actor and its connection.
			done.abandon()
		}
	}()
	made := func(unbound *jelly.Unbound, blank any) (any, error) {
		if _, ok := blank.(seam.CacheBlank); ok {
			if err := m.caches(len(done.caches)); err != nil {
				return nil, err
			}
		}
		return i.made(done, unbound, blank)
	}
	if err := jelly.Unjelly(m.cmd.unbound, made, done.cached); err != nil {
		usercode.Log(func() { i.c.log.Debug().Err(usercode.LogError(err)).Msg("a copy could not be made") })
		noteError(m.cmd, err)
		done.unmade = notMade(m.cmd.unbound)
	}
	m.cmd.unbound = nil
	ctx.Send(ctx.Parent(), done)
	sent = true
}

// made returns what stands for an instance: a handle for a cache, a copy for itself.
func (i *instantiator) made(done *instantiated, unbound *jelly.Unbound, blank any) (any, error) {
	cache, ok := blank.(seam.CacheBlank)
	if !ok {
		return blank, nil
	}
	local, err := cache.Attach(i.c, unbound.ID)
	if err != nil {
		return nil, err
	}
	done.caches = append(done.caches, madeCache{unbound.ID, local})
	return done.receive(local), nil
}

// cached finds a cache that was made for the same command.
func (done *instantiated) cached(unbound *jelly.Unbound) (any, error) {
	if unbound.Tag == banana.SymCached.String() {
		for _, m := range done.caches {
			if m.luid == unbound.ID {
				return done.receive(m.cache), nil
			}
		}
	}
	return nil, flavors.PBError.Errorf("[%s %d] names nothing that this side knows", unbound.Tag, unbound.ID)
}
