package interop

import (
	"testing"

	"github.com/perspectivebroker/pb/internal/pbtest"
	"go.uber.org/goleak"
)

var (
	newRuntime = pbtest.NewRuntime
	eventually = pbtest.Eventually
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
