package actor

import (
	"errors"
	"strconv"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// eventStreamName is the name of the only process that protoactor registers before NewActorSystem returns.
const eventStreamName = "eventstream"

// errRegistry is the error of an adopted system that would panic.
var errRegistry = errors.New("actor: the actor system cannot be used on a 32-bit machine: protoactor computes a " +
	"negative index for every second name of an actor; use NewRuntime, which makes a system without that fault")

// is32Bit reports whether an int has 32 bits.
const is32Bit = strconv.IntSize == 32

// repairRegistry leaves a new system on a 32-bit machine a registry of one bucket. With more, protoactor panics there
// for every second name: it takes the remainder of a hash that may be negative. A bucket has 32 maps with a lock each.
func repairRegistry(system *protoactor.ActorSystem, is32Bit bool) {
	if !is32Bit {
		return
	}
	registry := system.ProcessRegistry
	buckets := registry.LocalPIDs.LocalPIDs
	for _, bucket := range buckets {
		if stream, ok := bucket.Pop(eventStreamName); ok {
			registry.LocalPIDs.LocalPIDs = buckets[:1:1]
			registry.Add(stream.(protoactor.Process), eventStreamName)
			return
		}
	}
}

// checkRegistry reports whether the registry of an adopted system works.
func checkRegistry(system *protoactor.ActorSystem, is32Bit bool) error {
	if is32Bit && len(system.ProcessRegistry.LocalPIDs.LocalPIDs) > 1 {
		return errRegistry
	}
	return nil
}
