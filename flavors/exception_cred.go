package flavors

// The exceptions of Twisted's cred that reach a peer. A refused login is always an UnauthorizedLogin, whatever the
// reason.
var (
	// Unauthorized is the parent of what somebody may not do.
	Unauthorized = NewException("twisted.cred.error.Unauthorized", PlainException)
	// LoginFailed is the parent of failed logins.
	LoginFailed = NewException("twisted.cred.error.LoginFailed", PlainException)
	// UnauthorizedLogin is a login that was refused.
	UnauthorizedLogin = NewException("twisted.cred.error.UnauthorizedLogin", LoginFailed, Unauthorized)
)
