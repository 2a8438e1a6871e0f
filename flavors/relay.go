package flavors

import (
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/figures"
	"github.com/perspectivebroker/pb/internal/seam"
)

// This file has what stands behind an exported object that is another peer's: calls are passed on to that peer, with
// arguments and answers that were not decoded.

// relayCore stands for a peer's object in the tables of other connections. It implements seam.Core. A remote object has
// one core as long as a table has it, or a fragment mentions it: so a peer that is sent the object twice gets the same
// luid. The core keeps the handle from being released as long, and no longer.
type relayCore struct {
	ref   *RemoteReference
	users int // guarded by the remote's lock: tables and fragments
}

var _ seam.Core = (*relayCore)(nil)

// relayCore returns the core that is in use, or a new one that is not in use yet.
func (r *RemoteReference) relayCore() *relayCore {
	m := r.remote
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.relay != nil {
		return m.relay
	}
	return &relayCore{ref: r}
}

// exportAny is exportOf, and takes a reference to an object of another peer as well.
func exportAny(v any) (seam.Export, error) {
	r, ok := v.(*RemoteReference)
	switch {
	case !ok:
		return exportOf(v)
	case !r.isMade():
		return seam.Export{}, errNoReference
	case !r.remote.conn.Relays():
		return seam.Export{}, notRelaying(r)
	}
	return seam.Export{Core: r.relayCore(), Prefix: string(PrefixRemote)}, nil
}

func notRelaying(r *RemoteReference) error {
	return InsecureJelly.Errorf("%v is of a connection without broker.WithRelaying", r)
}

// useRelay returns the core, with one more user.
func (r *RemoteReference) useRelay() (*relayCore, error) {
	m := r.remote
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.relay
	if c == nil {
		c = &relayCore{ref: r}
	}
	if !c.useLocked() {
		return nil, DeadReference.Wrap(ErrReleased)
	}
	return c, nil
}

// Retain keeps a reference from ending with its receipts until done is called, which may be called once. It is for
// what stands for the object in this process, while calls that mention the reference come and go. The connection of
// the reference must have broker.WithRelaying.
func Retain(ref *RemoteReference) (done func(), err error) {
	if err := ref.Err(); err != nil {
		return nil, err
	}
	core, err := ref.useRelay()
	if err != nil {
		return nil, err
	}
	return core.unuse, nil
}

// useLocked adds a user. It reports false if the reference has been released.
func (c *relayCore) useLocked() bool {
	m := c.ref.remote
	if c.users == 0 {
		if m.name == "" && !m.count.Hold() {
			return false
		}
		if m.relay == nil {
			m.relay = c
		}
	}
	c.users++
	return true
}

// unuse takes a user away. The last one gives up the hold on the handle.
func (c *relayCore) unuse() {
	m := c.ref.remote
	m.mu.Lock()
	c.users--
	last := c.users == 0
	if last && m.relay == c {
		m.relay = nil
	}
	m.mu.Unlock()
	if last {
		m.release((*seam.Refcount).Unhold)
	}
}

// String implements seam.Core.
func (c *relayCore) String() string { return "relay of " + unbracketed(c.ref.String()) }

// Value implements seam.Core: the reference comes home as itself.
func (c *relayCore) Value() any { return c.ref }

// Hold implements seam.Core.
func (c *relayCore) Hold(*actor.Runtime) {
	m := c.ref.remote
	m.mu.Lock()
	defer m.mu.Unlock()
	if !c.useLocked() {
		c.users++ // Its calls fail.
	}
}

// Release implements seam.Core.
func (c *relayCore) Release() { c.unuse() }

// UsableIn implements seam.Core.
func (c *relayCore) UsableIn(*actor.Runtime) error { return nil }

// Publish implements seam.Core.
func (c *relayCore) Publish(*actor.Runtime) (withdraw func(), err error) {
	c.Hold(nil)
	return c.unuse, nil
}

// WhenOriginEnds implements seam.Relayed.
func (c *relayCore) WhenOriginEnds(f func(gone any)) (cancel func() bool) {
	ref := c.ref
	return ref.NotifyOnDisconnect(func(error) { f(Gone{ref}) })
}

// Undecoded implements seam.Core.
func (c *relayCore) Undecoded(string) (all bool, keeps func(string) bool) { return true, nil }

// Observe implements seam.Core. A reference is no Cacheable, so nobody calls it.
func (c *relayCore) Observe(_ seam.Observer, reply func(*jelly.Fragment, error)) {
	reply(nil, InsecureJelly.Errorf("%v is no Cacheable", c))
}

// Unobserve implements seam.Core.
func (c *relayCore) Unobserve(_ seam.Observer, done func()) {
	if done != nil {
		done()
	}
}

// Deliver implements seam.Core.
func (c *relayCore) Deliver(call seam.Call) {
	inv := invocationOf(call)
	inv.beginPassing()
	c.ref.pass(inv)
}

