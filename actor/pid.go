package actor

import (
	"reflect"
	"sync/atomic"
	"unsafe"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// processOffset is where a PID remembers its process; 0 if this version of protoactor does not.
var processOffset = func() uintptr {
	f, ok := reflect.TypeFor[protoactor.PID]().FieldByName("p")
	if !ok || f.Type != reflect.TypeFor[*protoactor.Process]() {
		return 0
	}
	return f.Offset
}()

// forgetProcess makes the PID of an actor that has stopped forget its process. The PID would do so itself with the next
// message, but protoactor's lists of children keep PIDs of stopped actors to which nobody sends any more. With them, a
// process, its mailbox and all that the actor held would stay in memory.
func forgetProcess(pid *protoactor.PID) {
	if processOffset != 0 {
		// As PID.ref does it, which other goroutines may be calling.
		atomic.StorePointer((*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(pid), processOffset)), nil)
	}
}
