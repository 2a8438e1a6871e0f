// Package flow bounds what a peer can make this process hold: one memory budget for each runtime with an account for
// each connection, the buffers on either side of a connection, and the number of answers that are encoded at a time. It
// knows nothing of the protocol.
package flow