// passedHole implements seam.Passed.
type passedHole struct {
	core        *relayCore
	perspective any  // that the object is sent under
	gone        bool // see Gone
}

// Export implements seam.Passed.
func (h passedHole) Export() seam.Export {
	return seam.Export{Core: h.core, Prefix: string(PrefixRemote), For: h.perspective, Gone: h.gone}
}

// HoleDone implements jelly.HoleUser.
func (h passedHole) HoleDone() { h.core.unuse() }

// jellyPassed writes a reference to the object of another peer, with a placeholder for the luid.
func (r *RemoteReference) jellyPassed(e *jelly.Encoder, gone bool) error {
	core, err := r.useRelay()
	if err != nil {
		return fmt.Errorf("%v was released before it was sent: %w", r, err)
	}
	class, extras := "", []any(nil)
	if f := r.remote.form.Load(); f != nil {
		class, extras = f.class, f.extras
	}
	hole := passedHole{core, e.Perspective(), gone}
	if err := writeForm(e, class, extras); err != nil {
		core.unuse()
		return err
	}
	e.Hole(hole)
	return nil
}

// Gone is the reference to an object of another peer whose connection has ended. broker.WithOriginEnded gives one to a
// function that sends it to a peer which has the reference: the peer gets the reference once more. Only so is it told
// again, should it have released the reference meanwhile and get it anew from a message that was under way.
type Gone struct{ ref *RemoteReference }

// JellyTo implements [jelly.Jellyable].
func (g Gone) JellyTo(e *jelly.Encoder, _ any) error {
	if !g.ref.isMade() {
		return errNoReference
	}
	return g.ref.jellyPassed(e, true)
}

// beginPassing prepares a call that no object of this side carries out.
func (inv *Invocation) beginPassing() {
	inv.limitTime()
	inv.onAnswer = func(*Invocation) {} // It is carried out when it has been answered.
}

// passNow implements passable.
func (inv *Invocation) passNow(p *pair) (until func(f func())) {
	r := inv.relay.passTo
	to, caller := r.remote.conn, inv.caller
	switch {
	case inv.isTooLate():
		inv.releaseRaw()
		inv.carriedOut()
		return nil
	case inv.notPassed(r.Err()):
		return nil
	case inv.wantsAnswer && inv.conn.Congested():
		return inv.conn.WhenClear
	case !to.HasRoom():
		return to.WhenRoom
	case inv.wantsAnswer && !p.hasShare():
		return p.whenShare
	case !caller.enter():
		inv.releaseRaw()
		inv.dropped()
		return nil
	}
	defer caller.leave()
	call := new(seam.OutgoingCall)
	if err := r.preparePassed(inv, call); err != nil {
		if !inv.notPassed(err) {
			inv.releaseRaw()
			inv.drop(err)
		}
		return nil
	}
	inv.countPassed()
	args, kw := inv.takeRaw() // The answer may come before TryCall returns.
	if inv.wantsAnswer && !inv.awaitPassed(p, call) {
		call.Free()
		releaseRaws(args, kw)
		inv.dropped()
		return nil
	}
	if !to.TryCall(call) {
		inv.passedOn.Store(nil)
		p.end(inv)
		call.Free()
		(*incoming)(inv).setRaw(args, kw)
		return p.whenRoom
	}
	releaseRaws(args, kw) // What they mention is in use until the call has been written, and then held for the other peer.
	if !inv.wantsAnswer {
		inv.reply(nil, nil)
	}
	return nil
}

// awaitPassed has a call answered with what the other peer answers. It is called before that peer gets the call:
// answers go on in the order in which they come. It reports false if the connection of the call has ended.
func (inv *Invocation) awaitPassed(p *pair, call *seam.OutgoingCall) bool {
	call.WantAnswer()
	if !p.begin(inv) {
		return false
	}
	call.Result.OnComplete(func(v any, err error) { inv.answerPassed(p, v, err) })
	inv.passedOn.Store(call.Result)
	if inv.hasExpired() || p.isOver() { // It may have looked for the Result before.
		call.Result.Cancel()
	}
	return true
}

// notPassed gives a call back that cannot be passed on because of err, to a handler that can pass it elsewhere.
func (inv *Invocation) notPassed(err error) bool {
	if !inv.relay.canReturn() || !errors.Is(err, DeadReference) {
		return false
	}
	p := inv.relay.passing
	inv.relay.passing = nil
	p.NotPassed(err)
	return true
}

