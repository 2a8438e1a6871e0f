// Package inspect shows a running program over HTTP: its connections, the methods that are called, its objects and
// actors, and what was refused or has failed.
//
//	http.Handle("/debug/pb/", inspect.Handler(rt)) // in a server of the application's own
//	server, err := inspect.Listen(rt, "127.0.0.1:8801")
//
// The handler has a page that follows the program live, the same as data at json, and metrics for Prometheus at
// metrics. [Snapshot] documents the data.
//
// # Where to mount it
//
// The inspector shows who is connected, with addresses and the names of users, and which methods they call. It shows no
// arguments, no results, no texts of exceptions and no secrets, and nothing can be changed through it. It is meant for
// the people who operate the program, and it has no login of its own. So mount it
//
//   - on a loopback address, with [Listen], or
//   - behind the authentication of the application, for example in a mux whose handlers have all been checked.
//
// A web page in a browser on the same machine can send requests to a loopback address. Listen therefore answers only
// requests whose Host is an IP address or localhost, which a page of another site cannot forge. A program that mounts
// the Handler on a loopback address itself should check this too.
//
// # Cost
//
// Nothing runs while nobody looks. A snapshot visits all connections, and at most 10,000 objects. It is shared by all
// who look. Its lists are limited to what is busiest. Connections go on while it is taken, and snapshots take at most a
// fifth of one processor, however often they are requested.
//
// At most 16 browsers follow at a time. One that does not read is dropped after five seconds.
package inspect
