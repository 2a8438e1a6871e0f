// Package embedded runs a server of etcd in this process, for a cluster without a separate one: a single server for
// trials and tests, or three, each in a process of its own, that elect a leader.
//
//	server, err := embedded.Start(ctx, embedded.Config{Dir: "/var/lib/rooms"})
//	store, err := cluster.Etcd(clientv3.Config{Endpoints: server.Endpoints()})
//
// With a single server the cluster ends with its process, so let a process that is meant to fail run without one. Who
// can connect to the server can change everything in it: keep its URLs on the loopback interface or in a trusted
// network.
//
// It is a module of its own, because etcd's server brings many packages.
package embedded
