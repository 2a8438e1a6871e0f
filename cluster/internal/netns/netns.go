package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/internal/stock"
)

// Network is hosts that reach each other, unless they are cut off. Its methods fail the test on error.
type Network struct {
	t     testing.TB
	name  string // of the namespace with the bridge, and the beginning of those of the hosts
	hosts map[string]int
}

// made counts the networks of this process.
var made atomic.Int64

// New makes a network with these hosts, at most a hundred. It is removed when the test ends. The test is skipped if
// namespaces cannot be made, or fails if tests may not be skipped.
func New(t testing.TB, hosts ...string) *Network {
	t.Helper()
	n := &Network{t: t, name: fmt.Sprintf("pb%d-%d", os.Getpid(), made.Add(1)), hosts: map[string]int{}}
	if err := ip("netns", "add", n.name); err != nil {
		if stock.Mandatory() {
			t.Fatalf("network namespaces are required here; they need root and iproute2: %v", err)
		}
		t.Skipf("SKIPPED, NOT PASSED, WITHOUT NETWORK NAMESPACES (they need root and iproute2): %v", err)
	}
	t.Cleanup(n.remove)
	n.ip("-n", n.name, "link", "add", "bridge", "type", "bridge")
	n.ip("-n", n.name, "link", "set", "bridge", "up")
	for i, host := range hosts {
		n.add(host, i+1)
	}
	return n
}

func (n *Network) add(host string, number int) {
	n.t.Helper()
	space, port := n.namespace(host), fmt.Sprintf("port%d", number)
	n.ip("netns", "add", space)
	n.hosts[host] = number
	n.ip("-n", space, "link", "set", "lo", "up")
	n.ip("-n", n.name, "link", "add", port, "type", "veth", "peer", "name", device, "netns", space)
	n.ip("-n", n.name, "link", "set", port, "master", "bridge", "up")
	n.ip("-n", space, "addr", "add", n.Address(host)+"/24", "dev", device)
	n.ip("-n", space, "link", "set", device, "up")
}

// device is the name of each host's interface.
const device = "net0"

func (n *Network) namespace(host string) string { return n.name + "-" + host }

// Address returns the IP address of a host.
func (n *Network) Address(host string) string {
	n.t.Helper()
	number, ok := n.hosts[host]
	if !ok {
		n.t.Fatalf("the network has no host %q", host)
	}
	return fmt.Sprintf("10.99.0.%d", number)
}

// Command returns what runs a program on a host: arguments to be put in front of the program and its own.
func (n *Network) Command(host string) []string {
	return []string{"ip", "netns", "exec", n.namespace(host)}
}

// Cut loses all packets between two hosts. Nobody is told.
func (n *Network) Cut(a, b string) {
	n.t.Helper()
	for _, pair := range [][2]string{{a, b}, {b, a}} {
		// Frames go to an Ethernet address that nobody has.
		n.ip("-n", n.namespace(pair[0]), "neigh", "replace", n.Address(pair[1]), "lladdr", "02:00:00:00:00:fe",
			"nud", "permanent", "dev", device)
	}
}

// Heal undoes Cut.
func (n *Network) Heal(a, b string) {
	n.t.Helper()
	for _, pair := range [][2]string{{a, b}, {b, a}} {
		n.ip("-n", n.namespace(pair[0]), "neigh", "del", n.Address(pair[1]), "dev", device)
	}
}

// remove deletes the namespaces. The processes in them must have ended.
func (n *Network) remove() {
	var errs error
	for host := range n.hosts {
		errs = errors.Join(errs, ip("netns", "del", n.namespace(host)))
	}
	if errs = errors.Join(errs, ip("netns", "del", n.name)); errs != nil {
		n.t.Errorf("network namespaces are left behind: %v", errs)
	}
}

func (n *Network) ip(args ...string) {
	n.t.Helper()
	if err := ip(args...); err != nil {
		n.t.Fatal(err)
	}
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
