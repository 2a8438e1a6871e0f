package flavors

import "github.com/perspectivebroker/pb/codec/jelly"

// What follows is for package broker, like the other exported names that speak of cores, holes and invocations being made.

// CopyableFailureClass is the class under which failures travel.
const CopyableFailureClass = "twisted.spread.pb.CopyableFailure"

// FailureFrom makes an error of what the peer sent as one: the instance that Jelly left unbound, or any other value.
func FailureFrom(v any) *Failure {
	if u, ok := v.(*jelly.Unbound); ok {
		f, err := failureFromState(u.Tag, u.State)
		if err != nil {
			return failureFromValue(err.Error())
		}
		return f
	}
	return failureFromValue(v)
}

// SendUnsendable replaces an answer that turned out to be unsendable when the broker came to stamp it, after the method had
// returned.
func (inv *Invocation) SendUnsendable(err error) {
	inv.sendFailure(err)
}

// String names the object in logs.
func (c *Core) String() string { return c.typeName() }
