//go:build unix

package broker

import (
	"io"
	"os"
	"syscall"
)

// rawSocket reads and writes by system calls of its own. Deadlines and Close are those of the socket. It has one reader
// and one writer: the connection's reading goroutine and its encoder.
type rawSocket struct {
	raw              syscall.RawConn
	reading, writing attempt
	again            lookAgain
}

// attempt is one call of package syscall, and its outcome.
type attempt struct {
	try func(fd uintptr) (over bool) // made once, so that an attempt allocates nothing
	b   []byte
	n   int
	err error
}

func promptSocketOf(sock syscall.Conn) promptSocket {
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil
	}
	s := &rawSocket{raw: raw}
	s.reading.try, s.writing.try = s.tryRead, s.tryWrite
	return s
}

// writeNow implements promptSocket.
func (s *rawSocket) writeNow(b []byte) (int, error) {
	w := &s.writing
	w.b = b
	err := s.raw.Write(w.try)
	w.b = nil
	return w.result("write", err)
}

func (s *rawSocket) tryWrite(fd uintptr) bool {
	w := &s.writing
	w.do(syscall.Write, fd)
	if w.err == syscall.EAGAIN {
		w.n, w.err = 0, nil
	}
	return true
}

// read implements promptSocket.
func (s *rawSocket) read(b []byte, again lookAgain) (int, error) {
	r := &s.reading
	r.b, s.again = b, again
	err := s.raw.Read(r.try)
	r.b, s.again = nil, nil
	n, err := r.result("read", err)
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

// tryRead is called again when there is something to read.
func (s *rawSocket) tryRead(fd uintptr) bool {
	r := &s.reading
	for {
		r.do(syscall.Read, fd)
		if r.err != syscall.EAGAIN {
			return true
		}
		if s.again == nil || !s.again() {
			return false
		}
	}
}

func (a *attempt) do(call func(fd int, b []byte) (int, error), fd uintptr) {
	for {
		a.n, a.err = call(int(fd), a.b)
		if a.err != syscall.EINTR {
			return
		}
	}
}

// result is that of the attempt, unless there was none, for a reason that is the socket's.
func (a *attempt) result(name string, socket error) (int, error) {
	if socket != nil {
		return 0, socket
	}
	if a.err != nil {
		return 0, os.NewSyscallError(name, a.err)
	}
	return a.n, nil
}
