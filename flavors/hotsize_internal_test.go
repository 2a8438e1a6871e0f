package flavors

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
)

// TestHotPathSizes bounds what is cleared for every call of a peer: see the test of that name in package broker.
func TestHotPathSizes(t *testing.T) {
	assert.LessOrEqual(t, unsafe.Sizeof(Invocation{}), uintptr(488))
	assert.LessOrEqual(t, unsafe.Sizeof(interception{}), uintptr(88))
}
