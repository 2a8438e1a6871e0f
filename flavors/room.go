package flavors

import (
	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// sendValue answers with a value, or with a failure if the value cannot be sent.
func (inv *Invocation) sendValue(v any) (gone bool) {
	conn := inv.conn
	if raw, ok := v.(*jelly.Raw); ok {
		inv.sendRaw(raw)
		return false
	}
	end, err := conn.BeginAnswer()
	if end != nil {
		defer end()
	}
	if err != nil {
		inv.sendFailure(err)
		return false
	}
	fragment := inv.newFragment("result")
	if end == nil {
		fragment.SetRoom((*answerRoom)(inv))
	}
	encoded := false
	defer func() {
		if inv.inRoom {
			inv.inRoom = false
			conn.EndLongAnswer()
		}
		if !encoded { // A StateToCopy ended the goroutine.
			inv.sendFailure(actor.ErrGoexit)
		}
	}()
	if err = jellySafely(fragment, v); err == nil {
		encoded = true
		inv.encoded()
		inv.count("")
		return conn.SendAnswer((*incoming)(inv), fragment, false) && inv.onAnswer == nil
	}
	encoded = true
	fragment.Free()
	if p, ok := err.(*PanicError); ok { //nolint:errorlint // It is what encodeSafely has made.
		p.What = "the code that encodes the result of " + inv.name()
		inv.logPanic(p)
	}
	inv.sendFailure(err)
	return false
}

// answerRoom is an invocation whose answer is being encoded, as jelly.Room.
type answerRoom Invocation

// TakeRoom implements jelly.Room: of the long answers of a connection few are encoded at a time.
func (inv *answerRoom) TakeRoom() error {
	inv.inRoom = true
	return inv.conn.BeginLongAnswer()
}
