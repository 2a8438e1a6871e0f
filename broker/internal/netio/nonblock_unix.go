//go:build unix

package netio

import (
	"io"
	"os"
	"syscall"
)

// rawSocket makes its own system calls. Close works as on the socket itself, and so do deadlines of reads.
type rawSocket struct {
	raw         syscall.RawConn
	read, write rawCall
	tryRead     func(fd uintptr) (done bool) // readOnce, made once, so that a call does not allocate
	tryWrite    func(fd uintptr)             // writeOnce
	retry       func() bool
	room        Room // of the read in progress
}

// rawCall is one system call and its result.
type rawCall struct {
	b   []byte
	n   int
	err error
}

func newNonBlocking(sock syscall.Conn) NonBlocking {
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil
	}
	s := &rawSocket{raw: raw}
	s.tryRead, s.tryWrite = s.readOnce, s.writeOnce
	return s
}

// WriteNow implements NonBlocking. It needs nothing of what Go keeps to wait for a socket, which raw.Write touches.
func (s *rawSocket) WriteNow(b []byte) (int, error) {
	w := &s.write
	w.b = b
	err := s.raw.Control(s.tryWrite)
	w.b = nil
	return w.result("write", err)
}

func (s *rawSocket) writeOnce(fd uintptr) {
	w := &s.write
	w.do(syscall.Write, fd)
	if w.err == syscall.EAGAIN {
		w.n, w.err = 0, nil
	}
}

// Read implements NonBlocking.
func (s *rawSocket) Read(room Room, retry func() bool) (int, error) {
	r := &s.read
	s.room, s.retry = room, retry
	err := s.raw.Read(s.tryRead)
	r.b, s.room, s.retry = nil, nil, nil
	n, err := r.result("read", err)
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

// readOnce is called again whenever the socket becomes readable.
func (s *rawSocket) readOnce(fd uintptr) bool {
	r := &s.read
	r.b = s.room.Take()
	for {
		r.do(syscall.Read, fd)
		if r.err != syscall.EAGAIN {
			return true
		}
		if s.retry == nil || !s.retry() {
			r.b = nil
			s.room.Park()
			return false
		}
	}
}

func (c *rawCall) do(call func(fd int, b []byte) (int, error), fd uintptr) {
	for {
		c.n, c.err = call(int(fd), c.b)
		if c.err != syscall.EINTR {
			return
		}
	}
}

// result returns rawErr if it is not nil: then the call was not made, because the socket is closed or its deadline has
// passed.
func (c *rawCall) result(name string, rawErr error) (int, error) {
	if rawErr != nil {
		return 0, rawErr
	}
	if c.err != nil {
		return 0, os.NewSyscallError(name, c.err)
	}
	return c.n, nil
}
