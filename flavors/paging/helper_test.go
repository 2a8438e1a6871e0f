package paging_test

import (
	"testing"

	"github.com/perspectivebroker/pb/internal/pbtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Short names for helpers of package pbtest.
var (
	newServer = pbtest.NewServer
	errorOf   = pbtest.ErrorOf
	visit     = pbtest.Visit
)
