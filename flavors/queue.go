package flavors

import (
	"slices"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/seam"
)

// task is a message that is carried out in the object's turn, such as that which adds an observer.
type task interface{ run(o *object) }

// turn is a function to be run in the object's turn: a Do, or a continuation of a Deferred.
type turn struct {
	run  func()
	done *actor.Deferred // nil for a continuation
	drop func(error)
	// incarnation is the one in which the continuation was made; a Do belongs to none.
	incarnation uint64
	bound       bool

	conn    seam.Conn   // of a continuation: its calls must not be overtaken
	turns   *seam.Turns // of a continuation: has an entry until it has run
	running seam.Turn
}

// Drop implements actor.Droppable.
func (t *turn) Drop(cause error) {
	defer t.leave()
	if t.drop != nil {
		t.drop(cause)
	}
	if t.done != nil {
		t.done.Complete(nil, cause)
	}
}

func (t *turn) leave() {
	if t.turns != nil {
		t.turns.Leave(&t.running)
	}
}

// finish completes a Do. A continuation completes itself.
func (t *turn) finish(err error) {
	t.leave()
	if t.done != nil {
		t.done.Complete(nil, err)
	}
}

// queue holds the messages that wait for an object's turn, oldest first. It belongs to the core and not to the mailbox,
// which has a token for each message, so that calls can be removed at any time. The zero value is empty.
type queue struct {
	first any // the oldest: one message at a time needs no slice
	rest  []any
	head  int // of rest: where the next one is
}

// work is the token. If the queue is empty, it does nothing.
const work actor.Tokens = 1

const (
	// idleRest is the capacity that an empty queue keeps.
	idleRest = 8
	// borrowedRest is the capacity of the pooled slices that a longer queue uses. Larger ones are left to the
	// collector.
	borrowedRest = 256
)

// rests holds cleared slices for the objects of all runtimes.
var rests = sync.Pool{New: func() any { return new([borrowedRest]any) }}

func (q *queue) len() int {
	n := len(q.rest) - q.head
	if q.first != nil {
		n++
	}
	return n
}

func (q *queue) push(message any) {
	if q.first == nil && q.head == len(q.rest) {
		q.first = message
		return
	}
	if len(q.rest) == cap(q.rest) && q.head > len(q.rest)/2 {
		n := copy(q.rest, q.rest[q.head:])
		clear(q.rest[n:])
		q.rest, q.head = q.rest[:n], 0
	}
	if len(q.rest) == cap(q.rest) {
		q.grow()
	}
	q.rest = append(q.rest, message)
}

// grow makes room for at least one more message.
func (q *queue) grow() {
	full := q.rest
	switch cap(full) {
	case 0:
		q.rest = make([]any, 0, idleRest)
	case idleRest:
		q.rest = append(rests.Get().(*[borrowedRest]any)[:0], full...)
	case borrowedRest:
		q.rest = append(make([]any, 0, 4*borrowedRest), full...)
		clear(full)
		rests.Put((*[borrowedRest]any)(full[:borrowedRest]))
	default:
		q.rest = slices.Grow(full, len(full))
	}
}

// pop removes the oldest message; nil if there is none.
func (q *queue) pop() (message any) {
	if q.first != nil {
		message, q.first = q.first, nil
		return message
	}
	if q.head == len(q.rest) {
		return nil
	}
	message = q.rest[q.head]
	q.rest[q.head] = nil
	q.head++
	q.shrink()
	return message
}

// shrink gives the memory of an empty queue back.
func (q *queue) shrink() {
	if q.head < len(q.rest) {
		return
	}
	q.head = 0
	switch cap(q.rest) {
	case 0, idleRest:
		q.rest = q.rest[:0]
		return
	case borrowedRest:
		rests.Put((*[borrowedRest]any)(q.rest[:borrowedRest]))
	}
	q.rest = nil
}

// remove takes out the messages that match.
func (q *queue) remove(match func(message any) bool) {
	if q.first != nil && match(q.first) {
		q.first = nil
	}
	rest := slices.DeleteFunc(q.rest[q.head:], match)
	q.rest = q.rest[:q.head+len(rest)]
	q.shrink()
}

// has reports whether a message matches.
func (q *queue) has(match func(message any) bool) bool {
	return q.first != nil && match(q.first) || slices.ContainsFunc(q.rest[q.head:], match)
}

// all empties the queue.
func (q *queue) all() (messages []any) {
	for m := q.pop(); m != nil; m = q.pop() {
		messages = append(messages, m)
	}
	return messages
}
