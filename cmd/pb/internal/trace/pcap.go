package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/gopacket/gopacket/tcpassembly"
)

// ErrNoCapture reports a file that is no capture of packets.
var ErrNoCapture = errors.New("this is no capture of packets in the pcap or pcapng format")

// maxPacket is the longest packet of a capture that is read.
const maxPacket = 1 << 18

// The bounds of what waits for missing packets, in pages of about 2 KB.
const (
	maxPages        = 1 << 14
	maxPagesPerConn = 1 << 11
)

// packets is a capture.
type packets interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
}

// IsCapture reports whether a file that begins with these four bytes is a capture.
func IsCapture(begin []byte) bool {
	switch string(begin) {
	case "\xd4\xc3\xb2\xa1", "\xa1\xb2\xc3\xd4", "\x4d\x3c\xb2\xa1", "\xa1\xb2\x3c\x4d", "\x0a\x0d\x0d\x0a":
		return true
	}
	return false
}

// ReadCapture reads a capture and passes on the events of its TCP connections with a server at a port. It reports how
// many there were.
func ReadCapture(from io.Reader, port uint16, f func(Event) error) (conns int, err error) {
	r := bufio.NewReader(from)
	begin, _ := r.Peek(4)
	if !IsCapture(begin) {
		return 0, ErrNoCapture
	}
	var source packets
	var link func(int) layers.LinkType
	if begin[0] == 0x0a {
		ng, err := pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrNoCapture, err)
		}
		source = ng
		link = func(i int) layers.LinkType {
			x, _ := ng.Interface(i) // A packet of an unknown interface has a link type that decodes to nothing.
			return x.LinkType
		}
	} else {
		old, err := pcapgo.NewReader(r)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrNoCapture, err)
		}
		old.SetSnaplen(maxPacket)
		source = old
		link = func(int) layers.LinkType { return old.LinkType() }
	}
	c := &capture{port: layers.TCPPort(port), emit: f}
	return c.read(source, link)
}

// flowKey identifies a connection, from the client to the server.
type flowKey struct {
	net       gopacket.Flow
	transport gopacket.Flow
}

// capture assembles the connections of a capture.
type capture struct {
	port   layers.TCPPort
	emit   func(Event) error
	open   map[flowKey]int
	halves map[int]int // how many directions have ended
	conns  int
	now    time.Time
	err    error
}

func (c *capture) read(source packets, link func(int) layers.LinkType) (int, error) {
	c.open, c.halves = map[flowKey]int{}, map[int]int{}
	a := tcpassembly.NewAssembler(tcpassembly.NewStreamPool(c))
	a.MaxBufferedPagesTotal, a.MaxBufferedPagesPerConnection = maxPages, maxPagesPerConn
	var err error
	for c.err == nil {
		data, info, failed := source.ReadPacketData()
		if failed != nil {
			if !errors.Is(failed, io.EOF) {
				err = fmt.Errorf("the capture is cut or damaged: %w", failed)
			}
			break
		}
		p := gopacket.NewPacket(data, link(info.InterfaceIndex), gopacket.DecodeOptions{Lazy: true, NoCopy: true})
		tcp, ok := p.TransportLayer().(*layers.TCP)
		if !ok || p.NetworkLayer() == nil || tcp.SrcPort != c.port && tcp.DstPort != c.port {
			continue
		}
		a.AssembleWithTimestamp(p.NetworkLayer().NetworkFlow(), tcp, info.Timestamp)
	}
	if c.err == nil {
		a.FlushAll()
	}
	if c.err != nil {
		return c.conns, c.err
	}
	return c.conns, err
}

// New implements tcpassembly.StreamFactory: it begins one direction of a connection.
func (c *capture) New(network, transport gopacket.Flow) tcpassembly.Stream {
	key, dir := flowKey{network, transport}, ToServer
	if transport.Src() == layers.NewTCPPortEndpoint(c.port) {
		key, dir = flowKey{network.Reverse(), transport.Reverse()}, FromServer
	}
	n, ok := c.open[key]
	if !ok {
		c.conns++
		n = c.conns
		c.open[key] = n
	}
	return &half{capture: c, key: key, conn: n, dir: dir}
}

// half is one direction of a connection.
type half struct {
	capture *capture
	key     flowKey
	conn    int
	dir     Direction
}

// Reassembled implements tcpassembly.Stream.
func (h *half) Reassembled(parts []tcpassembly.Reassembly) {
	for _, p := range parts {
		if p.Seen.After(h.capture.now) {
			h.capture.now = p.Seen // A segment that waited for an earlier one is seen with that one.
		}
		if len(p.Bytes) > 0 || p.Skip > 0 {
			h.emit(Event{Data: p.Bytes, Missing: max(p.Skip, 0)})
		}
	}
}

// ReassemblyComplete implements tcpassembly.Stream.
func (h *half) ReassemblyComplete() {
	h.emit(Event{End: true})
	if h.capture.halves[h.conn]++; h.capture.halves[h.conn] == 2 {
		delete(h.capture.halves, h.conn)
		delete(h.capture.open, h.key)
	}
}

func (h *half) emit(e Event) {
	e.Conn, e.Dir, e.At = h.conn, h.dir, h.capture.now
	if h.capture.err == nil {
		h.capture.err = h.capture.emit(e)
	}
}
