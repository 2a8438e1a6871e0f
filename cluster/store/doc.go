// Package store is what a cluster keeps in common: a small set of keys that all nodes see, with leases that drop the
// keys of a node that has gone, transactions on conditions, and a watch. NewEtcd keeps it in etcd; NewMemory keeps it
// in the process, for tests and for nodes of one process.
package store
