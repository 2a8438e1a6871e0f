package scenarios

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSoak has users call rooms for as long as PB_SOAK_MINUTES says, with random faults meanwhile: nodes are killed,
// stopped, and started again, they leave in order, and etcd is silent. The history must keep all promises.
// PB_SOAK_SEED repeats the faults of an earlier run.
func TestSoak(t *testing.T) {
	minutes, err := strconv.ParseFloat(os.Getenv("PB_SOAK_MINUTES"), 64)
	if err != nil {
		minutes = 0.2 // A longer one: make soak-cluster MINUTES=10.
	}
	seed, err := strconv.ParseUint(os.Getenv("PB_SOAK_SEED"), 10, 64)
	if err != nil || seed == 0 {
		seed = rand.Uint64()
	}
	s := &soak{
		world: newWorldWith(t, shortestLease, "a", "b", "c"), random: rand.New(rand.NewPCG(seed, 0)),
		stop: make(chan struct{}), outcomes: map[string]int{}, faults: map[string]int{},
	}
	t.Logf("%v minutes, seed %d", minutes, seed)
	s.gateways = maps.Clone(s.nodes)
	var working sync.WaitGroup
	for i := range 6 {
		working.Go(func() {
			s.work(fmt.Sprintf("worker-%d", i), users[i%len(users)], rand.New(rand.NewPCG(seed, uint64(i+1))))
		})
	}
	for end := time.Now().Add(time.Duration(minutes * float64(time.Minute))); time.Now().Before(end); {
		s.fault()
	}
	close(s.stop)
	working.Wait()
	t.Logf("calls: %v", s.outcomes)
	t.Logf("faults: %v", s.faults)
	s.mu.Lock()
	lives := map[string]bool{}
	for _, r := range s.history.Runs {
		lives[r.Object+r.Life.String()] = true
	}
	t.Logf("%d executions in %d activations", len(s.history.Runs), len(lives))
	s.mu.Unlock()
	require.NotZero(t, s.outcomes["answered"])
	for kind := range s.outcomes {
		require.Contains(t, []string{
			"answered", nodeLost, unavailable, busy, "no answer",
			"twisted.spread.pb.PBConnectionLost", "twisted.spread.pb.DeadReferenceError",
		}, kind)
	}
	s.check(s.calls...)

	// In the end all is well again.
	last := s.users.login("alice", s.nodes["a"])
	s.eventually("all nodes are members", func() bool {
		return fmt.Sprint(last.call("avatar", "members").value()) == "[a b c]"
	})
	for i := range soakRooms {
		id := roomOfSoak(i)
		last.room(id)
		s.eventually("the room answers", func() bool { return last.call(id, "incr").wait().Error == "" })
	}
}

const soakRooms = 12

func roomOfSoak(i int) string { return fmt.Sprintf("soak-%d", i) }

type soak struct {
	*world
	random *rand.Rand
	stop   chan struct{}

	lock sync.Mutex
	// Guarded by lock.
	gateways map[string]*node // those that serve
	calls    []*increment
	outcomes map[string]int
	faults   map[string]int
	logins   int
}

func (s *soak) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// pause waits for a random time.
func (s *soak) pause(least, most time.Duration) {
	time.Sleep(least + time.Duration(s.random.Int64N(int64(most-least))))
}

// fault does one thing to the cluster, and lets it recover for a while.
func (s *soak) fault() {
	name := []string{"a", "b", "c"}[s.random.IntN(3)]
	n, etcd := s.nodes[name], s.etcd.Servers[0]
	kinds := []string{"kill", "stop briefly", "stop long", "leave", "etcd silent briefly", "etcd silent long"}
	kind := kinds[s.random.IntN(len(kinds))]
	s.lock.Lock()
	s.faults[kind]++
	s.lock.Unlock()
	switch kind {
	case "kill":
		s.serves(name, nil)
		n.kill()
		s.pause(0, 4*time.Second)
		s.serves(name, s.start(name))
	case "leave":
		s.serves(name, nil)
		require.Zero(s.t, n.stop())
		s.pause(0, time.Second)
		s.serves(name, s.start(name))
	case "stop briefly", "stop long":
		n.signal(syscall.SIGSTOP)
		if kind == "stop briefly" {
			s.pause(0, time.Second)
		} else {
			s.pause(3*time.Second, 7*time.Second)
		}
		n.signal(syscall.SIGCONT)
	default:
		etcd.Signal(syscall.SIGSTOP)
		if kind == "etcd silent briefly" {
			s.pause(0, time.Second)
		} else {
			s.pause(2*time.Second, 5*time.Second)
		}
		etcd.Signal(syscall.SIGCONT)
	}
	s.pause(time.Second, 4*time.Second)
}

func (s *soak) serves(name string, n *node) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if n == nil {
		delete(s.gateways, name)
	} else {
		s.gateways[name] = n
	}
}

// work makes one call after the other, through one gateway until that is gone.
func (s *soak) work(key, name string, random *rand.Rand) {
	var u *user
	for !s.stopped() {
		if u == nil {
			if u = s.enter(key, name, random); u == nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
		}
		i := s.incr(u, roomOfSoak(random.IntN(soakRooms)))
		kind := "no answer"
		if s.ended(i.pending) {
			if kind = i.report.Error; kind == "" {
				kind = "answered"
			}
		}
		s.lock.Lock()
		s.calls = append(s.calls, i)
		s.outcomes[kind]++
		s.lock.Unlock()
		switch kind {
		case "answered":
			// So that the history of ten minutes fits into memory.
			time.Sleep(time.Duration(random.Int64N(int64(10 * time.Millisecond))))
		case busy, "no answer", "twisted.spread.pb.PBConnectionLost", "twisted.spread.pb.DeadReferenceError":
			u.do("abort", nil)
			u = nil
		}
	}
}

// ended waits for the end of a command, and reports false if it does not come, or the test ends.
func (s *soak) ended(p *pending) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(patience / 2):
	case <-s.users.p.ended:
	}
	return false
}

// enter logs in at some gateway and gets the rooms. It returns nil if that fails.
func (s *soak) enter(key, name string, random *rand.Rand) *user {
	s.lock.Lock()
	var serving []string
	for gateway := range s.gateways {
		serving = append(serving, gateway)
	}
	s.logins++
	u := &user{d: s.users, key: fmt.Sprintf("%s-%d", key, s.logins), name: name}
	if len(serving) == 0 {
		s.lock.Unlock()
		return nil
	}
	slices.Sort(serving)
	n := s.gateways[serving[random.IntN(len(serving))]]
	s.lock.Unlock()
	steps := []func() *pending{func() *pending { return u.login(n) }}
	for i := range soakRooms {
		id := roomOfSoak(i)
		steps = append(steps, func() *pending {
			return u.do("call", object{"on": "avatar", "method": "room", "args": list{id}, "store": id})
		})
	}
	for _, step := range steps {
		if p := step(); !s.ended(p) || p.report.Error != "" {
			u.do("abort", nil)
			return nil
		}
	}
	return u
}
