package broker

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/perspectivebroker/pb/actor"
)

// PipeListener is a listener within the process, without a network. It is for tests, including those that use
// [testing/synctest], and for programs that are their own client.
//
//	pipe := broker.NewPipeListener()
//	ln, err := broker.ListenOn(rt, pipe, root)
//	sock, err := pipe.Dial(ctx)
//	conn, err := broker.NewClientConn(ctx, rt, sock)
type PipeListener struct {
	dialed chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewPipeListener returns a listener that can be dialed any number of times.
func NewPipeListener() *PipeListener {
	return &PipeListener{dialed: make(chan net.Conn), closed: make(chan struct{})}
}

// errNoPipe is the error of a PipeListener that is nil or zero.
var errNoPipe = fmt.Errorf("broker: the PipeListener is nil, or was not made by NewPipeListener: %w", net.ErrClosed)

// Dial waits until the listener accepts the connection, which is a net.Pipe and has no buffer.
func (l *PipeListener) Dial(ctx context.Context) (net.Conn, error) {
	switch {
	case l == nil || l.dialed == nil:
		return nil, errNoPipe
	case ctx == nil:
		return nil, actor.ErrNilContext
	}
	here, there := net.Pipe()
	var err error
	select {
	case l.dialed <- there:
		return here, nil
	case <-l.closed:
		err = &net.OpError{Op: "dial", Net: pipeNetwork, Addr: l.Addr(), Err: net.ErrClosed}
	case <-ctx.Done():
		err = &net.OpError{Op: "dial", Net: pipeNetwork, Addr: l.Addr(), Err: context.Cause(ctx)}
	}
	_ = here.Close()
	_ = there.Close()
	return nil, err
}

// Accept implements net.Listener.
func (l *PipeListener) Accept() (net.Conn, error) {
	if l == nil || l.dialed == nil {
		return nil, errNoPipe
	}
	select {
	case sock := <-l.dialed:
		return sock, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: pipeNetwork, Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close implements net.Listener.
func (l *PipeListener) Close() error {
	if l == nil || l.closed == nil {
		return nil
	}
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (*PipeListener) Addr() net.Addr { return pipeAddress{} }

const pipeNetwork = "pipe"

type pipeAddress struct{}

func (pipeAddress) Network() string { return pipeNetwork }
func (pipeAddress) String() string  { return pipeNetwork }
