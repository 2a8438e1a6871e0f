package flavors_test

import (
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/broker"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

func TestParkedCallsOfStoppedObject(t *testing.T) {
	s := newServer(t, newLab(), broker.WithLimits(broker.Limits{MaxWriteBacklog: 1}))
	p := s.Peer()
	luid := get(t, p, 1, "given")
	id := actorOf(t, p, 2, luid)
	var texts []string
	for i := range 30 { // Of these the first fill what may wait.
		texts = append(texts, fmt.Sprintf(`[message %d %d incr 1 [tuple] [dictionary]]`, 10+i, luid))
	}
	texts = append(texts, fmt.Sprintf(`[message 40 %d boom 0 [tuple] [dictionary]]`, luid))
	p.Write(texts...)
	for i := range 10 {
		p.Want(fmt.Sprintf(`[answer %d %d]`, 10+i, i+1))
	}
	s.Runtime.Root().Stop(protoactor.NewPID(s.Runtime.System().Address(), id))
	for i := range 20 {
		p.Want(fmt.Sprintf(`[_ %d _]`, 20+i))
	}
}
