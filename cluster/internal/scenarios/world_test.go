package scenarios

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/perspectivebroker/pb/cluster/internal/etcdtest"
	"github.com/perspectivebroker/pb/cluster/internal/history"
	"github.com/perspectivebroker/pb/cluster/internal/netns"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/stock"
)

// Leases of nodes. A node that does not run for most of its lease loses it, and its rooms, so tests that do not wait
// for the end of a lease have one that lasts.
const (
	lasting    = time.Minute
	longLease  = 20 * time.Second // A call that waits for its end fails before.
	shortLease = 5 * time.Second
	// shortestLease is the shortest one that etcd allows. Only who expects nodes to lose their leases can have it.
	shortestLease = 2 * time.Second
)

// users are those that every gateway knows.
var users = []string{"alice", "bob", "carol", "dora"}

func passwordOf(name string) string { return "password of " + name }

// roomsProgram builds examples/rooms once for all tests, with the race detector if the tests have it.
var roomsProgram = sync.OnceValues(func() (string, error) { return build("rooms", buildFlags...) })

// plainRooms builds examples/rooms without the race detector, whose own memory is a multiple.
var plainRooms = sync.OnceValues(func() (string, error) { return build("plain-rooms") })

func build(name string, flags ...string) (string, error) {
	program := filepath.Join(programs, name)
	args := append([]string{"build"}, flags...)
	args = append(args, "-o", program, "github.com/perspectivebroker/pb/cluster/examples/rooms")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build rooms: %w\n%s", err, out)
	}
	return program, nil
}

// programs is a directory for the programs that tests build.
var programs string

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "scenarios"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(programs)
	os.Exit(code)
}

// world is a cluster with its users.
type world struct {
	t     *testing.T
	lease time.Duration
	etcd  *etcdtest.Cluster
	ca    *authority.Authority
	nodes map[string]*node
	users *driver
	net   *netns.Network // nil if all run on this host
	plain bool           // nodes are built without the race detector

	observers int // how many know has had

	mu sync.Mutex
	// Guarded by mu.
	history history.History
	next    int64
	fenced  int // how often a node has lost its lease
}

// node is a process of rooms.
type node struct {
	*process
	name, url string
}

// newWorld starts an etcd and nodes with these names, of which no lease ends.
func newWorld(t *testing.T, names ...string) *world {
	t.Helper()
	return newWorldWith(t, lasting, names...)
}

// newWorldWith is newWorld with another lease.
func newWorldWith(t *testing.T, lease time.Duration, names ...string) *world {
	t.Helper()
	return newWorldOn(t, 1, lease, names...)
}

// newWorldOn is newWorldWith with several servers of etcd.
func newWorldOn(t *testing.T, servers int, lease time.Duration, names ...string) *world {
	t.Helper()
	stock.Require(t)
	w := &world{t: t, lease: lease, ca: authority.New(t), nodes: map[string]*node{}}
	w.etcd = etcdtest.Start(t, servers)
	w.startAll(names...)
	w.users = newDriver(t)
	w.know(names...)
	return w
}

// know waits until these nodes, which are all, know of each other that they have rooms. Before, rooms may be placed
// where they do not stay.
func (w *world) know(names ...string) {
	w.t.Helper()
	all := fmt.Sprint(slices.Sorted(slices.Values(names)))
	for _, name := range names {
		w.observers++
		u := &user{d: w.users, key: fmt.Sprint("observer ", w.observers), name: users[0]}
		u.login(w.nodes[name]).value()
		w.eventually(name+" knows "+all, func() bool { return fmt.Sprint(u.call("avatar", "members").value()) == all })
		u.do("disconnect", nil).value()
	}
}

// startAll starts nodes at the same time.
func (w *world) startAll(names ...string) {
	w.t.Helper()
	var started []*node
	for _, name := range names {
		started = append(started, w.launch(name))
	}
	for _, n := range started {
		n.awaitURL()
	}
}

// start starts a node and waits until it serves.
func (w *world) start(name string) *node {
	w.t.Helper()
	w.startAll(name)
	return w.nodes[name]
}

func (w *world) launch(name string, change ...func(args []string) []string) *node {
	w.t.Helper()
	n := &node{name: name}
	n.process = w.run("node "+name, name, change...)
	w.nodes[name] = n
	return n
}

// run starts the program with the certificate of a node.
func (w *world) run(title, name string, change ...func(args []string) []string) *process {
	w.t.Helper()
	cert, key, ca := w.ca.Files(w.ca.Issue(name, func(c *x509.Certificate) { c.DNSNames = []string{name} }))
	args := []string{
		"-name", name, "-listen", "pb://127.0.0.1:0", "-link", "pbs://127.0.0.1:0",
		"-ca", ca, "-cert", cert, "-key", key, "-etcd", strings.Join(w.etcd.Endpoints(), ","),
		"-ttl", w.lease.String(), "-debug",
	}
	for _, u := range users {
		args = append(args, "-cred", u+"="+passwordOf(u))
	}
	for _, f := range change {
		args = f(args)
	}
	program, err := roomsProgram()
	if w.plain {
		program, err = plainRooms()
	}
	require.NoError(w.t, err)
	if w.net != nil {
		host := w.net.Address(name)
		args = replace("-listen", "pb://"+host+":0")(replace("-link", "pbs://"+host+":0")(args))
		args = append(append(w.net.Command(name), program), args...)
		program, args = args[0], args[1:]
	}
	return launch(w.t, title, w.log, program, args...)
}

