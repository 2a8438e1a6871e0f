// Package clusters measures calls that pass through a gateway: over a clear connection to another process, and through
// a real cluster of two nodes with mutual TLS between them and an etcd of its own. The processes speak the protocol of
// package child.
package clusters
