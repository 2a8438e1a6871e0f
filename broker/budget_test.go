package broker_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// callOf encodes a call of a method of the root. The arguments are in Banana.
func callOf(request int, method string, wantsAnswer int, arguments ...[]byte) []byte {
	const p = banana.ProfilePB
	id, object := command.Number{Int: int64(request)}, command.Object{Name: "root"}
	b := command.AppendMessage(nil, p, id, object, method, wantsAnswer != 0)
	b = banana.AppendSymbol(banana.AppendList(b, 1+len(arguments)), p, banana.SymTuple)
	b = append(b, bytes.Join(arguments, nil)...)
	return banana.AppendSymbol(banana.AppendList(b, 1), p, banana.SymDictionary)
}

// bytesOf encodes a byte string.
func bytesOf(s []byte) []byte { return banana.AppendBytes(nil, banana.ProfilePB, s) }

// listsOf encodes a list of lists with n elements altogether.
func listsOf(n int, element []byte) []byte {
	const most = 600_000
	b := banana.AppendSymbol(banana.AppendList(nil, 1+(n+most-1)/most), banana.ProfilePB, banana.SymList)
	for ; n > 0; n -= most {
		b = banana.AppendSymbol(banana.AppendList(b, 1+min(n, most)), banana.ProfilePB, banana.SymList)
		for range min(n, most) {
			b = append(b, element...)
		}
	}
	return b
}

// smallest has the values that take most memory for their size on the wire.
var smallest = map[string][]byte{
	"int":        {1, byte(banana.Int)},
	"empty":      {0, byte(banana.String)},
	"byte":       {1, byte(banana.String), 'x'},
	"word":       {byte(banana.SymUnpersistable), byte(banana.Vocab)},
	"local":      {2, byte(banana.List), byte(banana.SymLocal), byte(banana.Vocab), 1, byte(banana.Int)},
	"remote":     {2, byte(banana.List), byte(banana.SymRemote), byte(banana.Vocab), 1, byte(banana.Int)},
	"none":       {1, byte(banana.List), byte(banana.SymNone), byte(banana.Vocab)},
	"list":       {1, byte(banana.List), byte(banana.SymList), byte(banana.Vocab)},
	"dictionary": {1, byte(banana.List), byte(banana.SymDictionary), byte(banana.Vocab)},
	"reference":  {2, byte(banana.List), byte(banana.SymDereference), byte(banana.Vocab), 1, byte(banana.Int)},
}

// hoard keeps its arguments until the connection ends.
type hoard struct{ flavors.Root }

func (*hoard) RemoteKeep(inv *flavors.Invocation, _ any) *actor.Deferred {
	return actor.NewDeferred(inv.Conn().Runtime())
}

func (*hoard) RemoteTake(any) {}

const (
	hoardTotal = 24 << 20
	// hoardConstant is the peak memory of a process apart from Limits.MemoryTotal: the program, the shares of the
	// connections, and garbage that has not been collected.
	hoardConstant = 96 << 20
)

// Peers send a random mix of messages.
func TestMemoryTotalOfProcess(t *testing.T) {
	server := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHoardServer$", "-test.v")
	server.Env = append(os.Environ(), "PB_HOARD=1")
	out, err := server.StdoutPipe()
	require.NoError(t, err)
	stdin, err := server.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	lines := bufio.NewScanner(out)
	said := func(what string) string {
		for lines.Scan() {
			if _, rest, ok := strings.Cut(lines.Text(), what); ok {
				return rest
			}
		}
		require.FailNow(t, "the server did not print its "+what)
		return ""
	}
	address := said("pb://")
	var peers sync.WaitGroup
	for seed := range uint64(8) {
		peers.Go(func() { hoardMix(t, address, rand.New(rand.NewPCG(seed, 1))) })
	}
	peers.Wait()
	// It serves the next peer.
	sock := dialRaw(t, address)
	wantAnswer(t, sock, callOf(1, "take", 1, []byte{1, byte(banana.Int)}))
	require.NoError(t, sock.Close())
	require.NoError(t, stdin.Close())
	peak, err := strconv.Atoi(said("peak "))
	require.NoError(t, err)
	require.NoError(t, server.Wait())
	t.Logf("%d MiB at the peak", peak>>20)
	assert.Less(t, peak, hoardTotal+hoardConstant)
}

