package flow

import (
	"context"
	"time"
)

// Reading pauses while too many bytes of the peer's calls are unanswered; an honest peer only sees a slow network. Two
// peers that both pause would deadlock, and a call may wait for an answer that the peer sends behind calls which are
// not read. So the pause ends after a while, and further calls are refused with Busy.

const (
	// easeTime is how long reading pauses for unanswered calls before it goes on with one read.
	easeTime = 200 * time.Millisecond
	// congestedEaseTime is how long a peer that reads slowly may take to read anything.
	congestedEaseTime = 2 * time.Second
)

// Batch adds up the costs of messages that are handed to the broker together. The zero Batch is empty.
type Batch struct {
	calls  Cost
	others int // memory of the messages that are not calls
}

// AddCall counts a call, whose memory has been taken.
func (b *Batch) AddCall(c Cost) { b.calls.add(c) }

// AddOther counts a message that is not a call, whose memory has been taken.
func (b *Batch) AddOther(memory int) { b.others += memory }

func (b *Batch) memory() int64 { return int64(b.calls.Memory + b.others) }

// HandOver counts a batch that is about to be handed to the broker. Only the reader's goroutine may call it.
func (a *Account) HandOver(b *Batch) {
	a.backlog.Add(b.memory())
	if b.calls == (Cost{}) && a.ahead == 0 {
		return
	}
	a.mu.Lock()
	a.handed.add(b.calls)
	a.addLocked(int64(-a.ahead))
	a.mu.Unlock()
	a.ahead = 0
}

// CarriedOut returns the memory of a batch that the broker has carried out, except its calls'.
func (a *Account) CarriedOut(b *Batch) {
	a.backlog.Add(-b.memory())
	a.Add(-b.others)
}

// Admit counts a call that the broker has looked at, even if it refuses it. Only the broker's turn may call it.
func (a *Account) Admit(c Cost) { a.admitted.add(c) }

// Answered returns the cost of a call that was admitted.
func (a *Account) Answered(c Cost) {
	a.mu.Lock()
	a.answered.add(c)
	a.addLocked(int64(-c.Memory))
	a.mu.Unlock()
	select {
	case a.eased <- struct{}{}:
	default:
	}
}

// Unanswered returns the cost of the calls that are not answered.
func (a *Account) Unanswered() Cost {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.handed.minus(a.answered)
}

// Overload is why no further call is admitted.
type Overload uint8

// The kinds of Overload.
const (
	NotOverloaded   Overload = iota
	OverBytesIn              // the connection's calls are over its limit
	OverMemoryTotal          // the runtime holds too much, and the connection's calls more than its share
)

// Overload reports whether the calls that were admitted are too many for another, and how many bytes they have on the
// wire, at most. Calls that the broker has not looked at do not count. Only the broker's turn may call it.
func (a *Account) Overload() (kind Overload, wire int) {
	// Nearly always the calls that were unanswered at the last look, and all since, are too few. Then no lock is needed.
	if kind, wire = a.overload(); kind == NotOverloaded {
		return kind, wire
	}
	a.mu.Lock()
	a.returned = a.answered
	a.mu.Unlock()
	return a.overload()
}

func (a *Account) overload() (kind Overload, wire int) {
	unanswered, limit := a.admitted.minus(a.returned), a.bytesIn()
	switch crowded := a.crowded(); {
	case crowded && unanswered.Memory > limit:
		kind = OverMemoryTotal
	case !crowded && unanswered.Wire > limit:
		kind = OverBytesIn
	}
	return kind, unanswered.Wire
}

// Behind reports whether so much was read and not carried out that nothing more is read.
func (a *Account) Behind() bool { return a.backlog.Load() > int64(a.bytesIn()) }

// easy reports whether so few calls are unanswered that reading need not pause.
func (a *Account) easy() bool {
	unanswered := a.Unanswered()
	bytes := unanswered.Wire
	if a.crowded() {
		bytes = unanswered.Memory
	}
	return bytes <= a.bytesIn()/4
}

// WaitRead waits until the next read may be made. written returns how many bytes the peer has been sent.
func (a *Account) WaitRead(ctx context.Context, out *Outbox, written func() int64) {
	if a.stranger.Load() && a.crowded() {
		a.budget.dropLargest(a.strangersPart())
	}
	a.waitCarriedOut(ctx)
	if a.waitEasy(ctx, easeTime) {
		return
	}
	// While the peer reads, however slowly, its calls wait in the network rather than being refused.
	for before := written(); out.Congested(); before = written() {
		if a.waitEasy(ctx, congestedEaseTime) || written() == before {
			return
		}
	}
}

// waitEasy waits until easy, and reports false if limit passes first.
func (a *Account) waitEasy(ctx context.Context, limit time.Duration) bool {
	if a.easy() {
		return true
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for !a.easy() {
		select {
		case <-a.eased:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return true
		}
	}
	return true
}

// waitCarriedOut waits while the broker is behind. It is behind for long only if the application's code that makes
// copies is slow. That code must not wait for something that is still to be read.
func (a *Account) waitCarriedOut(ctx context.Context) {
	if !a.Behind() {
		return
	}
	again := time.NewTicker(roomInterval)
	defer again.Stop()
	for a.Behind() {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// ration returns limit, and at most the connection's share while the total is reached.
func (a *Account) ration(limit int) int {
	if a.crowded() {
		return min(int(a.budget.share()), limit)
	}
	return limit
}

func (a *Account) bytesIn() int { return a.ration(a.limits.BytesIn) }

// importsShare is how many references a connection may hold when the total is reached: as many as a stock peer hands
// out.
const importsShare = 1024

// Imports returns how many of the peer's objects this side may hold now.
func (a *Account) Imports() int {
	if a.crowded() {
		return min(importsShare, a.limits.Imports)
	}
	return a.limits.Imports
}

// WriteHighWater returns how many bytes may wait to be written now before our own calls wait or fail.
func (a *Account) WriteHighWater() int { return a.ration(a.limits.WriteHighWater) }

// MaxWriteBacklog returns how many bytes may wait to be written now before the peer's calls are held back.
func (a *Account) MaxWriteBacklog() int {
	limit := a.ration(a.limits.MaxWriteBacklog)
	if a.stranger.Load() {
		return min(limit, minShare) // No answer to a stranger is longer.
	}
	return limit
}

// MaxRefusalBacklog returns how many bytes may wait to be written before a peer whose call must be refused is
// disconnected.
func (a *Account) MaxRefusalBacklog() int { return 2 * a.MaxWriteBacklog() }

// MaxAnswerBacklog returns how many bytes may wait to be written before an answer is dropped. Only answers that come
// after their method has returned get so far, since calls are held back before.
func (a *Account) MaxAnswerBacklog() int { return 4 * a.MaxWriteBacklog() }
