// Package etcdtest starts etcd servers for tests: real processes on free ports of the loopback, with data that is gone
// when the test ends. Only tests import it.
package etcdtest
