// Package published keeps local copies of a peer's objects from session to session, as twisted.spread.publish does.
//
// A [Publishable] is a Cacheable with an id and a timestamp. Sending it sends these and a reference; a [Remote], the
// copy on the other side, looks its state up in a [Store], and fetches it from the peer only if the store does not have
// it with that timestamp. [Publishable.Republish] changes the timestamp. [Dir] is a store in a directory.
//
// # Security
//
// The id, perspective and service in a [Key] are the peer's choice. Dir encodes them so that each key has a file of its
// own in the directory. A stored state is decoded like a message of a peer, with limits and the class registry. If it
// cannot be decoded, it is fetched again. States are kept only for servers whose identity is known, because another
// peer could otherwise replace them.
package published
