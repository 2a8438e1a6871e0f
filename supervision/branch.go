package supervision

import (
	"fmt"
	"runtime/debug"
	"sync"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// root is the actor at the top of the tree. It has children, and ends when the last of them has.
type root struct {
	tree    *Tree
	started chan error // buffered
}

func (r *root) Receive(ctx protoactor.Context) {
	switch ctx.Message().(type) {
	case *protoactor.Started:
		r.started <- r.grow(ctx)
	case *protoactor.Terminated:
		if len(ctx.Children()) == 0 {
			ctx.Stop(ctx.Self())
		}
	}
}

func (r *root) grow(ctx protoactor.Context) error {
	for _, b := range r.tree.branches {
		props := r.tree.rt.Props(func() protoactor.Actor { return b }, protoactor.WithSupervisor(b.strategy),
			protoactor.WithMailbox(func() protoactor.Mailbox { return b.mailbox }))
		var err error
		if b.pid, err = ctx.SpawnNamed(props, b.name); err != nil {
			return err
		}
	}
	return nil
}

// branch is the supervisor below which the actors of one kind are spawned.
type branch struct {
	tree     *Tree
	name     string
	strategy protoactor.SupervisorStrategy
	mailbox  *actor.Mailbox  // requests are put into it directly: it drops them when the branch has stopped, however late they come
	pid      *protoactor.PID // set by root, before the tree is known to anybody

	mu      sync.Mutex
	refuses bool
	left    map[string]struct{} // the actors that have still to stop, nil before Stopping
}

// spawnRequest asks a branch for a child.
type spawnRequest struct {
	props  *protoactor.Props
	prefix string
	done   func(*protoactor.PID, error)
	logger *zerolog.Logger
}

// Drop answers a request that is not granted.
func (r *spawnRequest) Drop(reason error) {
	if usercode.Is(reason, actor.ErrStopped) {
		reason = ErrClosing
	}
	r.answer(nil, reason)
}

func (r *spawnRequest) answer(pid *protoactor.PID, err error) {
	if r.done == nil {
		return
	}
	if p := usercode.Do(func() { r.done(pid, err) }); p != nil {
		usercode.Log(func() {
			r.logger.Error().Str("actor", r.prefix).Str("panic", usercode.PanicText(p.Value)).Bytes("stack", p.Stack).
				Msg("a function given to SpawnAsync panicked")
		})
	}
}

// ask queues a request, unless the branch is stopping.
func (b *branch) ask(r *spawnRequest) {
	b.mu.Lock()
	refuses := b.refuses
	b.mu.Unlock()
	if refuses {
		r.Drop(ErrClosing)
		return
	}
	b.mailbox.PostUserMessage(r)
}

func (b *branch) refuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuses = true
}

func (b *branch) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *spawnRequest:
		b.grant(ctx, m)
	case *protoactor.Stopping:
		b.stopping(ctx.Children())
	case *protoactor.Terminated:
		b.mu.Lock()
		delete(b.left, m.Who.Id)
		b.mu.Unlock()
	}
}

func (b *branch) grant(ctx protoactor.Context, r *spawnRequest) {
	b.mu.Lock()
	refuses := b.refuses
	b.mu.Unlock()
	if refuses {
		// A child that is spawned while its parent stops is not told to, and both would stay.
		r.Drop(ErrClosing)
		return
	}
	r.answer(b.spawn(ctx, r))
}

// spawn survives what the props of others may do: a producer that panics, for one.
func (b *branch) spawn(ctx protoactor.Context, r *spawnRequest) (pid *protoactor.PID, err error) {
	name := r.prefix + ctx.ActorSystem().ProcessRegistry.NextId()
	defer func() {
		if p := recover(); p != nil {
			usercode.Log(func() {
				b.tree.rt.Logger().Error().Str("actor", name).Str("branch", b.name).Bytes("stack", debug.Stack()).
					Msgf("spawning an actor panicked with a value of type %T", p)
			})
			pid, err = nil, fmt.Errorf(
				"supervision: spawn %s below %s: the producer or an option of the props panicked; the log has the stack",
				r.prefix,
				b.name,
			)
		}
	}()
	pid, err = ctx.SpawnNamed(r.props, name)
	if err != nil {
		return nil, fmt.Errorf("supervision: spawn %s below %s: %w", r.prefix, b.name, err)
	}
	return pid, nil
}

func (b *branch) stopping(children []*protoactor.PID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuses = true
	b.left = make(map[string]struct{}, len(children))
	for _, pid := range children {
		b.left[pid.Id] = struct{}{}
	}
}

func (b *branch) unfinished() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make([]string, 0, len(b.left))
	for id := range b.left {
		names = append(names, id)
	}
	return nameList(names)
}