// preparePassed fills an empty call with a call of another peer.
func (r *RemoteReference) preparePassed(inv *Invocation, call *seam.OutgoingCall) (err error) {
	if err := r.Err(); err != nil {
		return err
	}
	m := r.remote
	if m.conn.TakesMetadata() && (inv.metadata != nil || !inv.deadline.IsZero()) {
		profile := m.conn.JellyContext(nil).Profile
		call.Metadata, call.Entries, err = encodeMetadata(nil, profile, inv.metadata.all(), !inv.deadline.IsZero())
		if err != nil {
			return fmt.Errorf("passing a call of %s on: %w", inv.name(), err)
		}
		call.Deadline, call.Timed = inv.deadline, !inv.deadline.IsZero()
	}
	fragment := m.conn.NewFragment(m.perspective, "")
	if err := inv.encodeArguments(fragment); err != nil {
		fragment.Free()
		return fmt.Errorf("passing a call of %s on: %w", inv.name(), err)
	}
	var target *seam.Refcount
	if m.name == "" {
		if !m.count.Use() {
			fragment.Free()
			return DeadReference.Wrap(ErrReleased)
		}
		target = &m.count
	}
	call.Init(m.conn, target)
	call.ID, call.Name, call.Method, call.Fragment, call.Perspective = m.id, m.name, inv.Method, fragment, m.perspective
	call.Undecoded = true
	return nil
}

// encodeArguments writes the arguments of a call that is passed on. Those of a call on a promise have been decoded.
func (inv *Invocation) encodeArguments(f *jelly.Fragment) error {
	if !inv.relay.isRaw() {
		inv.showArgs()
		if err := inv.bind(nil); err != nil { // They were decoded for an object of this process.
			return err
		}
		return encodeSafely(f, func() error {
			if err := f.JellyTuple(inv.Args); err != nil {
				return err
			}
			return f.JellyDict(inv.Kw)
		})
	}
	if err := f.Raw(inv.relay.rawArgs); err != nil {
		return err
	}
	if inv.relay.rawKw == nil {
		return f.JellyDict(nil)
	}
	return f.Raw(inv.relay.rawKw)
}

// answerPassed answers a call with what the peer has answered that it was passed on to.
func (inv *Invocation) answerPassed(p *pair, v any, err error) {
	defer p.end(inv)
	raw, _ := v.(*jelly.Raw)
	var answered bool
	if err != nil {
		if how := inv.relay.how(); how != nil && how.Failed != nil && !IsRemote(err) {
			err = how.Failed(err)
		}
		answered = inv.fail(passedFailure(err))
	} else {
		answered = inv.Answer(v, nil)
	}
	if !answered && inv.hasExpired() {
		inv.carriedOut()
	}
	if raw != nil {
		releaseHandles(raw)
		raw.Free()
	}
}

// passedFailure returns the error with which a call fails that was passed on: the peer's failure, with its traceback.
func passedFailure(err error) error {
	f, ok := err.(*Failure) //nolint:errorlint // A wrapped one has another text.
	if !ok || !f.remote || f.Traceback == "" || f.Traceback == noTraceback {
		return err
	}
	revealed := *f
	revealed.reveal = true
	return &revealed
}

// sendRaw answers with a value that was not decoded. It may run in the turn of another connection's broker, so it does
// not wait for other answers to be encoded, as [seam.Conn.BeginAnswer] does: bytes are only copied.
func (inv *Invocation) sendRaw(raw *jelly.Raw) {
	if err := inv.conn.AnswerRoom(); err != nil {
		inv.sendFailure(err)
		return
	}
	fragment := inv.newFragment("result")
	if err := fragment.Raw(raw); err != nil {
		fragment.Free()
		inv.sendFailure(err)
		return
	}
	inv.encoded()
	inv.count("")
	inv.conn.SendAnswer((*incoming)(inv), fragment, false)
}

// releaseRaw gives up the arguments of a call that were not decoded.
func (inv *Invocation) releaseRaw() {
	releaseRaws(inv.takeRaw())
}

func releaseRaws(args, kw *jelly.Raw) {
	for _, raw := range [...]*jelly.Raw{args, kw} {
		if raw != nil {
			releaseHandles(raw)
			raw.Free()
		}
	}
}

// releaseHandles gives back the receipts of the handles in a value that was not decoded.
func releaseHandles(raw *jelly.Raw) {
	for v := range raw.Bound() {
		if h, ok := v.(counted); ok {
			h.(seam.Handle).Release()
		}
	}
}

// countPassed counts a call that is passed on.
func (inv *Invocation) countPassed() {
	if inv.series != nil {
		return // It had to wait after all.
	}
	r, p := inv.conn.Figures(), passingOf(inv.conn)
	s := p.series.Load()
	if s == nil || s.Key().Method != inv.Method {
		s = r.Set().In.Handled(figures.Key{Type: passedType, Method: inv.Method})
		p.series.Store(s)
	}
	if inv.series = s; s != nil {
		inv.timed = r.Begin(s, inv.many)
	}
}

// passedType is the type of all objects of other peers in figures.
const passedType = "relay"
