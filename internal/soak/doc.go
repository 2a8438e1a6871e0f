// Command soak puts a mixed load on a server for some minutes and checks that nothing is lost or leaks. Stock Twisted
// clients and Go peers connect and disconnect, make calls, pass references, follow caches, log in and read pages, over
// connections that fail. Some are killed, some do not read, some send garbage.
//
//	go run ./internal/soak -minutes 10 -seed 7
//
// Every process counts what it does and checks what it can: each call ends exactly once, calls of one object run in
// order and at most once, a copy misses no update, each observer is removed once, each avatar is logged out once. The
// parent process samples the server's heap after a collection, its resident memory, goroutines and actors. The exit
// status is 1 if a check failed or one of these grew.
package main
