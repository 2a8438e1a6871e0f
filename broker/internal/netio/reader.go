package netio

import (
	"net"
	"time"
)

// Reader is the reading side of a socket. It polls the socket, if it can be used without blocking, and heeds that the
// socket may linger.
type Reader struct {
	sock     net.Conn
	nonblock NonBlocking // nil if the socket blocks
	poll     *BusyPoll
	linger   *Linger
}

// NewReader returns a reader of sock, which nonblock is another view of, or nil.
func NewReader(sock net.Conn, nonblock NonBlocking, poll *BusyPoll, linger *Linger) *Reader {
	return &Reader{sock, nonblock, poll, linger}
}

// Read reads once.
func (r *Reader) Read(room Room) (int, error) {
	if r.nonblock == nil {
		return r.sock.Read(room.Take())
	}
	return r.poll.Read(r.nonblock, room)
}

// SetReadDeadline sets a deadline, or one that has passed if the socket lingers.
func (r *Reader) SetReadDeadline(t time.Time) error {
	if err := r.sock.SetReadDeadline(t); err != nil {
		return err
	}
	return r.linger.Wake(r.sock)
}

// Lingering reports whether what is read is discarded.
func (r *Reader) Lingering() bool { return r.linger.Active() }
