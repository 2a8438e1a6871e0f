// Package replica has values and maps whose copies at peers follow the original: replicated state without a class of
// one's own. It is built on [flavors.Cacheable], so each side may also be a stock Twisted peer.
//
// The program that owns the state makes a [Map] or a [Value], and a method returns it:
//
//	users := replica.NewMap[string, int]("hub.Users")
//	func (h *Hub) RemoteUsers() *replica.Map[string, int] { return h.users }
//	users.Set("ann", 1)
//
// The other program registers the class for the connection, and follows the map:
//
//	err := replica.RegisterMap[string, int](registry, "hub.Users") // for broker.WithRegistry
//	users, err := replica.FollowMap[string, int](ctx, conn.Root(), "users")
//	n, ok := users.Get("ann")
//	for change := range users.Changes(ctx) { … }
//
// A copy has every update that arrived before the answer of a call. When its connection ends, it keeps its last state
// and is stale: see [RemoteMap.Stale] and [RemoteMap.WhenStale]. After a reconnection, follow the original again.
//
// # On the wire
//
// The class is the name given to NewMap or NewValue. The state of a map is the dictionary {"items": {key: value, …}}.
// Its updates are set(key, value), delete(key) and replace(items). The state of a value is {"value": value}. Its only
// update is set(value). A stock peer follows a map with this class:
//
//	class Users(pb.RemoteCache):
//	    def observe_set(self, key, value): self.items[key] = value
//	    def observe_delete(self, key): self.items.pop(key, None)
//	    def observe_replace(self, items): self.items = items
//
//	pb.setUnjellyableForClass("hub.Users", Users)
//
// and a value with this one:
//
//	class Topic(pb.RemoteCache):
//		def observe_set(self, value): self.value = value
//
//	pb.setUnjellyableForClass("hub.Topic", Topic)
//
// A stock original of the same form (a pb.Cacheable whose getStateToCacheAndObserveFor returns {"items": …} or
// {"value": …}) can be followed by FollowMap or FollowValue.
//
// # Limits
//
// The peer decides how large the copy of a map becomes. [WithMaxEntries] and [WithMaxBytes] limit that. A first state
// beyond a limit fails the call that brought it. An update beyond a limit is refused and makes the copy stale, as does
// one whose key or value is not of the copy's type. The copy of a value is as large as one message at most.
package replica
