package netns_test

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cluster/internal/netns"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
)

// echo answers each datagram to its sender; ask sends one and waits for the answer for a second.
const (
	echo = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(100)
    s.sendto(data, peer)
`
	ask = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
s.sendto(b"hello", (sys.argv[1], 7))
print(s.recv(100))
`
)

// TestCut: hosts that are cut off hear nothing of each other, and everything of others.
func TestCut(t *testing.T) {
	stock.Require(t) // for Python
	n := netns.New(t, "a", "b", "c")
	for _, host := range []string{"a", "b", "c"} {
		command := append(n.Command(host), stock.Python, "-c", echo)
		server := exec.Command(command[0], command[1:]...)
		out, err := server.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, server.Start())
		t.Cleanup(func() {
			_ = server.Process.Kill()
			_ = server.Wait() // It was killed.
		})
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "ready\n", line)
	}
	reaches := func(from, to string) bool {
		command := append(n.Command(from), stock.Python, "-c", ask, n.Address(to))
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		if err != nil {
			require.Contains(t, string(out), "timed out")
		}
		return strings.Contains(string(out), "hello")
	}
	heard := func(from, to string) func() bool { return func() bool { return reaches(from, to) } }
	pbtest.Eventually(t, heard("a", "b"))
	n.Cut("a", "b")
	assert.False(t, reaches("a", "b"))
	assert.False(t, reaches("b", "a"))
	pbtest.Eventually(t, heard("a", "c"))
	pbtest.Eventually(t, heard("c", "b"))
	n.Heal("a", "b")
	pbtest.Eventually(t, heard("b", "a"))
}
