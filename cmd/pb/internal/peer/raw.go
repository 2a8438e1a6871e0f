package peer

import (
	"fmt"
	"net"
	"time"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/command"
)

// Raw is a connection on which a check sends and receives single expressions.
type Raw struct {
	Sock    net.Conn
	Profile banana.Profile
	frames  frames
}

// NewRaw returns a connection before its negotiation.
func NewRaw(sock net.Conn) *Raw {
	r := &Raw{Sock: sock}
	r.frames.init(banana.ProfileNone, banana.Limits{})
	return r
}

// Next returns the next expression of the peer.
func (r *Raw) Next(patience time.Duration) (banana.Expr, error) {
	if err := r.Sock.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	frame, err := r.frames.next(r.Sock)
	if err != nil {
		return nil, ended(err)
	}
	e, _, err := banana.DecodeExpr(frame, r.frames.scanner.Profile(), banana.Limits{})
	return e, err
}

// Send writes bytes.
func (r *Raw) Send(b []byte, patience time.Duration) error {
	if err := r.Sock.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := r.Sock.Write(b)
	return err
}

// Offer reads the names of the dialects that the peer offers.
func (r *Raw) Offer(patience time.Duration) ([]string, error) {
	e, err := r.Next(patience)
	if err != nil {
		return nil, err
	}
	list, ok := e.([]banana.Expr)
	if !ok {
		return nil, fmt.Errorf("it sent %s, not a list of dialects", clipText(banana.Format(e)))
	}
	var names []string
	for _, x := range list {
		if name, ok := x.([]byte); ok {
			names = append(names, string(name))
		}
	}
	return names, nil
}

// Choose selects a profile and sends this side's version.
func (r *Raw) Choose(p banana.Profile, patience time.Duration) error {
	r.Profile = p
	r.frames.init(p, banana.Limits{})
	return r.Send(command.AppendVersion(banana.AppendChoice(nil, p), p, command.ProtocolVersion), patience)
}
