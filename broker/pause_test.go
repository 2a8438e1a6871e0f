//go:build unix

package broker_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	// pausedServer is set in the environment of TestPausedServer's process.
	pausedServer = "PB_TEST_PAUSED_SERVER"
	// pausedDeadline is every deadline of that process. It is stopped for pauseLength, which is longer.
	pausedDeadline = 8 * time.Second
	pauseLength    = 10 * time.Second
)

// TestPausedServer is the server of TestProcessPaused.
func TestPausedServer(t *testing.T) {
	if os.Getenv(pausedServer) == "" {
		return
	}
	limits := broker.WithLimits(broker.Limits{Handshake: pausedDeadline, Stall: pausedDeadline})
	rt := newRuntime(t)
	for _, l := range []struct {
		root any
		opts []broker.ListenOption
	}{
		{&service{}, []broker.ListenOption{limits, broker.WithKeepalive(pausedDeadline/3, 2*pausedDeadline/3)}},
		{&service{}, []broker.ListenOption{limits}},
		{broker.LoginRoot(onlyAnonymous(t), broker.WithLoginDeadline(pausedDeadline)), []broker.ListenOption{limits}},
	} {
		ln, err := broker.Listen(rt, "pb://127.0.0.1:0", l.root, l.opts...)
		require.NoError(t, err)
		fmt.Println("serving", ln.URL())
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startPaused starts the server in another process.
func startPaused(t *testing.T) (process *os.Process, addresses []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestPausedServer$", "-test.v")
	cmd.Env = append(os.Environ(), pausedServer+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = stdin.Close()
		assert.NoError(t, cmd.Wait())
	})
	for lines := bufio.NewScanner(stdout); len(addresses) < 3 && lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), "serving "); found {
			u, err := url.Parse(text)
			require.NoError(t, err)
			addresses = append(addresses, u.Host)
		}
	}
	require.Len(t, addresses, 3)
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	return cmd.Process, addresses
}

// rawMessage encodes a call to echo whose argument has size bytes.
func rawMessage(size int) []byte {
	return callOf(1, "echo", 1, bytesOf(bytes.Repeat([]byte{'x'}, size)))
}

// A process that was stopped for longer than every deadline does not disconnect peers that were in time.
func TestProcessPaused(t *testing.T) {
	process, at := startPaused(t)
	watched, plain, login := at[0], at[1], at[2]

	rt := newRuntime(t)
	var idle []*broker.Conn
	for range 5 {
		conn, err := broker.Dial(t.Context(), rt, "pb://"+watched)
		require.NoError(t, err)
		idle = append(idle, conn)
	}
	connect := func(address string) net.Conn {
		sock, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = sock.Close() })
		return sock
	}
	negotiating := wire.New(t, connect(plain))
	negotiating.WantOffer()
	stranger := wire.Connect(t, login)
	stranger.Join()
	halfSock := connect(plain)
	half := wire.New(t, halfSock)
	half.Join()
	message := rawMessage(500 << 10)
	_, err := halfSock.Write(message[:400<<10])
	require.NoError(t, err)
	full := wire.Connect(t, plain)
	full.Join()
	full.Write(`[message 1 root long 1 [tuple 600000] [dictionary]]`) // more than the socket's buffers hold
	for i := 2; i < 20; i++ {
		full.Write(fmt.Sprintf(`[message %d root long 1 [tuple 600000] [dictionary]]`, i))
	}

	require.NoError(t, process.Signal(syscall.SIGSTOP))
	time.Sleep(pauseLength) // the pause itself
	negotiating.Write(`pb`)
	negotiating.Speak(banana.ProfilePB)
	negotiating.Write(`[version 6]`)
	stranger.Write(`[message 1 "root" "loginAnonymous" 1 [tuple [None]] [dictionary]]`)
	_, err = halfSock.Write(message[400<<10:])
	require.NoError(t, err)
	require.NoError(t, process.Signal(syscall.SIGCONT))

	negotiating.Want(`[version 6]`)
	stranger.Want(`[answer 1 [remote _]]`)
	half.Want(`[answer 1 _]`)
	for i := 1; i < 20; i++ {
		full.Want(fmt.Sprintf(`[answer %d [unicode _]]`, i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), wire.Timeout)
	defer cancel()
	for _, conn := range idle {
		sum, err := flavors.Call[int](ctx, conn.Root(), "add", 1, 2)
		require.NoError(t, err)
		require.Equal(t, 3, sum)
	}
}
