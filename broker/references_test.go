package broker_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/stretchr/testify/require"
)

func TestExports(t *testing.T) {
	s := newServer(t, &service{})
	p := s.peer()
	t.Run("new object, new luid", func(t *testing.T) {
		p.Write(`[message 1 "root" "new" 1 [tuple] [dictionary]]`, `[message 2 "root" "new" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 1 [remote 1]]`, `[answer 2 [remote 2]]`)
		p.Write(`[decref 1]`, `[decref 2]`, `[message 3 "root" "new" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 3 [remote 3]]`)
		p.Write(`[decref 3]`)
	})
	t.Run("same object, same luid", func(t *testing.T) {
		p.Write(`[message 4 "root" "same" 1 [tuple] [dictionary]]`, `[message 5 "root" "same" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 4 [remote 4]]`, `[answer 5 [remote 4]]`)
		p.Write(`[message 6 4 "three" 1 [tuple 12] [dictionary]]`)
		p.Want(`[answer 6 12]`)
		p.Write(`[message 7 4 "self" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 7 [remote 4]]`)
	})
	t.Run("sent back, it is the object itself", func(t *testing.T) {
		p.Write(`[message 8 "root" "isSame" 1 [tuple [local 4]] [dictionary]]`)
		p.Want(`[answer 8 ["boolean" "true"]]`)
	})
	t.Run("three mentions, three decrefs", func(t *testing.T) {
		p.Write(`[decref 4]`, `[decref 4]`, `[message 9 4 "three" 1 [tuple 1] [dictionary]]`)
		p.Want(`[answer 9 13]`)
		p.Write(`[decref 4]`, `[message 10 4 "three" 1 [tuple 1] [dictionary]]`)
		wantError(t, p, 10, "twisted.spread.pb.Error")
	})
	t.Run("released and sent again", func(t *testing.T) {
		p.Write(`[message 11 "root" "same" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 11 [remote 5]]`)
		p.Write(`[message 12 5 "three" 1 [tuple 1] [dictionary]]`)
		p.Want(`[answer 12 14]`)
	})
	t.Run("unknown [local …]", func(t *testing.T) {
		p.Write(`[message 13 "root" "echo" 1 [tuple [local 4]] [dictionary]]`)
		wantError(t, p, 13, "twisted.spread.pb.Error")
	})
}

func TestExportLimit(t *testing.T) {
	p := newServer(t, &service{}, broker.WithLimits(broker.Limits{Exports: 2})).peer()
	for i := 1; i <= 2; i++ {
		p.Write(fmt.Sprintf(`[message %d "root" "new" 1 [tuple] [dictionary]]`, i))
		p.Want(fmt.Sprintf(`[answer %d [remote %d]]`, i, i))
	}
	p.Write(`[message 3 "root" "new" 1 [tuple] [dictionary]]`)
	wantAnyError(p, 3)
	p.Write(`[decref 1]`, `[message 4 "root" "new" 1 [tuple] [dictionary]]`)
	p.Want(`[answer 4 [remote _]]`)
}

func TestImports(t *testing.T) {
	root := &service{}
	s := newServer(t, root)
	p := s.peer()
	t.Run("returned reference", func(t *testing.T) {
		p.Write(`[message 1 "root" "hold" 1 [tuple [unicode "a"] [remote 7]] [dictionary]]`)
		p.Want(`[answer 1 [None]]`)
		p.Write(`[message 2 "root" "held" 1 [tuple [unicode "a"]] [dictionary]]`)
		p.Want(`[answer 2 [local 7]]`)
	})
	t.Run("same reference, same handle", func(t *testing.T) {
		p.Write(`[message 3 "root" "hold" 1 [tuple [unicode "b"] [remote 7]] [dictionary]]`)
		p.Want(`[answer 3 [None]]`)
		require.Same(t, root.RemoteHeld("a"), root.RemoteHeld("b"))
		p.Write(`[message 4 "root" "release" 1 [tuple [unicode "a"]] [dictionary]]`)
		// What the method caused is seen before its answer.
		p.Want(`[decref 7]`, `[answer 4 [None]]`)
		p.Write(`[message 5 "root" "release" 1 [tuple [unicode "b"]] [dictionary]]`)
		p.Want(`[decref 7]`, `[answer 5 [None]]`)
	})
	t.Run("callback", func(t *testing.T) {
		p.Write(`[message 6 "root" "callback" 1 [tuple [remote 8] [unicode "hello"] [list 1 2]] [dictionary]]`)
		p.Want(`[message 1 8 "hello" 1 [tuple 1 2] [dictionary]]`)
		p.Write(`[answer 1 [unicode "world"]]`)
		p.Want(`[answer 6 ["unicode" "world"]]`)
	})
	t.Run("a method's messages precede its answer", func(t *testing.T) {
		p.Write(`[message 7 "root" "tell" 1 [tuple [remote 9]] [dictionary]]`)
		p.Want(`[message 2 9 "told" 0 [tuple] [dictionary]]`, `[answer 7 [None]]`)
	})
	t.Run("refused calls release their references", func(t *testing.T) {
		p.Write(`[message 8 77 "nosuch" 1 [tuple [remote 10] [remote 10]] [dictionary]]`)
		p.Want(`[decref 10]`, `[decref 10]`)
		wantError(t, p, 8, "twisted.spread.pb.Error")
	})
}

func TestDroppedReferencesAreReleased(t *testing.T) {
	p := newServer(t, &service{}).peer()
	p.Write(`[message 1 "root" "echo" 1 [tuple [remote 3]] [dictionary]]`)
	p.Want(`[answer 1 [local 3]]`)
	done := make(chan struct{})
	defer close(done)
	go func() { // The collector needs to be asked until it has seen that nobody holds the handle.
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				runtime.GC()
			}
		}
	}()
	p.Want(`[decref 3]`)
}

func TestGraceKeepsMentionedObjects(t *testing.T) {
	p := newServer(t, &service{}).peer()
	p.Write(`[message 1 "root" "new" 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 [remote 1]]`)
	p.Write(`[message 2 "root" "callback" 1 [tuple [remote 5] [unicode "f"] [list]] [dictionary]]`)
	p.Want(`[message 1 5 "f" 1 [tuple] [dictionary]]`)
	// A stock peer's finalizer may send the decref before the answer that mentions the object.
	p.Write(`[decref 1]`, `[answer 1 [local 1]]`)
	p.Want(`[answer 2 [remote 2]]`)
	p.Write(`[message 3 1 "three" 1 [tuple 1] [dictionary]]`)
	wantError(t, p, 3, "twisted.spread.pb.Error")
}
