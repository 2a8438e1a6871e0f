package broker

import "net"

// promptSocket is what some sockets can do besides net.Conn: try, without waiting. Whoever has the last word of a short
// exchange spares itself a goroutine that must be woken to write it, and a sleep from which it must be woken to read
// the next.
type promptSocket interface {
	// writeNow writes what the socket takes at once. Fewer bytes than b has, without an error, say that it takes no more
	// now.
	writeNow(b []byte) (n int, err error)
	// read reads like net.Conn's Read. Before it sleeps it looks again for as long as again allows.
	read(b []byte, again lookAgain) (n int, err error)
}

// promptOf returns nil for sockets that cannot: those of other systems, TLS, net.Pipe, and whatever wraps a socket,
// whose own Write and Read must not be passed by.
func promptOf(sock net.Conn) promptSocket {
	switch s := sock.(type) {
	case *net.TCPConn:
		return promptSocketOf(s)
	case *net.UnixConn:
		return promptSocketOf(s)
	}
	return nil
}
