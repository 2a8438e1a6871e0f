//go:build linux

package broker_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// exhausted is set in the environment of the process that runs out of file descriptors.
const exhausted = "PB_TEST_EXHAUSTED"

// TestServerWithFewDescriptors is that process. It serves until its input ends.
func TestServerWithFewDescriptors(t *testing.T) {
	if os.Getenv(exhausted) == "" {
		return
	}
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	limit.Cur = 24
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(os.Stdout)))
	require.NoError(t, err)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &service{})
	require.NoError(t, err)
	fmt.Println("listening", ln.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	require.NoError(t, rt.Close(t.Context()))
}

// A server without file descriptors still serves its connections, and accepts others when it has descriptors again.
func TestNoFileDescriptors(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServerWithFewDescriptors$", "-test.v")
	cmd.Env = append(os.Environ(), exhausted+"=1")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	until := func(text string) string {
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return lines.Text()
			}
		}
		t.Fatalf("the server ended without printing %q", text)
		return ""
	}
	address := strings.TrimPrefix(until("listening "), "listening ")

	rt := newRuntime(t)
	add := func(conn *broker.Conn) {
		t.Helper()
		n, err := flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
		require.NoError(t, err)
		require.Equal(t, 3, n)
	}
	first, err := broker.Dial(t.Context(), rt, "pb://"+address)
	require.NoError(t, err)
	add(first)
	many := make([]net.Conn, 40)
	for i := range many {
		many[i], err = net.Dial("tcp", address)
		require.NoError(t, err)
	}
	require.Contains(t, until("could not be accepted"), "too many open files")
	add(first)
	for _, sock := range many {
		require.NoError(t, sock.Close())
	}
	second, err := broker.Dial(t.Context(), rt, "pb://"+address)
	require.NoError(t, err)
	add(second)
	add(first)
	require.NoError(t, stdin.Close())
	rest, err := io.ReadAll(stdout)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), "%s", rest)
}
