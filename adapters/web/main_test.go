package web_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(run{m}) }

// run runs the tests and then closes the connections that they have left idle.
type run struct{ *testing.M }

func (r run) Run() int {
	defer http.DefaultClient.CloseIdleConnections()
	return r.M.Run()
}
