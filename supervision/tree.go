package supervision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
)

// ErrClosing is returned by Spawn if the tree accepts no more actors.
var ErrClosing = errors.New("supervision: the runtime is closing and starts no more actors; make a new one")

// Branch is a part of the tree.
type Branch uint8

// The branches of the tree.
const (
	Listeners Branch = iota // acceptors
	Dialers                 // clients that connect and reconnect
	Objects                 // objects that peers hold references to
	Caches                  // objects that peers hold copies of
	branches
)

func (b Branch) String() string {
	if b < branches {
		return [branches]string{"listeners", "dialers", "objects", "caches"}[b]
	}
	return fmt.Sprintf("branch %d", uint8(b))
}

// Tree is the tree of a Runtime's actors.
type Tree struct {
	rt       *actor.Runtime
	root     *protoactor.PID
	branches [branches]*branch
	objects  Limit
	turns    time.Duration
	ready    error // why the tree cannot be used; nil if it can
}

type treeKey struct{}

// TreeOption configures a Tree. The With functions of this package return options.
type TreeOption interface{ apply(*treeConfig) }

type treeOption func(*treeConfig)

func (o treeOption) apply(c *treeConfig) { o(c) }

type treeConfig struct {
	listeners, dialers Backoff
	objects            Limit
	turns              time.Duration
	hook               func(Branch, Decision)
}

// WithListenerBackoff sets the delays before failed listeners restart. Default: the defaults of Backoff.
func WithListenerBackoff(b Backoff) TreeOption {
	return treeOption(func(c *treeConfig) { c.listeners = b })
}

// WithDialerBackoff sets the delays before failed dialers restart. Default: the defaults of Backoff with a jitter of
// one half, so that a server's clients do not all reconnect at the same time.
func WithDialerBackoff(b Backoff) TreeOption {
	return treeOption(func(c *treeConfig) { c.dialers = b })
}

// WithObjectLimit sets how many failures of one object or cache are logged as warnings within a time. Further ones are
// logged at debug level. The object is not stopped, because peers share it and one of them may cause the failures.
// Default: the defaults of Limit. See [PersistentStrategy].
func WithObjectLimit(l Limit) TreeOption {
	return treeOption(func(c *treeConfig) { c.objects = l })
}

// WithDecisions calls f with every decision about an actor directly below a branch. f runs in the branch's turn and
// must not block. Default: none.
func WithDecisions(f func(Branch, Decision)) TreeOption {
	return treeOption(func(c *treeConfig) { c.hook = f })
}

// DefaultTurnWarning is the default of [WithTurnWarning].
const DefaultTurnWarning = 10 * time.Second

// WithTurnWarning sets how long a method of an object may hold up the object before a warning with both is logged. Such
// a method usually waits for something that needs the object, for example by a flavors.Call to a peer that calls back.
// The time is checked now and then, so the warning may come a quarter late. Default: [DefaultTurnWarning]. With a
// negative time there are no warnings.
func WithTurnWarning(d time.Duration) TreeOption {
	return treeOption(func(c *treeConfig) { c.turns = d })
}

// defaultDialerJitter spreads reconnecting clients over half of their delay.
const defaultDialerJitter = 0.5

// TreeOf returns the Runtime's tree. The first call makes it with opts; later calls ignore opts.
func TreeOf(rt *actor.Runtime, opts ...TreeOption) *Tree {
	if err := rt.Check(); err != nil {
		return &Tree{ready: fmt.Errorf("supervision: there is no tree: %w", err)}
	}
	return rt.Extension(treeKey{}, func() any { return newTree(rt, opts) }).(*Tree)
}

