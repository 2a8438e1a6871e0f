package flavors

// The exceptions of Python that Go programs have a use for. The first is what any Go error becomes that says nothing
// else of its type.
var (
	PlainException = &Exception{
		name:    "builtins.Exception",
		parents: []string{"builtins.Exception", "builtins.BaseException", pythonObject},
	}
	BaseException = &Exception{
		name:    "builtins.BaseException",
		parents: []string{"builtins.BaseException", pythonObject},
	}
	TypeError           = NewException("builtins.TypeError", PlainException)
	ValueError          = NewException("builtins.ValueError", PlainException)
	AttributeError      = NewException("builtins.AttributeError", PlainException)
	LookupError         = NewException("builtins.LookupError", PlainException)
	KeyError            = NewException("builtins.KeyError", LookupError)
	IndexError          = NewException("builtins.IndexError", LookupError)
	RuntimeError        = NewException("builtins.RuntimeError", PlainException)
	NotImplementedError = NewException("builtins.NotImplementedError", RuntimeError)
)

// Twisted's own, under the names its programs trap them by.
var (
	// PBError is the one that services derive their expected errors from: Twisted logs no traceback for it.
	PBError = NewException("twisted.spread.pb.Error", PlainException)
	// ProtocolError is the fault of a peer that breaks the protocol.
	ProtocolError = NewException("twisted.spread.pb.ProtocolError", PlainException)
	// DeadReference fails a call on a reference that is no longer good: released, or its connection is gone.
	DeadReference = NewException("twisted.spread.pb.DeadReferenceError", ProtocolError)
	// ConnectionLost fails a call whose connection died before the answer came.
	ConnectionLost = NewException("twisted.spread.pb.PBConnectionLost", PlainException)
	// NoSuchMethod fails a call of a method that the object does not publish.
	NoSuchMethod = NewException("twisted.spread.flavors.NoSuchMethod", AttributeError)
	// InsecureJelly refuses a value whose type or class was not allowed in, or that cannot be sent.
	InsecureJelly = NewException("twisted.spread.jelly.InsecureJelly", PlainException)
	// BananaError refuses what is too large for the wire.
	BananaError = NewException("twisted.spread.banana.BananaError", PlainException)
	// Cancelled is the failure of what was given up, and of a context.Canceled.
	Cancelled = NewException("twisted.internet.defer.CancelledError", PlainException)
	// TimedOut is the failure of what took too long, and of a context.DeadlineExceeded.
	TimedOut = NewException("twisted.internet.defer.TimeoutError", PlainException)
)

// knownParents finds the parents of a type that is named without them. A type nobody knows is taken for a plain
// exception.
func knownParents(name string) []string {
	for _, x := range []*Exception{
		PlainException, BaseException, TypeError, ValueError, AttributeError, LookupError, KeyError, IndexError, RuntimeError,
		NotImplementedError, PBError, ProtocolError, DeadReference, ConnectionLost, NoSuchMethod, InsecureJelly, BananaError,
		Cancelled, TimedOut, ErrObjectStopped,
	} {
		if x.name == name {
			return x.parents
		}
	}
	return append([]string{name}, PlainException.parents...)
}
