// Package figures counts calls by the type of the object and the method: how many there were, how they ended, and how
// long they took. Package flavors counts the calls of peers with it, package broker those to peers; package broker
// shows the sums.
//
// Counting a call takes two additions to memory that the calls of one connection share, and two more and a look at the
// clock if the call is timed. It allocates nothing once the method has been called over the connection.
package figures
