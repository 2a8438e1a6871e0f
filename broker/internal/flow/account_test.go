package flow

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newTestAccount(b *Budget, limits Limits) (a *Account, dropped *int) {
	dropped = new(int)
	return b.NewAccount(limits, func(string) { *dropped++ }), dropped
}

func TestCostReturned(t *testing.T) {
	var b Budget
	a, _ := newTestAccount(&b, Limits{MemoryTotal: 1 << 20, BytesIn: 1 << 20})
	call := Cost{Wire: 10, Memory: 100}
	var batch Batch
	require.True(t, a.Take(call.Memory))
	batch.AddCall(call)
	require.True(t, a.Take(7))
	batch.AddOther(7)
	a.HandOver(&batch)
	assert.EqualValues(t, 107, b.Held())
	assert.Equal(t, call, a.Unanswered())
	a.Admit(call)
	a.CarriedOut(&batch)
	assert.EqualValues(t, 100, b.Held())
	a.Answered(call)
	assert.Zero(t, b.Held())
	assert.Zero(t, a.Unanswered())

	require.True(t, a.Take(5))
	a.Keep(6)
	a.Close()
	assert.Zero(t, b.Held())
	a.Add(9)
	assert.Zero(t, b.Held(), "a closed account counts nothing")
}

// TestTakeFrame checks that what was taken ahead is used first, and returned with the batch.
func TestTakeFrame(t *testing.T) {
	var b Budget
	a, _ := newTestAccount(&b, Limits{MemoryTotal: maxShare, BytesIn: 1 << 20})
	var batch Batch
	take := func(n, behind int) {
		require.True(t, a.TakeFrame(n, 10, behind))
		batch.AddOther(n)
	}
	take(100, 35)
	assert.EqualValues(t, 400, b.Held())
	take(200, 25)
	assert.EqualValues(t, 400, b.Held(), "it was taken ahead")
	a.HandOver(&batch)
	assert.EqualValues(t, 300, b.Held())

	take(maxShare-300, 10)
	assert.EqualValues(t, maxShare, b.Held(), "without room for more, no more is taken")
	assert.False(t, a.TakeFrame(1, 10, 0))
	a.CarriedOut(&batch)
	assert.Zero(t, b.Held())
}

func TestShare(t *testing.T) {
	var b Budget
	a, _ := newTestAccount(&b, Limits{MemoryTotal: 1000})
	other, _ := newTestAccount(&b, Limits{MemoryTotal: 1000})
	require.True(t, other.Take(1000))
	assert.True(t, a.Take(maxShare))
	assert.False(t, a.Take(1), "the share is used up")
	a.Keep(maxShare)
	a.Add(-1)
	assert.True(t, a.Take(1), "what is kept does not use up the share")
}

func TestTakeWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Budget
		limits := Limits{MemoryTotal: 10 * maxShare}
		a, _ := newTestAccount(&b, limits)
		other, _ := newTestAccount(&b, limits)
		require.True(t, other.Take(limits.MemoryTotal))
		start := time.Now()
		assert.False(t, a.TakeWait(t.Context(), 2*maxShare, time.Second))
		assert.Equal(t, time.Second, time.Since(start))
		time.AfterFunc(time.Second/2, other.Close)
		assert.True(t, a.TakeWait(t.Context(), 2*maxShare, time.Second))
		assert.False(t, a.TakeWait(t.Context(), limits.MemoryTotal+1, time.Hour), "it never fits")
	})
}

func TestOverload(t *testing.T) {
	var b Budget
	a, _ := newTestAccount(&b, Limits{MemoryTotal: 1 << 30, BytesIn: 100})
	a.Admit(Cost{Wire: 100, Memory: 1 << 20})
	kind, wire := a.Overload()
	assert.Equal(t, NotOverloaded, kind)
	assert.Equal(t, 100, wire)
	a.Admit(Cost{Wire: 1})
	kind, _ = a.Overload()
	assert.Equal(t, OverBytesIn, kind)
	a.Answered(Cost{Wire: 1})
	kind, wire = a.Overload()
	assert.Equal(t, NotOverloaded, kind, "an answer makes room")
	assert.Equal(t, 100, wire)
	a.Admit(Cost{Wire: 1})
	a.Add(1<<30 + 1)
	kind, _ = a.Overload()
	assert.Equal(t, OverMemoryTotal, kind)
}

func TestStrangersDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Budget
		limits := Limits{MemoryTotal: 16 << 20, Strangers: 3}
		part := 2 << 20
		var accounts [4]*Account
		var dropped [4]*int
		for i := range 3 {
			accounts[i], dropped[i] = newTestAccount(&b, limits)
			accounts[i].MarkStranger()
			accounts[i].Add(part / 4 * (i + 1))
		}
		out := NewOutbox(accounts[0])
		accounts[0].WaitRead(t.Context(), out, func() int64 { return 0 })
		assert.Equal(t, 1, *dropped[2], "the largest")
		assert.Zero(t, *dropped[0]+*dropped[1])
		accounts[2].Close()

		accounts[1].MarkUser()
		accounts[2], dropped[2] = newTestAccount(&b, limits)
		accounts[2].MarkStranger()
		accounts[3], dropped[3] = newTestAccount(&b, limits)
		accounts[3].MarkStranger()
		assert.True(t, b.DropOldest("why"))
		assert.Equal(t, 1, *dropped[0], "the oldest")
		assert.Zero(t, *dropped[1], "a user")
	})
}

func TestOutboxRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Budget
		a, _ := newTestAccount(&b, Limits{MemoryTotal: 1 << 30, MaxWriteBacklog: 100})
		o := NewOutbox(a)
		add := func(n int) bool {
			wake, err := o.Append(n, func(dst []byte) ([]byte, error) { return append(dst, make([]byte, n)...), nil })
			require.NoError(t, err)
			return wake
		}
		assert.True(t, add(80), "the first append wakes the encoder")
		assert.False(t, add(30))
		assert.True(t, o.Congested())
		cleared := false
		o.WhenClear(func() { cleared = true })
		assert.False(t, o.TryReserve(1, 109))
		assert.True(t, o.TryReserve(1, 110))
		reserved := make(chan error, 1)
		go func() { reserved <- o.ReserveWait(context.Background(), 1, 50) }()
		synctest.Wait()
		assert.Empty(t, reserved)

		buf, _ := o.Take()
		o.Progress(len(buf) - 90)
		assert.True(t, cleared)
		assert.Empty(t, reserved)
		o.Written(nil, nil)
		require.NoError(t, <-reserved)
		assert.Equal(t, 2, o.Waiting())
		o.Release(2)
		assert.Zero(t, b.Held())

		add(10)
		o.Close()
		assert.Zero(t, b.Held())
		_, err := o.Append(1, nil)
		assert.ErrorIs(t, err, ErrOutboxClosed)
		assert.ErrorIs(t, o.WaitBelow(t.Context(), 0), ErrOutboxClosed)
	})
}

// TestOutboxCount checks that the account follows what waits: loosely while little changes, exactly when nothing waits.
func TestOutboxCount(t *testing.T) {
	var b Budget
	a, _ := newTestAccount(&b, Limits{MemoryTotal: 1 << 30, MaxWriteBacklog: 1 << 20})
	o := NewOutbox(a)
	add := func(n, reserved int) {
		_, err := o.AppendReserved(n, reserved, func(dst []byte) ([]byte, error) {
			return append(dst, make([]byte, n)...), nil
		})
		require.NoError(t, err)
	}
	o.Reserve(2 * countSlack)
	assert.EqualValues(t, 2*countSlack, b.Held())
	add(countSlack, 2*countSlack)
	assert.Equal(t, countSlack, o.Waiting())
	assert.InDelta(t, countSlack, b.Held(), countSlack)
	add(10*countSlack, 0)
	assert.InDelta(t, 11*countSlack, b.Held(), countSlack)
	buf, longs := o.Take()
	o.Written(buf, longs)
	assert.Zero(t, o.Waiting())
	assert.Zero(t, b.Held())
}

// TestOutboxReservedRoom checks that a message that takes less than was reserved for it makes room for a caller.
func TestOutboxReservedRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Budget
		a, _ := newTestAccount(&b, Limits{MemoryTotal: 1 << 30, MaxWriteBacklog: 100})
		o := NewOutbox(a)
		o.Reserve(200)
		cleared, waited := false, make(chan error, 1)
		o.WhenClear(func() { cleared = true })
		go func() { waited <- o.ReserveWait(context.Background(), 1, 60) }()
		synctest.Wait()
		assert.False(t, cleared)
		assert.Empty(t, waited)
		_, err := o.AppendReserved(50, 200, func(dst []byte) ([]byte, error) {
			return append(dst, make([]byte, 50)...), nil
		})
		require.NoError(t, err)
		assert.True(t, cleared)
		require.NoError(t, <-waited)
		assert.Equal(t, 51, o.Waiting())
	})
}