func newTree(rt *actor.Runtime, opts []TreeOption) *Tree {
	c := treeConfig{dialers: Backoff{Jitter: defaultDialerJitter}}
	for _, o := range opts {
		if o != nil {
			o.apply(&c)
		}
	}
	t := &Tree{rt: rt, objects: c.objects.withDefaults(), turns: c.turns}
	if t.turns == 0 {
		t.turns = DefaultTurnWarning
	}
	for b := range branches {
		t.branches[b] = &branch{tree: t, name: b.String(), strategy: t.strategyOf(b, c), mailbox: actor.NewMailbox()}
	}
	if rt.HasBegun(actor.PhaseStop) {
		t.ready = ErrClosing
		return t
	}
	started := make(chan error, 1)
	props := rt.Props(func() protoactor.Actor { return &root{tree: t, started: started} },
		protoactor.WithSupervisor(ResumeStrategy(rt)))
	var err error
	t.root, err = rt.Root().SpawnNamed(props, rootName)
	if errors.Is(err, protoactor.ErrNameExists) { // several runtimes in one system
		t.root, err = rt.Root().SpawnNamed(props, rootName+rt.System().ProcessRegistry.NextId())
	}
	if err == nil {
		err = <-started
	}
	if err != nil {
		t.ready = fmt.Errorf("supervision: spawning the tree: %w", err)
		return t
	}
	rt.OnStraggler(t.running)
	rt.OnClose(actor.PhaseStop, "actor tree", t.stop)
	return t
}

const rootName = "pb"

func (t *Tree) strategyOf(b Branch, c treeConfig) protoactor.SupervisorStrategy {
	decided := OnDecision(func(d Decision) {
		if d.Directive == protoactor.RestartDirective {
			t.branches[b].kinds.restarted(t.branches[b].prefixOf(d.Child))
		}
		if c.hook != nil {
			c.hook(b, d)
		}
	})
	switch b {
	case Listeners:
		return BackoffStrategy(t.rt, c.listeners, decided)
	case Dialers:
		return BackoffStrategy(t.rt, c.dialers, decided)
	default:
		return PersistentStrategy(t.rt, c.objects, decided)
	}
}

// Root returns the address of the tree's root actor.
func (t *Tree) Root() *protoactor.PID {
	if t == nil {
		return nil
	}
	return t.root
}

// TurnWarning returns the time set by WithTurnWarning; not positive if there are no warnings.
func (t *Tree) TurnWarning() time.Duration {
	if t == nil {
		return 0
	}
	return t.turns
}

// ObjectLimit returns the limit set by WithObjectLimit.
func (t *Tree) ObjectLimit() Limit {
	if t == nil {
		return Limit{}.withDefaults()
	}
	return t.objects.withDefaults()
}

// String returns the name of the tree for logs.
func (t *Tree) String() string {
	if t == nil || t.root == nil {
		return "<Tree, not usable>"
	}
	return "<Tree at " + t.root.Id + ">"
}

// Format prints what String returns, whatever the verb, because other goroutines may be changing the Tree.
func (t *Tree) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// PID returns the address of a branch's supervisor.
func (t *Tree) PID(b Branch) *protoactor.PID {
	if t == nil || b >= branches || t.branches[b] == nil {
		return nil
	}
	return t.branches[b].pid
}

// Spawn starts an actor below a branch, with a name that begins with prefix, and waits until it exists. It may be
// called from any goroutine except in the branch's own turn. In an actor's turn, which must not block, use SpawnAsync.
//
// After Close has begun, Spawn returns ErrClosing for listeners and dialers. For objects and caches it does so from the
// phase in which the tree stops, because answers under way may still need them.
func (t *Tree) Spawn(b Branch, props *protoactor.Props, prefix string) (*protoactor.PID, error) {
	type outcome struct {
		pid *protoactor.PID
		err error
	}
	done := make(chan outcome, 1)
	t.SpawnAsync(b, props, prefix, func(pid *protoactor.PID, err error) { done <- outcome{pid, err} })
	o := <-done
	return o.pid, o.err
}

