package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/perspectivebroker/pb/cmd/pb/internal/trace"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startTap runs a tap in front of a URL and returns it with its own URL.
func startTap(t *testing.T, args ...string) (*running, string) {
	t.Helper()
	r := start(t, append([]string{"tap", "-listen", "pb://127.0.0.1:0"}, args...)...)
	return r, strings.TrimPrefix(r.errors.line(t, "listening "), "listening ")
}

// rest returns the lines that a program has printed since, after its end.
func (w *watched) rest() []string {
	var lines []string
	for {
		select {
		case line := <-w.lines:
			lines = append(lines, line)
		default:
			return lines
		}
	}
}

func TestTap(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "recording")
			tap, url := startTap(t, "-to", s.url, "-w", file)
			assert.Equal(t, "3\n", pb(t, "call", url, "add", "1", "2").out)
			assert.Equal(t, statusFailed, pb(t, "call", url, "nothing", "\x1b[2J").status)
			assert.Equal(t, 0, tap.interrupt())
			lines := tap.out.rest()
			require.NotEmpty(t, lines)

			text := strings.Join(lines, "\n") + "\n"
			stamp := `\d\d:\d\d:\d\d\.\d{6} `
			for _, want := range []string{
				`1 < \[("pb\+1" )?"pb" "none"\]`, `1 > "pb"`, `1 > \[version 6\]`, `1 < \[version 6\]`,
				`1 > \[message 1 "root" "add" 1 \[tuple 1 2\] \[dictionary\]\]`,
				`1 < \[answer 1 3\] add [0-9.]+(µs|ms|s)`,
				`2 < \[error 1 \["twisted\.spread\.pb\.CopyableFailure" .*\] nothing [0-9.]+(µs|ms|s)`,
			} {
				assert.Regexp(t, `(?m)^`+stamp+want+`$`, text)
			}
			assert.NotContains(t, text, "\x1b")

			decoded := pb(t, "decode", file)
			assert.Equal(t, result{0, text, ""}, decoded)
			info, err := os.Stat(file)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			cutRecording(t, file, text)
		})
	}
}

// cutRecording cuts a recording at every byte: what is whole is printed, and the status tells.
func cutRecording(t *testing.T, file, text string) {
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	for n := range len(whole) {
		var out bytes.Buffer
		p := trace.Printer{W: &out}
		err := trace.Read(bytes.NewReader(whole[:n]), p.Event)
		assert.True(t, strings.HasPrefix(text, out.String()), "at %d", n)
		if err != nil && n >= 15 {
			assert.ErrorIs(t, err, trace.ErrCut)
		}
	}
	require.NoError(t, os.WriteFile(file, whole[:len(whole)-1], 0o600))
	r := pb(t, "decode", file)
	assert.Equal(t, statusFailed, r.status)
	assert.Contains(t, r.errors, "cut")
}

// TestTapClock checks that a recording can hold the times of a tap whole. When they had a monotonic part, the tap
// printed durations that pb decode printed otherwise, on a machine whose clock was being set.
func TestTapClock(t *testing.T) {
	tap := newTap()
	before := time.Now()
	at := tap.now()
	assert.Equal(t, at.Round(0), at)
	assert.WithinDuration(t, before, at, stock.Timeout)
	for range 1000 {
		next := tap.now()
		require.False(t, next.Before(at), "the clock goes back")
		at = next
	}
}

// TestTapUnchanged passes bytes on that are no Perspective Broker, in both directions, and half-closes.
func TestTapUnchanged(t *testing.T) {
	echo := fakePeer(t, func(sock net.Conn) {
		_, _ = io.Copy(sock, sock)
		sock.Close()
	})
	tap, url := startTap(t, "-to", echo)
	sock, err := net.Dial("tcp", strings.TrimPrefix(url, "pb://"))
	require.NoError(t, err)
	defer sock.Close()
	sent := bytes.Repeat([]byte("\x1b[2J not banana \x00\xff"), 20_000)
	go func() {
		_, _ = sock.Write(sent)
		_ = sock.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(sock)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(sent, got))
	assert.Equal(t, 0, tap.interrupt())
	lines := tap.out.rest()
	require.Len(t, lines, 2)
	for _, line := range lines {
		assert.Contains(t, line, "<no Banana: ")
		assert.NotContains(t, line, "\x1b")
	}
}

