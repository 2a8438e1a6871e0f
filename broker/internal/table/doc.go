// Package table has the tables of a connection: what the peer can mention, what it can be asked for, and which calls it
// has not answered. Each table belongs to one goroutine at a time. The tables do not send and do not log; the broker
// does.
package table
