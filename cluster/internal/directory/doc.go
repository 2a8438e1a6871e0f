// Package directory knows the members of a cluster and which of them owns which shard. It follows the store's keys, so
// that looking something up asks nobody, and keeps the member's own lease.
//
// Keys, behind a prefix:
//
//	m/<node>            a member: address, incarnation, kinds, leaving
//	s/<kind>/<shard>    the owner of a shard of a kind
//
// Both belong to the lease of the member, whose id is the member's incarnation.
//
// # Who owns a shard
//
// The key in the store says so, and nothing else. A member makes the key in a transaction that fails if the key exists
// or if the member's own record is not the one that it has made. A member may use its shards as long as
// [Directory.Admit] holds: until the moment at which the last renewal of its lease was sent, plus four fifths of the
// lease's time. The store drops the keys a whole lease's time after it has received the renewal, and so not before.
// This holds as long as the clocks of the member and of the store run equally fast within a fifth.
package directory