func TestTapTLS(t *testing.T) {
	a := authority.New(t)
	dir := t.TempDir()
	cert, key, ca := a.Files(a.Issue("server", nil))
	s := stockServer(t, "--cert", cert, "--key", key)
	tap, url := startTap(t, "-ca", ca, "-to", "pbs"+strings.TrimPrefix(s.url, "pb"))
	assert.Equal(t, "3\n", pb(t, "call", url, "add", "1", "2").out)
	assert.Equal(t, 0, tap.interrupt())
	assert.Contains(t, strings.Join(tap.out.rest(), "\n"), "[answer 1 3] add ")
	socket := "pb+unix://" + filepath.Join(dir, "tap")
	r := start(t, "tap", "-listen", socket, "-to", "pbs"+strings.TrimPrefix(s.url, "pb"), "-ca", ca)
	r.errors.line(t, "listening "+socket)
	assert.Equal(t, "4\n", pb(t, "call", socket, "add", "2", "2").out)
	assert.Equal(t, 0, r.interrupt())
}

func TestTapUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"-listen", "pb://127.0.0.1:0"}, {"-listen", "x", "-to", "pb://h:1"}, {"-listen", "pb://h:1", "-to", "x"},
		{"-listen", "pbs://127.0.0.1:0", "-to", "pb://h:1"}, {"-listen", "pb://127.0.0.1:0", "-to", "pb://h:1", "more"},
		{"-listen", "pb://127.0.0.1:0", "-to", "pb://h:1", "-w", "/does/not/exist"},
	} {
		r := pb(t, append([]string{"tap"}, args...)...)
		assert.Equal(t, statusUsage, r.status, "%q: %s", args, r.errors)
	}
}

// conversation is what two programs say: the server's part and the client's.
func conversation(t *testing.T) (server, client []byte) {
	server = append(offer(), version6()...)
	server = append(server, expr(t, list{"answer", 1, 3})...)
	client = append(banana.AppendChoice(nil, banana.ProfilePB), version6()...)
	return server, append(client, expr(t, list{"message", 1, "root", "add", 1, list{"tuple", 1}, list{"dictionary"}})...)
}

func TestDecodeRaw(t *testing.T) {
	server, client := conversation(t)
	dir := t.TempDir()
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"server": {server, "- 1 < [\"pb\" \"none\"]\n- 1 < [version 6]\n- 1 < [answer 1 3]\n"},
		"client": {
			client, "- 1 > \"pb\"\n- 1 > [version 6]\n- 1 > [message 1 \"root\" \"add\" 1 [tuple 1] [dictionary]]\n",
		},
		"cut":   {server[:len(server)-1], "- 1 < <the stream ends after 7 bytes of a message>\n"},
		"empty": {nil, ""},
		"other": {[]byte(strings.Repeat("GET / HTTP/1.1\r\n", 8)), "<no Banana: "},
	} {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, c.data, 0o600))
		r := pb(t, "decode", "-raw", file)
		assert.Equal(t, statusDone, r.status)
		assert.Contains(t, r.out, c.want, name)
	}
	r := pbWith(t, string(client), nil, "decode", "-raw", "-")
	assert.Contains(t, r.out, "[version 6]")
	for _, args := range [][]string{
		{}, {"-port", "0", "x"}, {"/does/not/exist"}, {filepath.Join(dir, "server")}, {filepath.Join(dir, "empty")},
		{dir},
	} {
		assert.Equal(t, statusUsage, pb(t, append([]string{"decode"}, args...)...).status, "%q", args)
	}
}

// segment is a TCP segment of a capture.
type segment struct {
	fromServer bool
	seq        uint32
	data       []byte
	syn, fin   bool
}

// packet builds the packet of a segment.
func packet(t *testing.T, s segment, port layers.TCPPort) []byte {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP}
	ip.SrcIP, ip.DstIP = net.IP{10, 0, 0, 1}, net.IP{10, 0, 0, 2}
	tcp := &layers.TCP{SrcPort: 50000, DstPort: port, Seq: s.seq, SYN: s.syn, FIN: s.fin, ACK: true, Window: 1000}
	if s.fromServer {
		ip.SrcIP, ip.DstIP = ip.DstIP, ip.SrcIP
		tcp.SrcPort, tcp.DstPort = tcp.DstPort, tcp.SrcPort
	}
	require.NoError(t, tcp.SetNetworkLayerForChecksum(ip))
	eth := &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}
	b := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	require.NoError(t, gopacket.SerializeLayers(b, options, eth, ip, tcp, gopacket.Payload(s.data)))
	return b.Bytes()
}

