package flavors

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Message calls a method when an actor sends it to the PID of a remote reference. With Send no answer is asked for;
// with Request the sender receives an [Answer].
type Message struct {
	Method string
	Args   []any
	Kw     Kw
}

// Answer is the reply to a [Message] that was sent as a request.
type Answer struct {
	// Value is the method's result as Jelly decoded it; nil if Err is not. See [Answer.Assign].
	Value any
	Err   error
	// From is the PID of the reference, Method the method that was called.
	From   *protoactor.PID
	Method string
}

// Assign converts the answer's value to the type that dst points to, or returns the answer's error.
func (a Answer) Assign(dst any) error {
	if a.Err != nil {
		return a.Err
	}
	return jelly.Assign(dst, a.Value)
}

// PID returns an address for the reference in the actor system: a [Message] sent to it is a call, and actors that watch
// it receive Terminated when the reference is released or its connection ends. PID keeps the reference alive until
// Release, even without other use of the handle. The PID of a dead reference answers a watcher at once.
func (r *RemoteReference) PID() *protoactor.PID {
	if !r.isMade() {
		return nil
	}
	m := r.remote
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process == nil {
		p := &referenceProcess{ref: r, system: m.conn.Runtime().System()}
		// Ids come from the system's own counter and are never used twice.
		p.pid, _ = p.system.ProcessRegistry.Add(p, "pb/reference/"+p.system.ProcessRegistry.NextId())
		p.stopNotify = context.AfterFunc(m.conn.Context(), m.endProcess)
		if m.count.IsReleased() {
			p.endNew()
			return p.pid
		}
		m.process = p
	}
	return m.process.pid
}

// endProcess ends the process with the reference or the connection. The process points to the handle, so remote must
// not keep it: the runtime's cleanup holds what is reachable from remote.
func (m *remote) endProcess() {
	m.mu.Lock()
	process := m.process
	m.process = nil
	m.mu.Unlock()
	if process != nil {
		process.end()
	}
}

// referenceProcess is the reference as a protoactor process. It is no actor: what is sent to it goes to the broker on
// the sender's goroutine.
type referenceProcess struct {
	// Immutable once PID has returned.
	ref        *RemoteReference
	system     *protoactor.ActorSystem
	pid        *protoactor.PID
	stopNotify func() bool

	mu       sync.Mutex
	watchers []*protoactor.PID
	ended    bool
}

// SendUserMessage implements protoactor.Process.
func (p *referenceProcess) SendUserMessage(pid *protoactor.PID, envelope any) {
	_, message, sender := protoactor.UnwrapEnvelope(envelope)
	var m Message
	switch v := message.(type) {
	case Message:
		m = v
	case *Message:
		if v != nil {
			m = *v
		}
	case *protoactor.PoisonPill:
		p.Stop(pid)
		return
	default:
		err := fmt.Errorf("flavors: a remote reference understands flavors.Message, not %T", message)
		usercode.Log(func() { p.ref.remote.conn.Logger().Warn().Err(err).Str("pid", pid.Id).Msg("message refused") })
		p.reply(sender, Answer{Err: err, From: p.pid})
		return
	}
	if p.isEnded() {
		if sender == nil {
			p.system.DeadLetter.SendUserMessage(pid, envelope)
		}
		// A request gets one answer, and the dead letters would send another.
		p.reply(sender, Answer{Err: p.ref.Err(), From: p.pid, Method: m.Method})
		return
	}
	args := m.Args
	if len(m.Kw) > 0 {
		args = append(slices.Clip(args), m.Kw)
	}
	if sender == nil {
		if err := p.ref.CallRemoteNoAnswer(m.Method, args...); err != nil {
			usercode.Log(func() {
				p.ref.remote.conn.Logger().
					Warn().
					Err(err).
					Str("method", m.Method).
					Msg("a message could not be sent to a remote object")
			})
		}
		return
	}
	p.ref.CallRemote(m.Method, args...).OnComplete(func(v any, err error) {
		p.reply(sender, Answer{Value: v, Err: err, From: p.pid, Method: m.Method})
	})
}

func (p *referenceProcess) reply(sender *protoactor.PID, a Answer) {
	if sender != nil {
		p.ref.remote.conn.Runtime().Root().Send(sender, a)
	}
}

// SendSystemMessage implements protoactor.Process.
func (p *referenceProcess) SendSystemMessage(_ *protoactor.PID, message any) {
	switch m := message.(type) {
	case *protoactor.Watch:
		p.mu.Lock()
		if !p.ended {
			p.watchers = append(p.watchers, m.Watcher)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		p.terminated(m.Watcher)
	case *protoactor.Unwatch:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.watchers = slices.DeleteFunc(p.watchers, m.Watcher.Equal)
	case *protoactor.Stop:
		p.Stop(p.pid)
	}
}

// Stop implements protoactor.Process: it releases the reference. A reference to a published object stays good; only the
// PID ends.
func (p *referenceProcess) Stop(*protoactor.PID) {
	m := p.ref.remote
	if m.name != "" {
		m.endProcess()
		return
	}
	m.release((*seam.Refcount).ReleaseAll)
}

func (p *referenceProcess) isEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// endNew ends a process whose PID has not been given out.
func (p *referenceProcess) endNew() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.stopNotify()
	p.system.ProcessRegistry.Remove(p.pid)
}

// end notifies the watchers. PIDs keep pointing to the process, so it goes on answering Watch, and messages become dead
// letters.
func (p *referenceProcess) end() {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	p.ended = true
	watchers := p.watchers
	p.watchers = nil
	p.mu.Unlock()
	p.stopNotify()
	p.system.ProcessRegistry.Remove(p.pid)
	for _, w := range watchers {
		p.terminated(w)
	}
}

func (p *referenceProcess) terminated(watcher *protoactor.PID) {
	if process, ok := p.system.ProcessRegistry.Get(watcher); ok {
		process.SendSystemMessage(watcher, &protoactor.Terminated{Who: p.pid, Why: protoactor.TerminatedReason_Stopped})
	}
}
