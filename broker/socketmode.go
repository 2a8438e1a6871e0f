package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/perspectivebroker/pb/broker/internal/netio"
)

// WithSocketMode sets the permissions of the socket that [Listen] makes for a pb+unix:// URL. To connect, a user needs
// write permission on the socket and search permission on every directory above it (Linux; some systems check only the
// directories). The mode is exact: the umask does not change it, and the socket never has more permissions. Without the
// option the umask decides, as for any other file: with the usual 022 the socket is 0755, and only its owner can
// connect. Twisted's endpoints make it 0666.
//
// Use 0660 to let the group connect, 0600 for the owner alone. Only the server's user should be able to write to the
// directory: a user with write permission there can replace the socket.
func WithSocketMode(mode fs.FileMode) Option {
	return optionFunc(func(o *options) { o.socketMode = &mode })
}

// checkSocketMode reports why the option cannot be used with a network.
func (o *options) checkSocketMode(network string) error {
	switch {
	case o.socketMode == nil:
		return nil
	case network != "unix":
		return errors.New("broker: WithSocketMode is for Listen at a pb+unix:// URL")
	case *o.socketMode != o.socketMode.Perm():
		return fmt.Errorf(
			"broker: WithSocketMode(%v): only the nine bits of permissions can be given, such as 0o660",
			*o.socketMode,
		)
	}
	return nil
}

// listenAt makes the listening socket of an endpoint.
func listenAt(e endpoint, o *options) (net.Listener, error) {
	if e.network == "unix" {
		return netio.ListenUnix(e.address, o.socketMode)
	}
	return net.Listen(e.network, e.address)
}
