// Package peer is the client of the command: a connection to any Perspective Broker, which accepts objects of every
// class as data. It calls, follows Cacheables of classes that nobody registered, and exports no objects of its own.
//
// It is not package broker, because a broker accepts only classes that the program has registered, together with their
// kind. Here a class is known only when its first object arrives. The bytes are handled by packages banana and jelly.
package peer
