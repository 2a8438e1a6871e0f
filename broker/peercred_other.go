//go:build !linux

package broker

import (
	"errors"
	"net"

	"github.com/perspectivebroker/pb/cred"
)

// unixPeer is not to be had here.
func unixPeer(net.Conn) (cred.UnixPeer, error) {
	return cred.UnixPeer{}, errors.New("broker: this system does not say who is at the other end of a Unix socket")
}
