package cluster

import (
	"errors"

	"github.com/perspectivebroker/pb/flavors"
)

// passOn passes a call on to another node. If the link has ended before the call could be given to it, otherwise is
// called.
func passOn(inv *flavors.Invocation, ref *flavors.RemoteReference, otherwise func(cause error)) {
	inv.PassTo(ref, flavors.Passing{NotPassed: otherwise, Failed: func(err error) error {
		if errors.Is(err, flavors.DeadReference) { // It was not sent.
			return Unavailable.Wrap(err)
		}
		return err
	}})
}