// peakMemory samples the memory of the Go runtime until stop is called, which returns the most.
func peakMemory() (stop func() uint64) {
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		most := uint64(0)
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			metrics.Read(samples)
			most = max(most, samples[0].Value.Uint64()-samples[1].Value.Uint64())
			select {
			case <-tick.C:
			case <-done:
				tick.Stop()
				peak <- most
				return
			}
		}
	}()
	return func() uint64 {
		close(done)
		return <-peak
	}
}

// hoardMix sends messages of all kinds and sizes, some of them incomplete.
func hoardMix(t *testing.T, address string, random *rand.Rand) {
	kinds := []string{"int", "empty", "byte", "word", "local", "remote", "none", "list", "dictionary", "reference"}
	for range 6 {
		sock := dialRaw(t, address)
		go func() { _, _ = io.Copy(io.Discard, sock) }()
		for range 12 {
			element := smallest[kinds[random.IntN(len(kinds))]]
			size := 1 << (6 + random.IntN(16)) // up to 2 MiB
			method := "keep"
			if random.IntN(3) == 0 {
				method = "take"
			}
			frame := callOf(1, method, 1, listsOf(size/len(element), element))
			half := random.IntN(12) == 0
			if half {
				frame = frame[:len(frame)-1]
			}
			_ = sock.SetWriteDeadline(time.Now().Add(10 * time.Second))
			if _, err := sock.Write(frame); err != nil || half {
				break // A limit ended the connection.
			}
		}
		_ = sock.Close()
	}
}

// TestHoardServer is the process that TestMemoryTotalOfProcess measures.
func TestHoardServer(t *testing.T) {
	if os.Getenv("PB_HOARD") == "" {
		return // It runs only as a child of TestMemoryTotalOfProcess.
	}
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	require.NoError(t, err)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &hoard{}, broker.WithLimits(broker.Limits{MemoryTotal: hoardTotal}))
	require.NoError(t, err)
	peak := peakMemory()
	fmt.Println(ln.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Println("peak", peak())
	require.NoError(t, rt.Close(t.Context()))
}

// Calls are not answered, so that their arguments stay in memory.
func TestMemoryTotalBySmallValues(t *testing.T) {
	const total, peers = 8 << 20, 4
	for kind, element := range smallest {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newServer(t, &hoard{}, broker.WithLimits(broker.Limits{MemoryTotal: total}))
				large, small := callOf(
					1,
					"keep",
					1,
					listsOf(1_000_000/len(element), element),
				), callOf(
					1,
					"keep",
					1,
					listsOf(60_000/len(element), element),
				)
				before := heap()
				for range peers {
					sock := s.dial()
					peerOver(t, sock)
					go func() { _, _ = io.Copy(io.Discard, sock) }()
					for _, frame := range [][]byte{large, small, small, small, small, small} {
						if _, err := sock.Write(frame); err != nil {
							break // It mentions too many objects.
						}
					}
					synctest.Wait()
					require.LessOrEqual(t, broker.StatsOf(s.rt).BytesHeld, total+2*peers*connShare)
				}
				assert.Less(t, heap()-before, total+2*peers*connShare)
				all := broker.StatsOf(s.rt)
				assert.NotZero(t, all.CallsIn.Pending+int(all.Refusals["memory total"]+all.Refusals["imports"]))
			})
		})
	}
}

// heap returns the size of the live heap.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// dialRaw returns a socket that has negotiated.
func dialRaw(t *testing.T, address string) net.Conn {
	t.Helper()
	sock, err := net.Dial("tcp", address)
	require.NoError(t, err)
	hello := command.AppendVersion(nil, banana.ProfilePB, 6)
	_, err = sock.Write(append(banana.AppendString(nil, banana.ProfileNone, "pb"), hello...))
	require.NoError(t, err)
	return sock
}

// wantAnswer sends a call and waits for an answer.
func wantAnswer(t *testing.T, sock net.Conn, call []byte) {
	t.Helper()
	_, err := sock.Write(call)
	require.NoError(t, err)
	require.NoError(t, sock.SetReadDeadline(time.Now().Add(patience)))
	var got []byte
	for !strings.Contains(string(got), "\x03\x80\x1b\x87") {
		b := make([]byte, 4096)
		n, err := sock.Read(b)
		require.NoError(t, err)
		got = append(got, b[:n]...)
	}
}
