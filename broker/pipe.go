package broker

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/perspectivebroker/pb/actor"
)

// PipeListener is a listener that needs no network: who dials it is connected within the process. It is for tests,
// [testing/synctest] among them, and for programs that want to be their own client.
//
//	pipe := broker.NewPipeListener()
//	ln, err := broker.Serve(rt, pipe, root)
//	sock, err := pipe.Dial(ctx)
//	conn, err := broker.Client(ctx, rt, sock)
type PipeListener struct {
	dialed chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewPipeListener makes one that is ready to be dialed, by as many as like to.
func NewPipeListener() *PipeListener {
	return &PipeListener{dialed: make(chan net.Conn), closed: make(chan struct{})}
}

// errNoPipe ends what is asked of a PipeListener that is none; like a closed one, it accepts nothing.
var errNoPipe = fmt.Errorf("broker: the PipeListener is nil, or was not made by NewPipeListener: %w", net.ErrClosed)

// Dial connects to whoever accepts, and waits for that as long as ctx allows. The connection is a net.Pipe: it has no
// buffer.
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
