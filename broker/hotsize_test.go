package broker

import (
	"testing"
	"unsafe"

	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/stretchr/testify/assert"
)

// TestHotPathSizes bounds what is cleared and copied for every call. With many callers a call touches all of this once,
// so each cache line shows in its CPU time. State that few calls need belongs behind one pointer. Raise a bound only
// with a row in docs/performance.md that says what it costs.
func TestHotPathSizes(t *testing.T) {
	assert.LessOrEqual(t, unsafe.Sizeof(incoming{}), uintptr(288))
	assert.LessOrEqual(t, unsafe.Sizeof(delivery{}), uintptr(88))
	assert.LessOrEqual(t, unsafe.Sizeof(seam.IncomingCall{}), uintptr(232))
	assert.LessOrEqual(t, unsafe.Sizeof(seam.OutgoingCall{}), uintptr(368))
}
