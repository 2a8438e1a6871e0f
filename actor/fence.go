package actor

import (
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// SendFence has f run in a turn of the actor at pid, behind the user messages that were sent to it before. It is how
// the sender of a message learns that the actor has finished with it, whatever became of its handler. f does not run if
// the actor stops first; it must not wait.
//
// Actors made from [Runtime.Props] do not see the message. Others get an opaque one, which they should ignore as any
// message that they do not know.
func (rt *Runtime) SendFence(pid *protoactor.PID, f func()) {
	if pid == nil || f == nil || rt.Check() != nil {
		return
	}
	rt.root.RequestWithCustomSender(pid, &fence{rt: rt, f: f}, rt.discard)
}

// fence travels as a user message: upstream calls GetAutoResponse, in the turn, after the actor had a look at it.
type fence struct {
	rt *Runtime
	f  func()
}

var (
	_ protoactor.AutoRespond             = (*fence)(nil)
	_ protoactor.IgnoreDeadLetterLogging = (*fence)(nil)
)

// GetAutoResponse implements protoactor.AutoRespond. The response goes to the discarding process.
func (m *fence) GetAutoResponse(protoactor.Context) any {
	if p := usercode.Do(m.f); p != nil {
		m.rt.logFunction("a function given to SendFence panicked", p)
	}
	return nil
}

// IgnoreDeadLetterLogging implements protoactor.IgnoreDeadLetterLogging: nobody misses a fence.
func (*fence) IgnoreDeadLetterLogging() {}

// Drop implements Droppable.
func (*fence) Drop(error) {}
