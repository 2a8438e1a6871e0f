package trace

import (
	"bytes"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type list = []banana.Expr

func encode(t testing.TB, e banana.Expr) []byte {
	t.Helper()
	b, err := banana.EncodeExpr(banana.ProfilePB, e)
	require.NoError(t, err)
	return b
}

func message(t testing.TB, id any, method string, answer int) []byte {
	return encode(t, list{"message", id, "root", method, answer, list{"tuple"}, list{"dictionary"}})
}

// clock returns the times of events.
func clock(ms int) time.Time { return time.Date(2024, 1, 2, 3, 4, 5, ms*1_000_000, time.UTC) }

// TestAnswers wants each answer with the method and the time of its own call, in whatever order they come.
func TestAnswers(t *testing.T) {
	huge := new(big.Int).Lsh(big.NewInt(1), 80)
	var out bytes.Buffer
	p := Printer{W: &out}
	event := func(ms int, d Direction, data ...[]byte) {
		require.NoError(t, p.Event(Event{At: clock(ms), Conn: 7, Dir: d, Data: bytes.Join(data, nil)}))
	}
	event(0, ToServer, message(t, 1, "one", 1), message(t, 2, "two", 1), message(t, huge, "huge", 1),
		message(t, 3, "unasked", 0))
	event(1, FromServer, message(t, 1, "back", 1))
	event(4, FromServer, encode(t, list{"answer", huge, "h"}), encode(t, list{"error", 2, "e"}), encode(t,
		list{"answer", 1, 1}))
	event(9, ToServer, encode(t, list{"answer", 1, 1}), encode(t, list{"answer", 1, 1}))
	event(9, FromServer, encode(t, list{"answer", 3, 1}), encode(t, list{"answer", "x", 1}))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var tails []string
	for _, line := range lines[5:] {
		tails = append(tails, line[strings.LastIndex(line, "]")+1:])
	}
	assert.Equal(t, []string{" huge 4ms", " two 4ms", " one 4ms", " back 8ms", "", "", ""}, tails)
	for _, line := range lines {
		assert.Regexp(t, `^03:04:05\.00\d000 7 [<>] \[`, line)
	}
}

// TestEscapeCodes wants nothing of what programs sent to reach the terminal raw.
func TestEscapeCodes(t *testing.T) {
	var out bytes.Buffer
	p := Printer{W: &out}
	evil := "\x1b[2J\r\n\x07"
	for _, data := range [][]byte{
		message(t, 1, evil, 1), encode(t, list{evil, list{evil}}), encode(t, list{"answer", 1, evil}), []byte(evil),
	} {
		require.NoError(t, p.Event(Event{Dir: ToServer, Data: data}))
	}
	require.NoError(t, p.Event(Event{Dir: FromServer, Data: encode(t, list{"answer", 1, evil})}))
	assert.NotContains(t, out.String(), "\x1b")
	assert.NotContains(t, out.String(), "\a")
	assert.Equal(t, 4, strings.Count(out.String(), "\n"), "the last bytes to the server are half a message")
}

func TestBrokenStreams(t *testing.T) {
	text := func(events ...Event) string {
		var out bytes.Buffer
		p := Printer{W: &out}
		for _, e := range events {
			require.NoError(t, p.Event(e))
		}
		return out.String()
	}
	good := message(t, 1, "m", 1)
	assert.Equal(t, "- 0 > <3 bytes are missing; the rest is not shown>\n",
		text(Event{Data: good, Missing: 3}, Event{Data: good}))
	assert.Equal(t, "- 0 > <the stream ends after 5 bytes of a message>\n", text(Event{Data: good[:5], End: true}))
	assert.Contains(t, text(Event{Data: []byte("\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x80")},
		Event{Data: good}), "no Banana")
	assert.Equal(t, 1, strings.Count(text(Event{Data: bytes.Repeat([]byte("GET /"), 50)}, Event{Data: good}), "\n"))
	// A message that is no command of the protocol is shown all the same.
	for _, e := range []banana.Expr{list{}, list{1, 2, 3}, list{"message", 1}, list{"answer"}, list{"message",
		list{}, 1, 2}, 5,
		list{"message", "x", "root", "m", 1, 1, 1}} {
		assert.Equal(t, 1, strings.Count(text(Event{Data: encode(t, e)}), "\n"), "%v", e)
	}
	// Both directions end, and the connection's number begins anew.
	both := []Event{{Data: good, End: true}, {Dir: FromServer, End: true}, {Dir: FromServer, Data: encode(t,
		list{"answer", 1, 1})}}
	assert.NotContains(t, text(both...), "] m")
}

// failing is a writer that fails.
type failing struct{}

var errFull = errors.New("full")

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestWriterFails(t *testing.T) {
	p := Printer{W: failing{}}
	good := message(t, 1, "m", 1)
	require.ErrorIs(t, p.Event(Event{Data: good}), errFull)
	require.ErrorIs(t, p.Event(Event{Data: good, Missing: 1}), errFull)
	require.ErrorIs(t, p.Raw(bytes.NewReader(good)), errFull)
	rec, err := NewRecorder(failing{})
	if err == nil {
		err = rec.Event(Event{Data: good})
	}
	require.ErrorIs(t, err, errFull)
}

// slow gives one byte at a time, and then an error.
type slow struct {
	data []byte
	err  error
}

func (s *slow) Read(b []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, s.err
	}
	b[0], s.data = s.data[0], s.data[1:]
	return 1, nil
}

