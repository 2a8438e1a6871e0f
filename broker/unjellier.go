package broker

import (
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// unjellier is the third codec actor: there, and only there, the application's code runs that receiving calls for. It
// gets one command at a time, in wire order, and while it has one the broker lets later commands wait.
type unjellier struct{ c *connection }

// Messages to the unjellier and back.
type (
	unjelly struct {
		cmd    *incoming
		caches func(more int) error // says when there are too many
	}
	unjellied struct {
		cmd      *incoming
		caches   []madeCache      // for the broker's table
		received []flavors.Handle // the handles that it made
		unmade   []jelly.Mention  // what is left over when something could not be made
	}
	madeCache struct {
		luid  int64
		cache *flavors.LocalCache
	}
)

// Receive implements protoactor.Actor.
func (u *unjellier) Receive(ctx protoactor.Context) {
	m, ok := ctx.Message().(unjelly)
	if !ok {
		return
	}
	done := &unjellied{cmd: m.cmd}
	handedOver := false
	defer func() {
		if !handedOver { // Code of the application ended the goroutine. That ends this actor, and the connection with it.
			done.abandon()
		}
	}()
	made := func(unbound *jelly.Unbound, blank any) (any, error) {
		if _, ok := blank.(*flavors.CacheBlank); ok {
			if err := m.caches(len(done.caches)); err != nil {
				return nil, err
			}
		}
		return u.made(done, unbound, blank)
	}
	if err := jelly.Unjelly(m.cmd.unbound, made, done.cached); err != nil {
		usercode.Log(func() { u.c.log.Debug().Err(usercode.LogError(err)).Msg("a copy could not be made") })
		noteError(m.cmd, err)
		done.unmade = unmade(m.cmd.unbound)
	}
	m.cmd.unbound = nil
	ctx.Send(ctx.Parent(), done)
	handedOver = true
}

// made puts a handle in the place of a cache; copies stand for themselves.
func (u *unjellier) made(done *unjellied, unbound *jelly.Unbound, blank any) (any, error) {
	cache, ok := blank.(*flavors.CacheBlank)
	if !ok {
		return blank, nil
	}
	local, err := cache.Attach(u.c, unbound.ID)
	if err != nil {
		return nil, err
	}
	done.caches = append(done.caches, madeCache{unbound.ID, local})
	return done.receive(local), nil
}

func (done *unjellied) receive(local *flavors.LocalCache) any {
	h := local.Receive()
	done.received = append(done.received, h)
	return h
}

// cached finds an original that came in the same command.
func (done *unjellied) cached(unbound *jelly.Unbound) (any, error) {
	if unbound.Tag == banana.SymCached.String() {
		for _, m := range done.caches {
			if m.luid == unbound.ID {
				return done.receive(m.cache), nil
			}
		}
	}
	return nil, flavors.PBError.Errorf("[%s %d] names nothing that this side knows", unbound.Tag, unbound.ID)
}

// abandon is for when the connection has ended meanwhile.
func (done *unjellied) abandon() {
	for _, m := range done.caches {
		m.cache.Disconnected()
	}
}

// wantsUnjellier says whether there is something that was not bound: instances that the application's code has to make.
func (cmd *incoming) wantsUnjellier() bool {
	for _, u := range cmd.unbound {
		if !u.Bound() {
			return true
		}
	}
	return false
}
