// Package pb is the root of Perspective Broker for Go, on actors. It holds no code; the packages below it do.
//
// A program holds live references to objects in another program and calls their methods, in both directions, over one
// connection. Objects travel by reference, by copy, or as a cache that follows its original. A login decides what a
// peer gets first, and a peer can reach nothing that it was not given. The protocol is that of Twisted's Perspective
// Broker, version 6, so either end may be an unchanged Twisted program. The runtime is [protoactor-go]: each
// connection, each exported object and each cache is an actor under supervision.
//
// Start with these packages:
//
//   - [github.com/perspectivebroker/pb/broker]: listen, dial, log in, reconnect; one connection and its limits
//   - [github.com/perspectivebroker/pb/flavors]: what an object embeds to be called, copied or cached; remote
//     references
//   - [github.com/perspectivebroker/pb/actor]: the runtime that both need
//   - [github.com/perspectivebroker/pb/cred]: portals, realms and checkers for logins
//
// The packages codec/jelly and codec/banana turn Go values into bytes and back; supervision holds the tree of actors
// and its restart strategies. Most programs use them through the packages above.
//
// [protoactor-go]: https://github.com/asynkron/protoactor-go
package pb
