// Package cluster places objects on the nodes of a cluster. A client connects to any node, with any Perspective
// Broker, and gets references to objects that live on any other.
//
//	node, err := cluster.Join(ctx, rt, cluster.Options{Listen: "pbs://10.0.0.1:7000", TLS: config, Store: etcd})
//	err = node.Kind("room", func(id string) *Room { return &Room{id: id} }, cluster.IdleAfter(10*time.Minute))
//	lobby := node.Get("room", "lobby")
//	n, err := flavors.Call[int](ctx, lobby, "incr", 2)
//
// # Placed objects
//
// A placed object has a kind and an id. [Node.Get] returns a reference to it, a [Ref], and asks nobody. The first call
// activates the object on one node: the factory of its kind makes it, and loads what it needs. The cluster never has
// two activations of an object at the same time. An activation ends when its kind's idle time is over, when its node
// leaves, when another node should have it, and with its node. The next call activates the object again.
//
// # What is promised
//
// A call is carried out at most once. It is never sent again once it has been given to a connection. If a call fails
// with [Unavailable] it was not carried out; if it fails with [NodeLost] nobody knows. Calls of one connection to one
// object are carried out in the order in which they were made.
//
// # Security
//
// Nodes know each other by certificates of an authority that serves nodes alone: whoever has such a certificate is
// trusted with everything. Clients do not need one; they connect to the listeners of the application.
package cluster
