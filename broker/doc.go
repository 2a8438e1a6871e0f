// Package broker implements connections of Perspective Broker. [Listen] publishes objects, [Dial] connects to them, and
// a [Conn] is one connection.
//
//	rt, err := actor.NewRuntime()
//	ln, err := broker.Listen(rt, "pb://127.0.0.1:8800", &Counter{})
//
//	conn, err := broker.Dial(ctx, rt, "pb://127.0.0.1:8800")
//	n, err := flavors.Call[int](ctx, conn.Root(), "incr", 2)
//
// A connection is symmetric: each side can call every object to which it was sent a reference.
//
// # Actors
//
// Each connection has a broker actor. It owns the connection's tables (exports, imports, pending calls), never blocks
// and runs no code of the application. Its children are the decoder, which reads the socket, and
// the encoder, which writes it. If one of the three fails, only its connection ends.
//
// # Order
//
// Calls to one object run in the order in which they were sent. Calls and decrefs that a method sends before it returns
// arrive before the method's answer. Answers are sent as soon as they are ready.
//
// # Login
//
// Without a login every peer gets the root object. [LoginRoot] publishes a portal of package cred instead: a peer that
// logs in gets the avatar that the portal's realm returns. With [IdentityRoot] it gets an identity, which it attaches
// to perspectives of services. Clients log in with [Conn.Login], the other Login methods of Conn and [Conn.Attach]. The
// connection keeps the avatars until [Conn.Logout].
//
// # Transports
//
// pb:// is TCP, pb+unix:// a Unix socket, and pbs:// TLS over TCP, configured by [WithTLS]. [ListenOn] and
// [NewClientConn] use a listener or connection of the caller's. [NewPipeListener] makes both without a network.
//
// # End of a connection
//
// When a connection ends, its pending calls fail with [flavors.ConnectionLost] and later ones with
// [flavors.DeadReference]. Watchers of references receive Terminated. Objects that only this peer referenced lose their
// actors. [Conn.Context] has the cause. [Listener.Shutdown] and closing the runtime answer the calls in progress and
// write the answers before they close connections.
//
// # Security
//
// [Limits] bound what a peer can cost. Input that is not PB closes its connection, with one line in the log. A bad
// value within PB fails its call. Other connections are not affected. All rejected logins get the same error, and
// repeated attempts are slowed down; see docs/security.md.
package broker