func TestRaw(t *testing.T) {
	for data, want := range map[string]string{
		string(banana.AppendOffer(nil)):                    `- 1 < ["pb" "none"]` + "\n",
		string(banana.AppendChoice(nil, banana.ProfilePB)): `- 1 > "pb"` + "\n",
		"":     "",
		"\x01": "- 1 > <the stream ends after 1 bytes of a message>\n",
	} {
		var out bytes.Buffer
		p := Printer{W: &out}
		require.NoError(t, p.Raw(&slow{[]byte(data), io.EOF}))
		assert.Equal(t, want, out.String())
	}
	p := Printer{W: io.Discard}
	require.ErrorIs(t, p.Raw(&slow{nil, errFull}), errFull)
}

// TestRecording wants events back as they were recorded, and a recording that was cut told from a whole one.
func TestRecording(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []Event
		for range rapid.IntRange(0, 5).Draw(t, "events") {
			e := Event{
				At: clock(rapid.IntRange(0, 999).Draw(t, "ms")), Conn: rapid.IntRange(1, 1000).Draw(t, "conn"),
				Dir: Direction(rapid.IntRange(0, 1).Draw(t, "dir")), End: rapid.Bool().Draw(t, "end"), Data: []byte{},
			}
			if !e.End {
				e.Data = rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "data")
			}
			events = append(events, e)
		}
		var file bytes.Buffer
		rec, err := NewRecorder(&file)
		require.NoError(t, err)
		for _, e := range events {
			require.NoError(t, rec.Event(e))
		}
		whole := file.Bytes()
		read := func(b []byte) (got []Event, err error) {
			err = Read(bytes.NewReader(b), func(e Event) error { got = append(got, e); return nil })
			return got, err
		}
		got, err := read(whole)
		require.NoError(t, err)
		require.Len(t, got, len(events))
		for i, e := range events {
			require.True(t, e.At.Equal(got[i].At))
			got[i].At = e.At
			require.Equal(t, e, got[i])
		}
		n := rapid.IntRange(0, len(whole)).Draw(t, "cut")
		part, err := read(whole[:n])
		require.LessOrEqual(t, len(part), len(events))
		if n < len(whole) && err == nil {
			require.Less(t, len(part), len(events), "it was cut between two events")
		}
	})
}

func TestDamagedRecording(t *testing.T) {
	var file bytes.Buffer
	rec, err := NewRecorder(&file)
	require.NoError(t, err)
	require.NoError(t, rec.Event(Event{At: clock(0), Conn: 1, Data: []byte("abc")}))
	whole := file.Bytes()
	damaged := func(i int, c ...byte) error {
		b := bytes.Clone(whole)
		copy(b[len(magic)+i:], c)
		return Read(bytes.NewReader(b), func(Event) error { return nil })
	}
	require.ErrorContains(t, damaged(0, '?'), "there is no event '?'")
	require.ErrorContains(t, damaged(10, 0xff, 0xff, 0xff, 0x7f), "an event of ")
	require.ErrorIs(t, Read(strings.NewReader("pb recording 2\n"), nil), ErrNoRecording)
	require.ErrorIs(t, Read(bytes.NewReader(whole), func(Event) error { return errFull }), errFull)
	require.ErrorIs(t, Read(io.MultiReader(strings.NewReader(magic), &slow{nil, errFull}), nil), errFull)
}

