//go:build unix

package main

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// blackHole is a proxy to the master that can drop everything without closing the connections, as a gateway does that
// has lost its state.
type blackHole struct {
	url string
	ln  net.Listener

	mu     sync.Mutex
	lost   chan struct{} // closed to drop the present connections; then replaced
	conns  []net.Conn
	refuse int // number of connections to close at once
}

func newBlackHole(t testing.TB, master string) *blackHole {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := &blackHole{url: "pb://" + ln.Addr().String(), ln: ln, lost: make(chan struct{})}
	address := strings.TrimPrefix(master, "pb://")
	var copying sync.WaitGroup
	copying.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				near.Close()
				continue
			}
			h.mu.Lock()
			if h.refuse > 0 {
				h.refuse--
				h.mu.Unlock()
				near.Close()
				far.Close()
				continue
			}
			lost := h.lost
			h.conns = append(h.conns, near, far)
			h.mu.Unlock()
			copying.Go(func() { carry(near, far, lost) })
			copying.Go(func() { carry(far, near, lost) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		h.mu.Lock()
		for _, c := range h.conns {
			c.Close()
		}
		h.mu.Unlock()
		copying.Wait()
	})
	return h
}

// carry copies one direction. After the loss it discards everything, including the end.
func carry(from, to net.Conn, lost <-chan struct{}) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-lost:
			_, _ = io.Copy(io.Discard, from)
			return
		default:
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			to.Close()
			return
		}
	}
}

// cut closes the present connections, as the end of the master's process does, and the next ones that come, as while it
// restarts.
func (h *blackHole) cut(refuse int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuse = refuse
	for _, c := range h.conns {
		c.Close()
	}
	h.conns = nil
}

// swallow drops the present connections. New ones work.
func (h *blackHole) swallow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.lost)
	h.lost = make(chan struct{})
}
