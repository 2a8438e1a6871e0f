package web_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/internal/wire"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(run{m}) }

// run runs the tests and then closes the connections that they have left idle.
type run struct{ *testing.M }

func (r run) Run() int {
	code := r.M.Run()
	http.DefaultClient.CloseIdleConnections()
	// Goroutines may take longer to end than goleak waits.
	for end := time.Now().Add(wire.Timeout); code == 0 && goleak.Find() != nil && time.Now().Before(end); {
	}
	return code
}