// packetOf builds a packet for a capture.
func packetOf(t *testing.T, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, parts...))
	return b.Bytes()
}

// TestOtherProtocols reads a capture in which one connection of several protocols is meant.
func TestOtherProtocols(t *testing.T) {
	const port = 9000
	eth := func(kind layers.EthernetType) *layers.Ethernet {
		return &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: kind}
	}
	ip := func(p layers.IPProtocol) *layers.IPv4 {
		return &layers.IPv4{Version: 4, TTL: 64, Protocol: p, SrcIP: []byte{10, 0, 0, 1}, DstIP: []byte{10, 0, 0, 2}}
	}
	ip6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: make([]byte, 16),
		DstIP: make([]byte, 16)}
	tcp := func(to layers.TCPPort) *layers.TCP { return &layers.TCP{SrcPort: 5000, DstPort: to, Seq: 1, SYN: true} }
	data := func(to layers.TCPPort) *layers.TCP { return &layers.TCP{SrcPort: 5000, DstPort: to, Seq: 2, ACK: true} }
	payload := gopacket.Payload(message(t, 1, "m", 1))
	packets := [][]byte{
		nil,
		[]byte("short"),
		packetOf(t, eth(layers.EthernetTypeARP), gopacket.Payload("who has")),
		packetOf(t, eth(layers.EthernetTypeIPv4), ip(layers.IPProtocolUDP), &layers.UDP{SrcPort: port,
			DstPort: port}, payload),
		packetOf(t, eth(layers.EthernetTypeIPv4), ip(layers.IPProtocolTCP), tcp(80)),
		packetOf(t, eth(layers.EthernetTypeIPv4), ip(layers.IPProtocolTCP), data(80), gopacket.Payload("GET / HTTP/1.1")),
		packetOf(t, eth(layers.EthernetTypeIPv4), ip(layers.IPProtocolTCP), tcp(port)),
		packetOf(t, eth(layers.EthernetTypeIPv4), ip(layers.IPProtocolTCP), data(port), payload),
		packetOf(t, eth(layers.EthernetTypeIPv6), ip6, tcp(port)),
		packetOf(t, eth(layers.EthernetTypeIPv6), ip6, data(port), gopacket.Payload("\x16\x03\x01 TLS")),
	}
	var old, ng bytes.Buffer
	w := pcapgo.NewWriter(&old)
	require.NoError(t, w.WriteFileHeader(65536, layers.LinkTypeEthernet))
	n, err := pcapgo.NewNgWriter(&ng, layers.LinkTypeEthernet)
	require.NoError(t, err)
	for i, p := range packets {
		info := gopacket.CaptureInfo{Timestamp: clock(i), CaptureLength: len(p), Length: len(p)}
		require.NoError(t, w.WritePacket(info, p))
		require.NoError(t, n.WritePacket(info, p))
	}
	require.NoError(t, n.Flush())
	for _, file := range [][]byte{old.Bytes(), ng.Bytes()} {
		var out bytes.Buffer
		p := Printer{W: &out}
		conns, err := ReadCapture(bytes.NewReader(file), port, p.Event)
		require.NoError(t, err)
		assert.Equal(t, 2, conns)
		assert.Contains(t, out.String(), `03:04:05.007000 1 > [message 1 "root" "m" 1 [tuple] [dictionary]]`)
		assert.Contains(t, out.String(), " 2 > <")
		assert.NotContains(t, out.String(), "HTTP")
		_, err = ReadCapture(bytes.NewReader(file), port, func(Event) error { return errFull })
		require.ErrorIs(t, err, errFull)
		_, err = ReadCapture(bytes.NewReader(file[:len(file)-3]), port, p.Event)
		require.Error(t, err)
		conns, err = ReadCapture(bytes.NewReader(file), 1, p.Event)
		require.NoError(t, err)
		assert.Zero(t, conns)
	}
	for _, begin := range []string{"", "GET / HTTP", "\xd4\xc3\xb2\xa1", "\x0a\x0d\x0d\x0a\x00"} {
		_, err := ReadCapture(strings.NewReader(begin), port, nil)
		require.ErrorIs(t, err, ErrNoCapture, "%q", begin)
	}
}

