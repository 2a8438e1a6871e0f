package broker_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// service is the root object of most tests.
type service struct {
	flavors.Root

	mu   sync.Mutex
	held map[string]*flavors.RemoteReference
	ran  atomic.Int64 // calls of Count
	two  *two
}

var errPlain = errors.New("fall down go boom")

func (s *service) RemoteAdd(a, b int) int       { return a + b }
func (s *service) RemoteEcho(x any) any         { return x }
func (s *service) RemoteFail() error            { return errPlain }
func (s *service) RemotePanic()                 { panic("secret") }
func (s *service) RemoteCount()                 { s.ran.Add(1) }
func (s *service) RemoteNew() *two              { return &two{} }
func (s *service) RemoteUnsendable() any        { return make(chan int) }
func (s *service) RemoteNever() *actor.Deferred { return actor.NewDeferred(nil) }

func (s *service) RemoteLong(n int) string { return strings.Repeat("x", n) }

func (s *service) RemoteSame() *two {
	if s.two == nil {
		s.two = &two{}
	}
	return s.two
}

func (s *service) RemoteIsSame(t *two) bool { return t == s.two }

func (s *service) RemoteHold(key string, r *flavors.RemoteReference) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = map[string]*flavors.RemoteReference{}
	}
	s.held[key] = r
}

func (s *service) RemoteHeld(key string) *flavors.RemoteReference {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[key]
}

func (s *service) RemoteRelease(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[key].Release()
	delete(s.held, key)
}

func (s *service) RemoteCallback(
	inv *flavors.Invocation,
	r *flavors.RemoteReference,
	method string,
	args []any,
) *actor.Deferred {
	return r.CallRemote(method, args...)
}

// RemoteTell calls back without asking for an answer, then returns.
func (s *service) RemoteTell(r *flavors.RemoteReference) error {
	return r.CallRemoteNoAnswer("told")
}

// two is an object that is handed out.
type two struct {
	flavors.Referenceable
	n int
}

func (t *two) RemoteThree(by int) int { t.n += by; return t.n }
func (t *two) RemoteBoom()            { panic("boom") }
func (t *two) RemoteSelf() *two       { return t }
