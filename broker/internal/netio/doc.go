// Package netio holds what a connection needs of its socket: pooled buffers, reads and writes that do not block, busy
// polling, a close that loses no data, deadlines that do not count pauses of the process, and Unix sockets with
// permissions and peer credentials. It knows nothing of the protocol.
package netio
