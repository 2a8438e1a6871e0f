package netio

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// lingerTime is how long a socket is still read after an orderly end while the peer keeps writing. Pauses of the
// process do not count.
const lingerTime = 2 * time.Second

// Linger decides which goroutine closes the socket of a connection that ends in good order. A kernel answers data that
// arrives for a closed socket, or that was not read from it, with a reset, and drops what it has not delivered yet: the
// last answers would be lost. So the writer ends its half of the connection ([CloseWrite]), and the reader discards
// what the peer still sends until the peer closes too or lingerTime passes.
//
// The zero Linger is ready to use.
type Linger struct{ state atomic.Int32 }

const (
	stateReading     int32 = iota
	stateLingering         // the connection has ended; the reader closes the socket
	stateReadingOver       // the reader has ended; Start closes the socket
)

// CloseWrite tells the peer that nothing more will come. It reports whether the socket can do that. It may block.
func CloseWrite(sock net.Conn) bool {
	half, ok := sock.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// Close closes a socket. A panic of its Close method is dropped.
func Close(sock io.Closer) {
	usercode.Do(func() { _ = sock.Close() })
}

// Start leaves the socket to the reader if it still reads, and closes it otherwise.
func (l *Linger) Start(sock net.Conn) {
	if !l.state.CompareAndSwap(stateReading, stateLingering) || l.Wake(sock) != nil {
		Close(sock)
	}
}

// Wake has the reader of a lingering socket end. The reader calls it after each read deadline that it sets, since Start
// may have been called meanwhile.
func (l *Linger) Wake(sock net.Conn) error {
	if !l.Active() {
		return nil
	}
	return sock.SetReadDeadline(time.Now())
}

// ReaderEnded is called by the reader when it ends. If the socket was left to it, it discards what the peer still sends
// and closes the socket.
func (l *Linger) ReaderEnded(sock net.Conn) {
	if l.state.CompareAndSwap(stateReading, stateReadingOver) {
		return
	}
	buf := GetBuffer(SmallBuffer)[:SmallBuffer]
	var waited patience.Count
	for step := waited.Step(lingerTime); step > 0; step = waited.Step(lingerTime) {
		began := time.Now()
		if !discard(sock, buf, began.Add(step)) {
			break
		}
		waited.Add(step, time.Since(began))
	}
	PutBuffer(buf)
	Close(sock)
}

// discard reads until a time, and reports whether the peer may still write.
func discard(sock net.Conn, buf []byte, until time.Time) bool {
	err := sock.SetReadDeadline(until)
	for err == nil {
		_, err = sock.Read(buf)
	}
	return usercode.Is(err, os.ErrDeadlineExceeded)
}

// Active reports whether what is read is discarded.
func (l *Linger) Active() bool { return l.state.Load() == stateLingering }
