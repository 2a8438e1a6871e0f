// Command soak puts a server under a mixed load for minutes and says whether it held: stock Twisted clients and Go peers come and go, call,
// pass references, follow caches, log in and fetch pages, over connections that fail; some are killed, some do not read, some send
// garbage.
//
//	go run ./internal/soak -minutes 10 -seed 7
//
// Every program counts what it did, and checks it against what it knows: each call ends once, calls to one object are run in order and
// once, a copy misses no update, whoever has come to an original leaves it once, every avatar is logged out once. The server is
// watched: its heap after a collection, its resident memory, its goroutines and its actors. The exit code is 1 when something was wrong,
// was lost or grew.
package main
