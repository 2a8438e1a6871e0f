// Package broker carries Perspective Broker over connections: [Listen] publishes an object, [Dial] reaches one, and a
// [Conn] is what stands between.
//
//	rt, err := actor.NewRuntime()
//	ln, err := broker.Listen(rt, "pb://127.0.0.1:8800", &Counter{})
//
//	conn, err := broker.Dial(ctx, rt, "pb://127.0.0.1:8800")
//	n, err := flavors.Call[int](ctx, conn.Root(), "incr", 2)
//
// Both sides are equal once they are connected: whoever has been sent a reference can call it.
//
// # Actors
//
// Each connection has a broker actor, which owns its tables (what the peer may call, what we wait for, what we hold)
// and never waits and never runs the application's code. Its children are the codec actors: the decoder owns a
// goroutine that reads, the encoder writes what has gathered. When one of the three fails the connection ends, and
// nothing else does.
//
// # Order
//
// Calls to one object are carried out in the order in which they were sent. What a method sends before it returns,
// calls and decrefs, the peer sees before the method's answer. Answers come as they are ready.
//
// # Login
//
// Without a login whoever can connect gets the root. [LoginRoot] publishes a portal of package cred instead: what a
// peer then gets is the avatar that the portal's realm makes for it, and with [IdentityRoot] an identity, which it
// attaches to perspectives of services. Clients log in with [Conn.Login], the other Login methods of Conn, and
// [Conn.Attach]; the connection keeps what they give until [Conn.Logout].
//
// # Transports
//
// pb:// is TCP, pb+unix:// a Unix socket, and pbs:// is TCP with TLS, 1.3 at the least, configured by [WithTLS].
// [Serve] and [Client] take a listener and a connection of the caller's own, and [NewPipeListener] makes both without a
// network.
//
// # The end of a connection
//
// When a connection ends, every call that it had under way fails at once with [flavors.ConnectionLost], every later one
// with [flavors.DeadReference]; watchers of references get Terminated; objects that only this peer held lose their
// actors. The cause is that of [Conn.Context]. Closing the runtime ends connections in good order: calls in flight are
// answered and written first.
//
// # Security
//
// What a peer can cost is bounded by [Limits]. What it sends that is no PB closes its connection with one line in the
// log; what it sends within PB that is wrong fails its call. Neither touches other connections. Every login that is
// refused is refused in the same words, and those who guess are slowed down; docs/security.md says who is trusted with
// what.
package broker