// SpawnAsync is Spawn without waiting. It calls done exactly once, usually in the branch's turn; done must not block.
// It may be nil.
func (t *Tree) SpawnAsync(b Branch, props *protoactor.Props, prefix string, done func(*protoactor.PID, error)) {
	r := &spawnRequest{props: props, prefix: prefix, done: done, logger: t.logger()}
	switch {
	case t == nil || t.rt == nil && t.ready == nil:
		r.Drop(errors.New("supervision: this Tree was not made by TreeOf"))
	case b >= branches:
		r.Drop(fmt.Errorf("supervision: spawn %s: there is no %s", prefix, b))
	case props == nil:
		r.Drop(fmt.Errorf("supervision: spawn %s below %s: the props are nil", prefix, b))
	case t.ready != nil:
		r.Drop(t.ready)
	case b <= Dialers && t.closing(), t.rt.HasBegun(actor.PhaseStop):
		r.Drop(ErrClosing)
	default:
		t.branches[b].ask(r)
	}
}

func (t *Tree) logger() *zerolog.Logger {
	if t == nil {
		return (*actor.Runtime)(nil).Logger()
	}
	return t.rt.Logger()
}

func (t *Tree) closing() bool {
	select {
	case <-t.rt.Closing():
		return true
	default:
		return false
	}
}

// stop stops the tree from the top: branches accept no more actors; then listeners and dialers stop with their
// connections, then objects and caches, then the root. It ignores its context, because Close itself stops waiting.
func (t *Tree) stop(context.Context) error {
	for _, b := range t.branches {
		b.refuse()
	}
	var root sync.WaitGroup
	root.Add(1)
	t.rt.WhenStopped(t.root, root.Done)
	t.end(Listeners, Dialers)
	t.end(Objects, Caches)
	root.Wait()
	return nil
}

// end stops branches and waits until they have stopped.
func (t *Tree) end(which ...Branch) {
	var stopping sync.WaitGroup
	for _, b := range which {
		pid := t.branches[b].pid
		stopping.Add(1)
		t.rt.WhenStopped(pid, stopping.Done)
		t.rt.Root().Stop(pid)
	}
	stopping.Wait()
}

// running returns the names of actors that have been told to stop and are still running.
func (t *Tree) running() []string {
	var names []string
	for _, b := range t.branches {
		names = append(names, b.unfinished()...)
	}
	slices.Sort(names)
	return names
}

// maxNames is how many actors of a branch are named if Close runs out of time.
const maxNames = 10

func nameList(names []string) []string {
	slices.Sort(names)
	if more := len(names) - maxNames; more > 0 {
		names = append(
			names[:maxNames],
			fmt.Sprintf("%d more below %s", more, names[0][:strings.LastIndexByte(names[0], '/')]),
		)
	}
	return names
}

// root is the actor at the top of the tree. It stops when its last child has stopped.
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

// branch is the supervisor of the actors of one kind.
type branch struct {
	tree     *Tree
	name     string
	strategy protoactor.SupervisorStrategy
	mailbox  *actor.Mailbox  // receives requests directly and drops them once the branch has stopped
	pid      *protoactor.PID // set by root, before the tree is published
	kinds    kinds

	mu      sync.Mutex
	refuses bool
	left    map[string]struct{} // actors that are still stopping; nil before Stopping
}

// spawnRequest asks a branch to start a child.
type spawnRequest struct {
	props  *protoactor.Props
	prefix string
	done   func(*protoactor.PID, error)
	logger *zerolog.Logger
}

// Drop implements actor.Droppable.
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
				Msg("a SpawnAsync function panicked")
		})
	}
}

// ask queues a request unless the branch is stopping.
func (b *branch) ask(r *spawnRequest) {
	if b.isRefusing() {
		r.Drop(ErrClosing)
		return
	}
	b.mailbox.PostUserMessage(r)
}

func (b *branch) isRefusing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refuses
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
		b.kinds.stopped(b.prefixOf(m.Who))
	}
}

func (b *branch) grant(ctx protoactor.Context, r *spawnRequest) {
	if b.isRefusing() {
		// A child spawned while its parent stops is never told to stop, and both would stay.
		r.Drop(ErrClosing)
		return
	}
	r.answer(b.spawn(ctx, r))
}

// spawn starts the child. It recovers panics of the props, such as a producer's.
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
	b.kinds.spawned(r.prefix)
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