// captures returns segments as a pcap and as a pcapng file.
func captures(t *testing.T, port layers.TCPPort, segments []segment) [][]byte {
	var old, ng bytes.Buffer
	w := pcapgo.NewWriter(&old)
	require.NoError(t, w.WriteFileHeader(65536, layers.LinkTypeEthernet))
	n, err := pcapgo.NewNgWriter(&ng, layers.LinkTypeEthernet)
	require.NoError(t, err)
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, s := range segments {
		p := packet(t, s, port)
		info := gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(p), Length: len(p)}
		require.NoError(t, w.WritePacket(info, p))
		require.NoError(t, n.WritePacket(info, p))
		at = at.Add(time.Millisecond)
	}
	require.NoError(t, n.Flush())
	return [][]byte{old.Bytes(), ng.Bytes()}
}

func TestDecodeCapture(t *testing.T) {
	server, client := conversation(t)
	file := filepath.Join(t.TempDir(), "capture")
	half := len(client) / 2
	segments := []segment{
		{seq: 99, syn: true}, {fromServer: true, seq: 199, syn: true},
		{fromServer: true, seq: 200, data: server[:13]},
		{seq: 100 + uint32(half), data: client[half:]}, // out of order
		{seq: 100, data: client[:half]},
		{seq: 100, data: client[:half]}, // sent again
		{fromServer: true, seq: 213, data: server[13:]},
		{seq: 100 + uint32(len(client)), fin: true}, {fromServer: true, seq: 200 + uint32(len(server)), fin: true},
	}
	for _, capture := range captures(t, 9000, segments) {
		require.NoError(t, os.WriteFile(file, capture, 0o600))
		r := pb(t, "decode", "-port", "9000", file)
		assert.Equal(t, statusDone, r.status, r.errors)
		assert.Equal(t, `03:04:05.002000 1 < ["pb" "none"]
03:04:05.004000 1 > "pb"
03:04:05.004000 1 > [version 6]
03:04:05.004000 1 > [message 1 "root" "add" 1 [tuple 1] [dictionary]]
03:04:05.006000 1 < [version 6]
03:04:05.006000 1 < [answer 1 3] add 2ms
`, r.out)
		r = pb(t, "decode", file)
		assert.Equal(t, statusFailed, r.status)
		assert.Contains(t, r.errors, "-port")
		for n := range len(capture) { // cut anywhere
			var out bytes.Buffer
			p := trace.Printer{W: &out}
			_, err := trace.ReadCapture(bytes.NewReader(capture[:n]), 9000, p.Event)
			assert.True(t, err != nil || n >= 24)
		}
	}
	lost := append(append([]segment{}, segments[:3]...), segment{fromServer: true, seq: 223, data: server[23:]})
	require.NoError(t, os.WriteFile(file, captures(t, 9000, lost)[0], 0o600))
	assert.Contains(t, pb(t, "decode", "-port", "9000", file).out, "<10 bytes are missing; the rest is not shown>")
	other := []segment{{seq: 99, syn: true}, {seq: 100, data: []byte(strings.Repeat("\x16\x03\x01", 50))}}
	require.NoError(t, os.WriteFile(file, captures(t, 9000, other)[1], 0o600))
	assert.Contains(t, pb(t, "decode", "-port", "9000", file).out, "<no Banana: ")
}

func FuzzRecording(f *testing.F) {
	var b bytes.Buffer
	r, _ := trace.NewRecorder(&b)
	_ = r.Event(trace.Event{At: time.Unix(1, 2), Conn: 1, Dir: trace.FromServer, Data: offer()})
	_ = r.Event(trace.Event{At: time.Unix(1, 3), Conn: 1, Dir: trace.ToServer, End: true})
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		p := trace.Printer{W: &out}
		_ = trace.Read(bytes.NewReader(data), p.Event)
		assert.NotContains(t, out.String(), "\x1b")
		_ = p.Raw(bytes.NewReader(data))
	})
}
