// Package scenarios tests a cluster as its users see it: real processes of examples/rooms, a real etcd, and users
// on stock Twisted at the gateways. The tests kill and stop processes, cut them off from each other, and compare
// what the users saw and what the rooms logged with the promises of the cluster, by package history.
//
// The tests take two minutes. TestSoak runs random faults for as long as PB_SOAK_MINUTES says; see make soak-cluster.
package scenarios