// TestExtendedDialect shows what pb+1 adds, and only if it is the dialect.
func TestExtendedDialect(t *testing.T) {
	offer := encode(t, list{"pb+1", "pb", "none"})
	frames := []struct {
		dir     Direction
		frame   banana.Expr
		pb, pb1 string
	}{
		{ToServer, list{"message", 1, "root", "next", 2, list{"tuple"}, list{"dictionary"}}, "", ""},
		{ToServer, list{"message", 2, list{"promise", 1}, "sum", 1,
			list{"tuple", list{"array", "i4", "\x01\x00\x00\x00\xfe\xff\xff\xff"}, list{"promise", 1}}, list{"dictionary"}},
			`[message 2 ["promise" 1] "sum" 1 [tuple ["array" "i4" "\x01\x00\x00\x00\xfe\xff\xff\xff"] ` +
				`["promise" 1]] [dictionary]]`,
			`[message 2 [promise 1] "sum" 1 [tuple [array i4 1 -2] [promise 1]] [dictionary]]`},
		{FromServer, list{"answer", 2, list{"array", "f8", "\x00\x00\x00\x00\x00\x00\xe0\x3f"}},
			`[answer 2 ["array" "f8" "\x00\x00\x00\x00\x00\x00\xe0?"]] sum`, `[answer 2 [array f8 0.5]] sum`},
		{ToServer, list{"settled", 1}, `["settled" 1]`, `[settled 1]`},
		{ToServer, list{"cancel", 1}, `["cancel" 1]`, `[cancel 1] next`},
		{ToServer, list{"cancel", 7}, `["cancel" 7]`, `[cancel 7]`},
		{FromServer, list{"goaway", "bye\x1b"}, `["goaway" "bye\x1b"]`, `[goaway "bye\x1b"]`},
		{FromServer, list{"array", list{"cancel", "u8"}}, `["array" ["cancel" "u8"]]`, `[array ["cancel" "u8"]]`},
		{FromServer, list{"answer", 3, list{"array", "i8", "1234567"}}, "",
			`[answer 3 [array i8 "1234567"]]`},
		{FromServer, list{"answer", 3, list{"array", "z9", "12345678"}}, "", `[answer 3 [array "z9" "12345678"]]`},
		{FromServer, list{"answer", 3, list{"array", "u8", "\xff\xff\xff\xff\xff\xff\xff\xff"}}, "",
			`[answer 3 [array u8 18446744073709551615]]`},
		{FromServer, list{"answer", 3, list{"array", "f4", "\x00\x00\xc0\x7f\x00\x00\x80\xff"}}, "",
			`[answer 3 [array f4 NaN -Inf]]`},
		{FromServer, list{"answer", 3, list{"array", "i1", ""}}, "", `[answer 3 [array i1]]`},
	}
	for _, choice := range []string{"pb", "pb+1", ""} {
		var out bytes.Buffer
		p := Printer{W: &out}
		require.NoError(t, p.Event(Event{Dir: FromServer, Data: offer}))
		if choice != "" { // Or it was not recorded.
			require.NoError(t, p.Event(Event{Dir: ToServer, Data: encode(t, choice)}))
		}
		for _, f := range frames {
			out.Reset()
			require.NoError(t, p.Event(Event{Dir: f.dir, Data: encode(t, f.frame)}))
			_, text, _ := strings.Cut(strings.TrimSuffix(out.String(), "\n"), f.dir.String()+" ")
			if want := map[string]string{"pb": f.pb, "pb+1": f.pb1}[choice]; want != "" {
				assert.Equal(t, want, text, choice)
			}
		}
		long := encodeLong(strings.Repeat("x", banana.DefaultString+1))
		out.Reset()
		require.NoError(t, p.Event(Event{Dir: ToServer, Data: long}))
		assert.Equal(t, choice != "pb", !strings.Contains(out.String(), "no Banana"))
	}
}

// encodeLong returns a string that stock peers do not take.
func encodeLong(s string) []byte { return append(banana.AppendBytesHead(nil, len(s)), s...) }
