package netio

import (
	"net"
)

// NonBlocking is a socket that can be read and written without blocking. It has one reader and one writer. The last
// participant in a short exchange thereby writes without waking another goroutine, and reads without parking.
type NonBlocking interface {
	// WriteNow writes what the socket takes at once. It returns n < len(b) and no error when the socket takes no more.
	// It does not know of write deadlines, and must not be called during a Write of the socket.
	WriteNow(b []byte) (n int, err error)
	// Read is net.Conn's Read. When there is nothing to read, it tries again as long as retry returns true, and parks
	// when it returns false. A nil retry parks at once.
	Read(room Room, retry func() bool) (n int, err error)
}

// Room is where a read stores what it reads. A reader that parks holds none.
type Room interface {
	// Take returns room for what comes next.
	Take() []byte
	// Park takes back the room, in which there is nothing.
	Park()
}

// NonBlockingOf returns nil if sock cannot be used without blocking: on systems other than Unix, and for TLS, net.Pipe
// and wrappers of a socket, whose Read and Write must not be bypassed.
func NonBlockingOf(sock net.Conn) NonBlocking {
	switch s := sock.(type) {
	case *net.TCPConn:
		return newNonBlocking(s)
	case *net.UnixConn:
		return newNonBlocking(s)
	}
	return nil
}
