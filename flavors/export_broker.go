package flavors

import (
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/seam"
)

// These are for package broker.

// ConnOf returns the connection of a reference.
func (export) ConnOf(r *RemoteReference) seam.Conn { return r.remote.conn }

// NewInvocation makes the message that carries a call to its object. Args has room for some arguments, but none yet.
func (export) NewInvocation() *Invocation { return newInvocation() }

// Incoming returns the part of an invocation that is not for users.
func (export) Incoming(inv *Invocation) seam.Call { return (*incoming)(inv) }

// ReadMetadata reads the metadata of a call, the rest of r, into its invocation to be.
func (export) ReadMetadata(inv *Invocation, r *banana.Reader) error { return inv.readMetadata(r) }

// AppendMetadata writes the metadata of a call: what is left until its deadline, and its entries.
func (export) AppendMetadata(dst []byte, p banana.Profile, call *seam.OutgoingCall) []byte {
	return appendCallMetadata(dst, p, call)
}

// NewCaller makes the caller that a connection itself is.
func (export) NewCaller(conn seam.Conn) seam.Caller { return newCaller(conn) }

// NewUser makes the caller of a user who has logged in over a connection.
func (export) NewUser(conn seam.Conn) seam.Caller { return newUser(conn) }

// CoreOf returns the core of an object, a pointer to a struct that embeds a flavor.
func (export) CoreOf(v any) (seam.Core, error) {
	core, err := coreOf(v)
	if err != nil {
		return nil, err
	}
	return core, nil
}

// ExportOf returns how a value is published, or given as the answer to a login.
func (export) ExportOf(v any) (seam.Export, error) { return exportOf(v) }

// ViewOf makes the view that an export is.
func (export) ViewOf(core seam.Core, prefix string, perspective any) *ViewPoint {
	return &ViewPoint{prefix: Prefix(prefix), perspective: perspective, core: core.(*objectCore)}
}

// NewLoginAnswer prepares an avatar to be sent: a pointer to a struct that embeds a flavor, or a *[ViewPoint].
func (export) NewLoginAnswer(avatar any) (seam.LoginAnswer, error) {
	answer, err := newLoginAnswer(avatar)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// NewObserver makes the observer for an original that is about to be sent.
func (export) NewObserver(conn seam.Conn, hole seam.Cache) seam.Observer {
	o := newObserver(conn, hole.Core, hole.Perspective)
	o.viewer = hole.Viewer
	return (*observer)(o)
}

// NewNamedReference makes a handle for an object that the peer publishes under a name. Such objects are not counted.
func (export) NewNamedReference(conn seam.Conn, name string) *RemoteReference {
	return &RemoteReference{remote: &remote{conn: conn, name: name}}
}

// NewRemoteReference makes a handle for the peer's object luid, with one receipt.
func (export) NewRemoteReference(conn seam.Conn, luid int64, perspective any) *RemoteReference {
	return newRemoteReference(conn, luid, perspective)
}

// Mention returns the luid of a reference that is about to be mentioned, in the turn in which the message is written.
// The error is that of a reference which has been released.
func (export) Mention(r *RemoteReference) (luid int64, err error) {
	m := r.remote
	if !m.count.Use() {
		return 0, DeadReference.Wrap(ErrReleased)
	}
	m.count.Unuse() // A decref that this causes is written in a later turn.
	return m.id, nil
}

// Receive adds a receipt to a handle. It reports false if the handle has been released: then a new one is needed.
func (export) Receive(r *RemoteReference) bool { return r.isMade() && r.remote.count.Receive() }

// Share adds a receipt that the peer has not counted. It reports false if there is nothing to count.
func (export) Share(r *RemoteReference) bool {
	return r.isMade() && r.remote.name == "" && r.remote.count.Share()
}

// Carry sets what the latest mention of a reference carried beside its number.
func (export) Carry(r *RemoteReference, class string, extras []any) { r.remote.carry(class, extras) }

// Weak returns what outlives the handle, for a table that does not keep the handle alive.
func (export) Weak(r *RemoteReference) *remote { return r.remote }

// LocalFailure makes an error of the packages below the exception type as which a peer would see it, so that errors.Is
// finds the same whichever side refused. It returns other errors as they are.
func (export) LocalFailure(err error) error { return localFailure(err) }

// ExceptionOf returns the type of an error as a peer would see it.
func (export) ExceptionOf(err error) string { return failureFor(err, false).Type }

// Intercept returns the interceptors as one function.
func (export) Intercept(interceptors []Interceptor) (CallFunc, error) { return intercept(interceptors) }
