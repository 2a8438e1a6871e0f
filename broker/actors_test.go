package broker_test

import (
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// inTurn runs f in an actor's turn and waits for it.
func inTurn(rt *actor.Runtime, pid *protoactor.PID, f func(protoactor.Context)) {
	done := make(chan struct{})
	rt.Root().Send(pid, func(ctx protoactor.Context) { f(ctx); close(done) })
	<-done
}

// receive has the peer send a reference to its object luid.
func receive(t *testing.T, conn *broker.Conn, p *scripted, luid int) *flavors.RemoteReference {
	t.Helper()
	p.Forget("id")
	d := conn.Root().CallRemote("get")
	p.Want(`[message $id root get 1 [tuple] [dictionary]]`)
	p.Write(fmt.Sprintf(`[answer $id [remote %d]]`, luid))
	v, err := result(t, d)
	require.NoError(t, err)
	return v.(*flavors.RemoteReference)
}
