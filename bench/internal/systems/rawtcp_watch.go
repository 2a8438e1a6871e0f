package systems

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"sync"
)

// The sizes of the messages of fanout, which no echo has.
const (
	rawWatch  = 1
	rawChange = 9
)

// rawWatchers are the connections of a server that watch.
type rawWatchers struct {
	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

// take handles a message of fanout, and reports whether it was one. A change is written to every connection.
func (w *rawWatchers) take(from net.Conn, message []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch len(message) - 4 {
	case rawWatch:
		w.conns = append(w.conns, from)
		_, _ = from.Write(message)
	case rawChange:
		w.conns = slices.DeleteFunc(w.conns, func(conn net.Conn) bool {
			_, err := conn.Write(message)
			return err != nil // The client is gone.
		})
	default:
		return false
	}
	return true
}

// Watch implements Watcher. The connection carries nothing else afterwards.
func (c *rawClient) Watch(_ context.Context, seen func(n int)) error {
	if _, err := c.roundTrip(rawWatch, func([]byte) {}); err != nil {
		return err
	}
	go func() {
		for {
			change, err := c.answer()
			if err != nil {
				return
			}
			seen(int(binary.BigEndian.Uint64(change)))
		}
	}()
	return nil
}

// Change implements Watcher.
func (c *rawClient) Change(_ context.Context, n int) error {
	message := binary.BigEndian.AppendUint32(nil, rawChange)
	_, err := c.Write(append(binary.BigEndian.AppendUint64(message, uint64(n)), 0))
	return err
}
