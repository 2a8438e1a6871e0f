//go:build !linux

package netio

import (
	"errors"
	"net"

	"github.com/perspectivebroker/pb/cred"
)

// UnixPeer always fails on this system.
func UnixPeer(net.Conn) (cred.UnixPeer, error) {
	return cred.UnixPeer{}, errors.New("broker: this system does not name the peer of a Unix socket")
}
