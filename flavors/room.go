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
	var err error
	inv.limited, err = conn.BeginAnswer(false)
	defer func() {
		if inv.limited {
			inv.limited = false
			conn.EndAnswer()
		}
	}()
	if err != nil {
		inv.sendFailure(err)
		return false
	}
	fragment := inv.newFragment("result")
	if !inv.limited {
		fragment.SetRoom((*answerRoom)(inv))
	}
	encoded := false
	defer func() {
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
func (inv *answerRoom) TakeRoom() (err error) {
	inv.limited, err = inv.conn.BeginAnswer(true)
	return err
}
