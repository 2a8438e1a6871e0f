package flavors_test

import (
	"errors"

	"github.com/perspectivebroker/pb/internal/pbtest"
)

// The tests observe flavors through a broker, from the other end of a connection: a scripted peer or this module.

var errPlain = errors.New("fall down go boom")

// Short names for helpers of package pbtest.
var (
	newRuntime   = pbtest.NewRuntime
	newServer    = pbtest.NewServer
	visit        = pbtest.Visit
	errorOf      = pbtest.ErrorOf
	client       = pbtest.Client
	receive      = pbtest.Receive
	result       = pbtest.Result
	wantError    = pbtest.WantError
	wantAnyError = pbtest.WantAnyError
)

type scripted = pbtest.Scripted

// stockFailure is the error answer of a stock peer.
const stockFailure = `["twisted.spread.pb.CopyableFailure" [dictionary
	[[unicode type] "pond.Empty"] [[unicode value] [unicode "no ducks"]]
	[[unicode traceback] [unicode "Traceback: unavailable"]]
	[[unicode parents] [list [unicode "pond.Empty"] [unicode "twisted.spread.pb.Error"] [unicode "builtins.Exception"]]]]]`
