package pbtest

import (
	"net"
	"sync"
)

// PipeListener accepts the connections that a test sends to Conns, usually ends of a net.Pipe.
type PipeListener struct {
	Conns  chan net.Conn
	Closed chan struct{} // closed by Close

	once sync.Once
}

// NewPipeListener returns an open listener.
func NewPipeListener() *PipeListener {
	return &PipeListener{Conns: make(chan net.Conn), Closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *PipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.Conns:
		return c, nil
	case <-l.Closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *PipeListener) Close() error {
	l.once.Do(func() { close(l.Closed) })
	return nil
}

// Addr implements net.Listener.
func (l *PipeListener) Addr() net.Addr { return pipeAddr{} }

// Dial returns the other end of a pipe that the listener accepts.
func (l *PipeListener) Dial() net.Conn {
	here, there := net.Pipe()
	l.Conns <- there
	return here
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
