package systems

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/perspectivebroker/pb/bench/internal/load"
)

// rawTCP measures the cost of TCP itself. A message is a length and that many bytes; the server's goroutine for the
// connection reads a whole message and writes it back. A connection carries one call at a time. The client computes the
// sum from the echo.
func rawTCP() System {
	return System{
		Name:      "rawtcp",
		OneCaller: true,
		Watches:   true,
		Serve:     func() (string, error) { return serveRaw(asItIs) },
		Dial: func(ctx context.Context, addr string) (load.Client, error) {
			return dialRaw(ctx, addr, asItIs)
		},
	}
}

// wrapper changes how a connection is read.
type wrapper func(net.Conn) (net.Conn, error)

func asItIs(conn net.Conn) (net.Conn, error) { return conn, nil }

// rawCall is the payload size of an Add in bytes, about the size of the frame of a PB call.
const rawCall = 28

func serveRaw(wrap wrapper) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	var watchers rawWatchers
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if conn, err = wrap(conn); err != nil {
				return
			}
			go echoRaw(conn, &watchers)
		}
	}()
	return ln.Addr().String(), nil
}

// echoRaw echoes messages until the connection is closed.
func echoRaw(conn net.Conn, watchers *rawWatchers) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	var buf []byte
	for {
		var err error
		if buf, err = readRaw(r, buf); err != nil {
			return
		}
		if watchers.take(conn, buf) {
			continue
		}
		if _, err = conn.Write(buf); err != nil {
			return
		}
	}
}

// readRaw reads one message including its length. It uses buf if that is large enough.
func readRaw(r *bufio.Reader, buf []byte) ([]byte, error) {
	head, err := r.Peek(4)
	if err != nil {
		return buf, err
	}
	size := 4 + int(binary.BigEndian.Uint32(head))
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	_, err = io.ReadFull(r, buf)
	return buf, err
}

func dialRaw(ctx context.Context, addr string, wrap wrapper) (load.Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if conn, err = wrap(conn); err != nil {
		return nil, err
	}
	return &rawClient{Conn: conn, r: bufio.NewReader(conn)}, nil
}

type rawClient struct {
	net.Conn
	r       *bufio.Reader
	in, out []byte
}

// Add implements load.Client.
func (c *rawClient) Add(_ context.Context, a, b int) (int, error) {
	echo, err := c.roundTrip(rawCall, func(p []byte) {
		binary.BigEndian.PutUint64(p, uint64(a))
		binary.BigEndian.PutUint64(p[8:], uint64(b))
	})
	if err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint64(echo) + binary.BigEndian.Uint64(echo[8:])), nil
}

// Echo implements load.Client.
func (c *rawClient) Echo(_ context.Context, payload []byte) ([]byte, error) {
	if _, err := c.Write(binary.BigEndian.AppendUint32(c.out[:0], uint32(len(payload)))); err != nil {
		return nil, err
	}
	if _, err := c.Write(payload); err != nil {
		return nil, err
	}
	return c.answer()
}

func (c *rawClient) roundTrip(size int, fill func([]byte)) ([]byte, error) {
	c.out = append(binary.BigEndian.AppendUint32(c.out[:0], uint32(size)), make([]byte, size)...)
	fill(c.out[4:])
	if _, err := c.Write(c.out); err != nil {
		return nil, err
	}
	return c.answer()
}

func (c *rawClient) answer() ([]byte, error) {
	var err error
	if c.in, err = readRaw(c.r, c.in); err != nil {
		return nil, fmt.Errorf("reading the echo: %w", err)
	}
	return c.in[4:], nil
}
