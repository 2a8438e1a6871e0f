package freeport

import (
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Ports are those below the ones that a system gives to whoever asks for any: Linux begins at 32768, others higher.
const lowest, end = 20_000, 32_768

// tries is how many ports are tried.
const tries = 1000

// Address returns the address of a TCP port of the loopback interface at which nothing listens. Until the test ends no
// other test gets the port, in whatever process, nor does anybody who asks for any port.
func Address(t testing.TB) string {
	t.Helper()
	for range tries {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowest+rand.IntN(highest()-lowest)))
		// Tests hold the UDP port of the same number.
		held, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			_ = held.Close()
			continue
		}
		_ = l.Close()
		t.Cleanup(func() { _ = held.Close() })
		return address
	}
	t.Fatalf("none of %d ports is free", tries)
	return ""
}

// Port is Address without the host.
func Port(t testing.TB) int {
	t.Helper()
	_, port, err := net.SplitHostPort(Address(t))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// highest returns the port behind the last that may be used. A Linux may be set up to give away others.
func highest() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return end
	}
	first, err := strconv.Atoi(strings.Fields(string(text))[0])
	if err != nil || first <= lowest {
		return end
	}
	return min(first, end)
}
