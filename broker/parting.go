package broker

import (
	"sync/atomic"
	"time"
)

// lingerTime is how long a socket is still read after a good end, when the peer goes on writing.
const lingerTime = 2 * time.Second

// parting says who closes the socket of a connection that ends in good order. A kernel answers what comes for a closed
// socket, or was not read from it, with a reset, and forgets what it has still to deliver: the last answers would be
// lost. So the encoder says that nothing more will come, and what the peer still sends is read and dropped until it has
// closed, too, or lingerTime has passed.
type parting struct{ state atomic.Int32 }

const (
	stillReading int32 = iota
	lingering          // the broker has left; who reads closes the socket
	readingOver        // who reads has left; the broker closes it
)

// closeWrite tells the peer that nothing more will come, where the socket can. It is called in the encoder's turn,
// since it may have to wait.
func (c *Conn) closeWrite() (can bool) {
	half, ok := c.sock.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// part leaves the socket to the goroutine that reads, if it does; otherwise it closes it.
func (c *Conn) part() {
	if !c.parting.state.CompareAndSwap(stillReading, lingering) || c.hurryUp() != nil {
		closeSocket(c.sock)
	}
}

// hurryUp bounds what is left to be read. Who reads sets deadlines of its own; it calls this behind each, for the
// broker may have left meanwhile.
func (c *Conn) hurryUp() error {
	if !c.isParting() {
		return nil
	}
	return c.sock.SetReadDeadline(time.Now().Add(lingerTime))
}

// partReading is the end of the goroutine that reads, which takes care of the socket if the broker has left it.
func (c *Conn) partReading() {
	if c.parting.state.CompareAndSwap(stillReading, readingOver) {
		return
	}
	buf := takeBuffer(readBuffer)[:readBuffer]
	for {
		if _, err := c.sock.Read(buf); err != nil {
			break
		}
	}
	giveBuffer(buf)
	closeSocket(c.sock)
}

// isParting says that what is read is of no use any more.
func (c *Conn) isParting() bool { return c.parting.state.Load() == lingering }
