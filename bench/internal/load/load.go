package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Client is one connection to a system that is measured. Its methods wait for the answer and may be called concurrently.
type Client interface {
	// Add has the server add two small numbers.
	Add(ctx context.Context, a, b int) (int, error)
	// Echo has the server send the payload back. The result is good until the next call by the same caller.
	Echo(ctx context.Context, payload []byte) ([]byte, error)
	Close() error
}

// Call is one call as a caller makes it, with its answer checked. n counts the caller's calls, so that the numbers in them vary.
type Call func(ctx context.Context, n int) error

// Result is what one run showed.
type Result struct {
	Calls     int64
	Elapsed   time.Duration
	Latencies Histogram // of every call, or of one in sampleEvery
}

// Where many callers share the work, timing every call would be a sizeable part of what the fastest systems take for it, so only a
// sample is timed. A few callers' calls are timed all.
const (
	sampleEvery = 16
	sampleAbove = 8 // callers
)

// Rate is in calls a second.
func (r *Result) Rate() float64 { return float64(r.Calls) / r.Elapsed.Seconds() }

// Run has every caller make its calls, one after the other, until d has passed, each at least one: a run without calls would have no
// numbers. Calls that are under way then are awaited and counted. The first error ends the run.
func Run(ctx context.Context, callers []Call, d time.Duration) (*Result, error) {
	var (
		stop  atomic.Bool
		all   sync.WaitGroup
		sum   = &Result{}
		mu    sync.Mutex
		fault error
	)
	every := 1
	if len(callers) > sampleAbove {
		every = sampleEvery
	}
	results := make([]Result, len(callers))
	timer := time.AfterFunc(d, func() { stop.Store(true) })
	defer timer.Stop()
	start := time.Now()
	for i, call := range callers {
		all.Go(func() {
			r := &results[i]
			err := loop(ctx, call, &stop, every, r)
			mu.Lock()
			defer mu.Unlock()
			sum.Calls += r.Calls
			sum.Latencies.Add(&r.Latencies)
			if err != nil {
				stop.Store(true)
				fault = errors.Join(fault, err)
			}
		})
	}
	all.Wait()
	sum.Elapsed = time.Since(start)
	return sum, fault
}

func loop(ctx context.Context, call Call, stop *atomic.Bool, every int, r *Result) error {
	for n := 0; n == 0 || !stop.Load(); n++ {
		timed := n%every == 0
		var begin time.Time
		if timed {
			begin = time.Now()
		}
		if err := call(ctx, n); err != nil {
			return err
		}
		if timed {
			r.Latencies.Record(time.Since(begin))
		}
		r.Calls++
	}
	return nil
}

// Adding is a caller of Add.
func Adding(c Client) Call {
	return func(ctx context.Context, n int) error {
		a, b := n&0xff, 2
		sum, err := c.Add(ctx, a, b)
		if err == nil && sum != a+b {
			err = fmt.Errorf("the answer to %d + %d is %d", a, b, sum)
		}
		return err
	}
}

// Echoing is a caller of Echo with payloads of the given size.
func Echoing(c Client, size int) Call {
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	return func(ctx context.Context, n int) error {
		// One byte that varies is enough to catch an answer to another call; comparing all of it would be measured too.
		mark := n % size
		payload[mark]++
		echo, err := c.Echo(ctx, payload)
		if err == nil && (len(echo) != size || echo[mark] != payload[mark]) {
			err = fmt.Errorf("the echo of %d bytes is another, of %d bytes", size, len(echo))
		}
		return err
	}
}