// replace returns a change of the arguments that gives a flag another value.
func replace(flag, value string) func(args []string) []string {
	return func(args []string) []string {
		for i := range args {
			if args[i] == flag {
				args[i+1] = value
			}
		}
		return args
	}
}

func (n *node) awaitURL() {
	n.t.Helper()
	line := n.line("listening ")
	n.url = strings.TrimPrefix(line, "listening ")
	require.Regexp(n.t, `^pb://[0-9.]+:\d+$`, n.url)
}

// linkOf returns the URL at which other nodes connect to a node.
func (w *world) linkOf(name string) string {
	w.t.Helper()
	client, err := clientv3.New(w.etcd.Config())
	require.NoError(w.t, err)
	defer client.Close()
	got, err := client.Get(w.t.Context(), "pb/m/"+name)
	require.NoError(w.t, err)
	require.Len(w.t, got.Kvs, 1)
	var record struct {
		Address string `json:"address"`
	}
	require.NoError(w.t, json.Unmarshal(got.Kvs[0].Value, &record))
	return record.Address
}

// log takes a line of a node.
func (w *world) log(line string) {
	if strings.Contains(line, "the lease is not good any more") {
		w.mu.Lock()
		w.fenced++
		w.mu.Unlock()
	}
	if run, ok := runOf(line); ok {
		w.mu.Lock()
		w.history.Runs = append(w.history.Runs, run)
		w.mu.Unlock()
	}
}

// incr begins a call to a room that a user has stored, and records it.
func (w *world) incr(u *user, room string) *increment { return w.incrBy(u, room, room) }

// incrBy is incr by a reference that the user has stored under another name than that of the room.
func (w *world) incrBy(u *user, name, room string) *increment {
	w.mu.Lock()
	w.next++
	by := w.next
	w.mu.Unlock()
	i := &increment{w: w, caller: u.key, room: room, by: by, begin: time.Now()}
	i.pending = u.call(name, "incr", by)
	return i
}

// increment is a recorded call.
type increment struct {
	*pending
	w            *world
	caller, room string
	by           int64
	begin        time.Time
}

// The errors that callers see of a cluster.
const (
	nodeLost      = "perspectivebroker.NodeLost"
	unavailable   = "perspectivebroker.Unavailable"
	busy          = "perspectivebroker.Busy" // of a gateway that leaves
	deadReference = "twisted.spread.pb.DeadReferenceError"
)

// record puts the call into the history when it has ended, or when nobody waits for its answer any more.
func (i *increment) record() history.Call {
	c := history.Call{
		Caller: i.caller, Object: i.room, By: i.by, Begin: i.begin, End: time.Now(), Outcome: history.Lost,
	}
	if !i.isOpen() {
		r := i.report
		c.End = seconds(r.Ended).Add(time.Millisecond) // the clock of Python
		switch r.Error {
		case "":
			c.Outcome = history.Answered
			value, _ := r.Value.(float64)
			c.Value = int64(value)
		case unavailable, busy:
			c.Outcome = history.Refused
		}
	}
	return c
}

// check compares what the users saw and what the rooms logged with the promises. Calls that are not answered count
// as lost.
func (w *world) check(calls ...*increment) {
	w.t.Helper()
	var made []history.Call
	for _, i := range calls {
		made = append(made, i.record())
	}
	w.awaitLog(made)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history.Calls = append(w.history.Calls, made...)
	faults := w.history.Check()
	require.Empty(w.t, faults, "%d calls, %d executions", len(w.history.Calls), len(w.history.Runs))
}

// awaitLog waits until the log has what was answered: an answer may be faster than the line about it. What is not
// logged after a while is left to the check.
func (w *world) awaitLog(made []history.Call) {
	for deadline := time.Now().Add(patience / 6); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		w.mu.Lock()
		logged := map[int64]bool{}
		for _, r := range w.history.Runs {
			logged[r.By] = true
		}
		w.mu.Unlock()
		missing := func(c history.Call) bool { return c.Outcome == history.Answered && !logged[c.By] }
		if !slices.ContainsFunc(made, missing) {
			return
		}
	}
}

// roomOn returns a room that lives on a node, and another for each further name. u stores the references. With seed
// different rooms are found.
func (w *world) roomOn(u *user, on, seed string) string {
	w.t.Helper()
	for i := range 200 {
		id := fmt.Sprintf("%s-%d", seed, i)
		u.room(id)
		if u.call(id, "node").value() == on {
			return id
		}
	}
	w.t.Fatalf("no room of 200 is placed on %s", on)
	return ""
}

// eventually waits for a condition that other processes bring about.
func (w *world) eventually(what string, f func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !f(); {
		if time.Now().After(deadline) {
			w.t.Fatalf("has not happened within %v: %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
